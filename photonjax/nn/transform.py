"""``optical``: any JAX function with the products that rules name on optical cores, through its jaxpr."""

from __future__ import annotations

import dataclasses
import functools
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.core import OpticalCore
from photonjax.core.measure import Measurement
from photonjax.core.pytree import brief
from photonjax.nn.arguments import Call, Fixed, is_array
from photonjax.nn.gauges import Gauge, Meter
from photonjax.nn.interpreter import Interpreter
from photonjax.nn.ranges import Once, Ranges, check_ranges
from photonjax.nn.values import Turn, Value
from photonjax.rules import ConversionReport, Rule, as_rules
from photonjax.workload.parameters import Parameters, leaves_of
from photonjax.workload.sites import Workload
from photonjax.workload.walk import workload_of


def optical(
    f: Callable[..., Any],
    rules: Sequence[Rule],
    *,
    params: int | str | Sequence[int | str] = 0,
    ranges: Ranges | None = None,
) -> OpticalFunction:
    """Put matrix products of any JAX function on optical cores.

    The function is traced; products and convolutions are found in jit, scan, while, cond, remat,
    custom derivatives and shard_map, and those that a rule takes run through
    :func:`photonjax.optical_dot_general`. Everything else runs as it did. Products are named as
    :func:`photonjax.trace_workload` names them: after the parameter's place in its tree, else the
    named scope, else ``dot_general:<number>``. A rule's pattern may also name the place above the
    parameter: ``layers/0`` takes ``layers/0/weight``.

    * Convolutions are products of patches with the kernel (:mod:`photonjax.core.convolution`).
    * Static errors follow from the path of the parameter. Layer i of a stack of weights (sliced by a scan,
      or as ``w[i]``) has the path that it would have in a list of layers, ``layers/3/up/kernel``: scanned
      and unrolled layers are the same cells. (The parameters of an NNX model with shared modules are
      those of ``nnx.split(model)``: pass that state, in which each is once.)
    * Noise follows from ``key``, the path, the number of the use, and the turns of other loops:
      ``fold_in(fold_in(key, site), number)``, site being :func:`photonjax.core.site_number` of the path,
      for a weight outside of such loops. So scanned and unrolled layers draw alike. Under shard_map
      each shard draws noise of its own (copies the same one): there, unlike elsewhere, results depend
      on the mesh.
    * Inside a function with a derivative rule of its own, values become optical and the rule stays;
      it sees the digital function's intermediate results.
    * ``jax.grad(g)`` differentiates the optical forward pass, in floating point, as
      :func:`photonjax.optical_dot_general` does; ``optical(jax.grad(f), rules)`` puts the products
      of the backward pass on light as well.
    * What of the arguments is no array (Python's numbers, functions, strings, ``True``) is passed on as
      it is, so that it may decide the program; under ``jax.jit`` of g, static arguments are.

    Args:
      f: a function that JAX can trace.
      rules: the first that takes a product decides.
      params: which arguments of f hold parameters, by position or keyword (:func:`photonjax.trace_workload`).
      ranges: calibrated ones, from :func:`photonjax.calibrate`.

    Returns:
      ``g(key, *args, **kwargs)``, to be jitted, differentiated and mapped like ``f``; ``key=None``: no random
      noise. It traces f at every call: jit it. See :class:`OpticalFunction` for its methods.

    Raises:
      TypeError: f is not a function, a rule is none; (when g is called) a function that cannot be
        traced, a key that is none.
      ValueError: a function without products; a rule that matches nothing, or is never reached.

    Example:
      >>> import jax, jax.numpy as jnp, photonjax as pj
      >>> def f(params, x):
      ...   return jnp.tanh(x @ params["up"]) @ params["down"]
      >>> params = {"up": jnp.ones((8, 16)), "down": jnp.ones((16, 4))}
      >>> g = pj.optical(f, [pj.Rule("up", pj.OpticalCore(photons=1e4))])
      >>> jax.jit(g)(jax.random.key(0), params, jnp.ones((2, 8))).shape
      (2, 4)
      >>> print(g.report(params, jnp.ones((2, 8))))
      site  weight  layers  runs     why
      up    8 x 16  1       optical  rule 'up'
      down  16 x 4  1       digital  no rule matches
    """
    places = (params,) if isinstance(params, (int, str)) else tuple(params)
    if not callable(f):
        raise TypeError(
            f"optical: {brief(f)} is not a function; give the one that multiplies, for a model "
            "lambda model, x: model(x)"
        )
    if ranges is not None:
        check_ranges(ranges)
    return OpticalFunction(f, as_rules(rules), places, dict(ranges or {}))


