"""Fixed ranges as users of hardware set them: of each site's ADC and drivers, from sample inputs."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.core.core import OpticalCore
from photonjax.core.limits import allowed
from photonjax.core.pytree import check_number
from photonjax.nn.arguments import Call, Fixed, is_array
from photonjax.nn.gauges import RangeFinder
from photonjax.nn.nnx import SiteMeasurement, optical_dots, set_ranges
from photonjax.nn.ranges import KINDS, check_ranges, some
from photonjax.nn.transform import OpticalFunction


def calibrate(
    model: Any,
    *args: Any,
    batches: Iterable[Any] | None = None,
    margin: float = 1.1,
    quantile: float = 1.0,
    method: str | Callable[..., Any] | None = None,
    **kwargs: Any,
) -> dict[str, dict[str, Any]]:
    """Find the ranges that sample inputs ask for, of every optical product; an NNX model is given them.

    Runs the model on the sample, without dynamic noise and without ADCs. A site's ADC range becomes
    ``margin`` times the largest magnitude that its ADC would have met; its tiles share a range, passes of bit
    slices (``core.passes``) have one each. Where a
    core's ``input.scale`` is ``"static"``, its full scale becomes ``margin`` times the largest input.
    Signals beyond saturate later, so the sample should be like the data to come. Nothing but ranges is
    changed: statistics, counters and caches that a call of the model writes are dropped.

    A site whose product is zero throughout (or that is not called) says nothing about its range. It
    keeps what it has, and a warning names it.

    Args:
      model: a converted NNX model, whose ranges are set in place; what :func:`photonjax.optical` returned,
        or a :class:`photonjax.linen.Optical`: ``model.with_ranges(ranges)`` is calibrated.
      args, kwargs: what to call it with, but for a noise key: one batch. A Linen module is called as by
        ``apply``, the variables first.
      batches: several batches instead, each called after ``args``: a tuple is its further positional
        arguments, a dict its keyword arguments (beside ``kwargs``), anything else is one argument.
      margin: head room, at least 1.
      quantile: instead of the largest (1), the level that this fraction of the magnitudes does not
        exceed: of n in ascending order, number ``ceil(quantile (n - 1))``, counted from zero, of each
        call at a site; over calls and batches, the largest such level.
      method: what to call in place of ``model(...)``: of an NNX model, a method's name, or a function that
        is given the model first (and so takes keywords that are parameters here); of a Linen module,
        as ``apply`` takes it.

    Returns:
      the ranges, by path of the weight, ``{path: {"adc": r, "input": r}}``, as plain data: ``json`` makes a
      file of it. The same weights have the same paths through every front end, so that a fresh conversion
      of any kind takes them: :func:`photonjax.nnx.set_ranges`, ``with_ranges``.

    Raises:
      ValueError: a margin or quantile that is none; a model without optical products; no batch, or one
        without rows; NaN or infinity in the sample, or at a site; a static input range that nothing is
        known of.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> model = nnx.Sequential(nnx.Linear(8, 4, rngs=nnx.Rngs(0)))
      >>> optical, _ = pj.convert(model, [pj.Rule("*", pj.OpticalCore())])
      >>> ranges = pj.calibrate(optical, jnp.ones((2, 8)))
      >>> list(ranges)
      ['layers/0/kernel']
      >>> g = pj.optical(lambda w, x: x @ w["up"], [pj.Rule("*", pj.OpticalCore())])
      >>> ranges = pj.calibrate(g, {"up": jnp.ones((8, 4))}, jnp.ones((2, 8)))
      >>> g.with_ranges(ranges)(None, {"up": jnp.ones((8, 4))}, jnp.ones((2, 8))).shape
      (2, 4)
    """
    _check_number("margin", margin, low=1)
    _check_number("quantile", quantile, above=0, high=1)
    finder = RangeFinder(float(quantile))
    if isinstance(model, nnx.Module):
        calls = _calls(args, kwargs, batches, ())
        ranges = _ranges(*_of_nnx(model, finder, method, calls), float(margin))
        set_ranges(model, ranges)
        return ranges
    function = model.as_function() if hasattr(model, "as_function") else model
    if not isinstance(function, OpticalFunction):
        jitted = isinstance(getattr(model, "__wrapped__", None), OpticalFunction)
        raise TypeError(
            "calibrate: a jitted function: give it before jax.jit"
            if jitted
            else f"calibrate: a {type(model).__name__} is not on light; give what pj.convert or pj.optical "
            "returned, or a pj.linen.Optical"
        )
    if method is not None:
        kwargs["method"] = method
    calls = _calls(args, kwargs, batches, function.params)
    return _ranges(*_of_function(function, finder, calls), float(margin))


def _check_number(name: str, value: Any, **limits: Any) -> None:
    if isinstance(value, jax.Array) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise ValueError(
            f"calibrate: {name} = {value!r:.60} is not {allowed('a number', **limits)}"
        )
    check_number(f"calibrate: {name}", value, **limits)


def _calls(
    args: tuple[Any, ...], kwargs: dict[str, Any], batches: Any, params: tuple[int | str, ...]
) -> Iterator[Call]:
    """One call, or one for each batch; arguments that hold parameters are no samples."""
    if batches is None:
        yield _checked(args, kwargs, "", params)
        return
    if not isinstance(batches, Iterable) or isinstance(batches, (str, bytes, Mapping)):
        raise ValueError(
            f"calibrate: batches = {batches!r:.60} is not an iterable of batches; give one batch as "
            "the arguments themselves"
        )
    number = -1
    for number, batch in enumerate(batches):
        more = batch if isinstance(batch, tuple) else () if isinstance(batch, dict) else (batch,)
        named = batch if isinstance(batch, dict) else {}
        yield _checked((*args, *more), {**kwargs, **named}, f"batch {number}, ", params)
    if number < 0:
        raise ValueError("calibrate: batches is empty: there is nothing to measure")


def _checked(
    args: tuple[Any, ...], kwargs: dict[str, Any], where: str, params: tuple[int | str, ...]
) -> Call:
    """Refuse what says nothing, or nothing that holds, about the signals to come."""
    samples = [(f"argument {i}", a) for i, a in enumerate(args) if i not in params]
    named = [*samples, *((name, value) for name, value in kwargs.items() if name not in params)]
    for name, value in named:
        for path, leaf in jax.tree_util.tree_leaves_with_path(value):
            place = f"calibrate: {where}{name}{jax.tree_util.keystr(path)}"
            if not is_array(leaf):
                continue
            if leaf.ndim and leaf.shape[0] == 0:
                raise ValueError(f"{place} has no rows (shape {tuple(leaf.shape)})")
            if jnp.issubdtype(leaf.dtype, jnp.inexact) and not bool(jnp.isfinite(leaf).all()):
                raise ValueError(f"{place} has NaN or infinity in it")
    return args, kwargs


def _of_nnx(
    model: nnx.Module, finder: RangeFinder, method: Any, calls: Iterable[Call]
) -> tuple[dict[str, np.ndarray], dict[str, OpticalCore]]:
    """Levels and cores by path; the model stays as it is."""
    probe = nnx.clone(model)
    dots = list(optical_dots(probe))
    if not dots:
        raise ValueError("calibrate: the model has no optical products; convert it first")
    finder = finder.fit_for(dot.structure for _, dot in dots)
    for _, dot in dots:
        dot.start(finder)
    for call in calls:
        fixed, arrays = Fixed.split(call)
        graph, state = nnx.split(probe)
        nnx.update(probe, _run(graph, fixed, method, state, arrays))
    found: dict[str, np.ndarray] = {}
    cores: dict[str, OpticalCore] = {}
    for path, dot in dots:
        assert dot.measurement is not None
        paths = dot.range_paths(path)
        rows = np.asarray(jax.device_get(dot.measurement[...])).reshape(len(paths), -1)
        for name, row in zip(paths, rows, strict=True):
            found[name] = np.maximum(found[name], row) if name in found else row
            cores[name] = dot.structure
    return found, cores


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _run(graph: Any, fixed: Fixed, method: Any, state: Any, arrays: list[Any]) -> Any:
    model = nnx.merge(graph, state)
    args, kwargs = fixed.join(arrays)
    if method is None:
        model(*args, **kwargs)
    elif callable(method):
        method(model, *args, **kwargs)
    else:
        getattr(model, method)(*args, **kwargs)
    return nnx.state(model, SiteMeasurement)


def _of_function(
    g: OpticalFunction, finder: RangeFinder, calls: Iterable[Call]
) -> tuple[dict[str, np.ndarray], dict[str, OpticalCore]]:
    """As :func:`_of_nnx`."""
    found: dict[str, np.ndarray] = {}
    cores: dict[str, OpticalCore] = {}

    @functools.partial(jax.jit, static_argnums=0)
    def run(fixed: Fixed, arrays: list[Any]) -> dict[str, jax.Array]:
        _, seen, of_sites = g.gauged(finder, None, fixed.join(arrays))
        cores.update(of_sites)
        return seen

    for call in calls:
        for path, seen in jax.device_get(run(*Fixed.split(call))).items():
            found[path] = np.maximum(found.get(path, seen), seen)
    return found, cores


def _ranges(
    found: Mapping[str, np.ndarray], cores: Mapping[str, OpticalCore], margin: float
) -> dict[str, dict[str, Any]]:
    """Levels with head room; a warning names the sites without a signal."""
    ranges: dict[str, dict[str, Any]] = {}
    silent = []
    for path, levels in found.items():
        core = cores[path]
        fixed = core.input.scale == "static"
        for kind in KINDS if fixed else KINDS[:1]:
            seen = levels[: core.passes] if kind == "adc" else levels[-1:]
            if not np.isfinite(seen).all():
                raise ValueError(f"calibrate: {path}: NaN or infinity among its {kind} signals")
            if seen.max() >= np.finfo(np.float32).tiny:
                # A pass without a signal has the widest range: nothing is known of its signals to come.
                each = np.where(seen > 0, seen, seen.max()).astype(np.float32)
                values = (np.float32(margin) * each).tolist()
                ranges.setdefault(path, {})[kind] = values[0] if len(values) == 1 else values
            elif kind == "input" and core.input.range is None:
                raise ValueError(
                    f"calibrate: {path}: input.scale is 'static' and no input was seen, so that nothing "
                    "is known of its range; set OpticalCore.input.range, or give a sample that reaches it"
                )
            elif kind == "input" or core.adc.bits is not None:
                silent.append(path)
    if silent:
        warnings.warn(
            f"calibrate: no signal at {some(silent)} (zero throughout, or not called): no range was set",
            stacklevel=3,
        )
    check_ranges(ranges)  # a wide margin of a large level
    return ranges