@dataclasses.dataclass(frozen=True, eq=False)
class OpticalFunction:
    """A function with products on light, as :func:`photonjax.optical` returns it.

    Attributes:
      f, rules, params, ranges: as given to :func:`photonjax.optical`.

    Raises:
      ValueError: (when called) ranges for a path that is no product on light.
    """

    f: Callable[..., Any]
    rules: tuple[Rule, ...]
    params: tuple[int | str, ...]
    ranges: Ranges
    once: Once = dataclasses.field(default_factory=Once, repr=False)

    @property
    def name(self) -> str:
        """Of the function."""
        return getattr(self.f, "__name__", type(self.f).__name__)

    def __call__(self, key: jax.Array | None, /, *args: Any, **kwargs: Any) -> Any:
        out, walk = self._run(key, (args, kwargs))
        check_ranges(self.ranges, walk.cores)
        missing = [
            path
            for path, core in walk.cores.items()
            if core.adc.bits is not None and "adc" not in self.ranges.get(path, ())
        ]
        self.once.warn(missing)
        return out

    def with_ranges(self, ranges: Ranges) -> OpticalFunction:
        """The same with calibrated ranges: those of :func:`photonjax.calibrate`, or read from a file."""
        check_ranges(ranges)
        return dataclasses.replace(self, ranges=dict(ranges), once=Once())

    def report(self, *args: Any, **kwargs: Any) -> ConversionReport:
        """What becomes of every product for such arguments (or their ``jax.ShapeDtypeStruct``).

        With what could not be entered (kernels, callbacks, solvers). Nothing is computed.
        """
        return ConversionReport(tuple(self._walk((args, kwargs)).engine.sites), self._trace)

    def measured(
        self, key: jax.Array | None, /, *args: Any, **kwargs: Any
    ) -> tuple[Any, dict[str, Measurement]]:
        """The call's result, and a :class:`~photonjax.core.Measurement` of every product on light.

        They are named as in the report, the layers of a stack one by one (a product that was never made
        has ``outputs = 0``), and compare with floating point: about twice the time.
        """
        out, rows, _ = self.gauged(Meter(), key, (args, kwargs))
        return out, {path: Measurement(*row) for path, row in rows.items()}

    def gauged(
        self, gauge: Gauge, key: jax.Array | None, call: Call
    ) -> tuple[Any, dict[str, jax.Array], dict[str, OpticalCore]]:
        """The call's result, what a gauge saw of every product on light, and their cores, by path."""
        paths = self._walk(call, gauge).cores
        gauge = gauge.fit_for(paths.values())
        tape = jnp.zeros((len(paths), gauge.width), jnp.float32)
        out, walk = self._run(key, call, gauge, tape)
        assert walk.tape is not None
        return out, dict(zip(paths, walk.tape, strict=True)), paths

    def _trace(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Workload:
        """The workload of such a call of f, or of what :func:`optical` made of it."""
        if isinstance(f, OpticalFunction):
            f = functools.partial(dataclasses.replace(f, once=Once(done=True)), None)
        return workload_of_call(f, self.name, (args, kwargs), self.params)

    def _walk(self, call: Call, gauge: Gauge | None = None) -> Interpreter:
        """What an interpreter knows after it went through; nothing is computed."""
        found: list[Interpreter] = []
        fixed, arrays = Fixed.split(call)

        def trace(arrays: list[Any]) -> Any:
            out, walk = self._run(None, fixed.join(arrays), gauge)
            found.append(walk)
            return out

        jax.eval_shape(trace, arrays)
        return found[-1]

    def _run(
        self,
        key: jax.Array | None,
        call: Call,
        gauge: Gauge | None = None,
        tape: jax.Array | None = None,
    ) -> tuple[Any, Interpreter]:
        if key is not None and not _is_key(key):
            raise TypeError(
                f"optical: the first argument is the noise key (jax.random.key(...) or None), not {key!r:.60}"
            )
        args, kwargs = call
        for place in self.params:
            if not (0 <= place < len(args) if isinstance(place, int) else place in kwargs):
                places = self.params[0] if len(self.params) == 1 else self.params
                names = "".join(f", {word}" for word in kwargs)
                raise ValueError(
                    f"optical: params = {places!r}, but there are {len(args)} arguments{names}"
                )
        closed, shape = traced(self.f, self.name, call)
        values = list(_values(call, self.params))
        shapes = {v.origin.path: jnp.shape(v.value) for v in values if v.origin.path}
        walk = Interpreter(self.rules, Parameters(shapes), self.ranges, gauge, tape)
        own = None if key is None else random.as_threefry(key)
        outs = walk.enter(closed, values, Turn(own), "")
        if not walk.multiplied:
            paths = ", ".join(dict.fromkeys(site.path for site in walk.engine.sites))
            raise ValueError(
                f"optical: {self.name} has no matrix product or convolution"
                + (f", only what cannot be entered: {paths}" if paths else "")
            )
        walk.engine.check()
        return jax.tree.unflatten(jax.tree.structure(shape), [v.value for v in outs]), walk


def workload_of_call(
    f: Callable[..., Any], name: str, call: Call, places: Sequence[int | str]
) -> Workload:
    """The workload of a call of f (:func:`photonjax.trace_workload`), whatever it is given."""
    closed, _ = traced(f, name, call)
    return workload_of(closed, [v.origin for v in _values(call, places)])


def _values(call: Call, places: Sequence[int | str]) -> Iterator[Value]:
    """What is known of each number that a call is given."""
    args, kwargs = call
    words = sorted(kwargs)
    numbers = [
        place if isinstance(place, int) else len(args) + words.index(place) for place in places
    ]
    for leaf, origin in leaves_of([*args, *(kwargs[word] for word in words)], numbers):
        if is_array(leaf):
            yield Value(leaf, origin)


def traced(f: Callable[..., Any], name: str, call: Call) -> tuple[Any, Any]:
    """The jaxpr of f, over those leaves of its arguments that are arrays, and its result's shape.

    Raises:
      TypeError: f looks at values that are not known before it runs.
    """
    fixed, arrays = Fixed.split(call)

    def run(arrays: list[Any]) -> Any:
        args, kwargs = fixed.join(arrays)
        return f(*args, **kwargs)

    try:
        return jax.make_jaxpr(run, return_shape=True)(arrays)
    except (TypeError, jax.errors.NonConcreteBooleanIndexError) as error:
        if isinstance(error, TypeError) and "concrete" not in str(error):
            raise
        first = str(error).strip().splitlines()[0]
        raise TypeError(
            f"optical: {name} cannot be traced: at {_place(error)}, it needs the value of an array, "
            "or a shape that depends on one; use lax.cond, jnp.where or a fixed size there, or give "
            f"that value as a Python number ({first})"
        ) from error


def _place(error: Exception) -> str:
    """File and line of the user's code that raised an error."""
    others = (os.path.dirname(jax.__file__), os.path.dirname(__file__))
    frames = traceback.extract_tb(error.__traceback__)
    frame = [f for f in frames if not f.filename.startswith(others)][-1]
    return f"{frame.filename}:{frame.lineno}"


def _is_key(key: Any) -> bool:
    dtype = getattr(key, "dtype", None)
    if dtype is None:
        return False
    axes = 0 if jnp.issubdtype(dtype, jax.dtypes.prng_key) else 1 if dtype == jnp.uint32 else None
    return jnp.ndim(key) == axes
