"""``optical``: any JAX function with the products that rules name on optical cores, through its jaxpr."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.pytree import brief
from photonjax.nn.interpreter import Interpreter
from photonjax.nn.values import Turn, Value
from photonjax.rules import ConversionReport, Rule, Site, as_rules
from photonjax.workload.parameters import Parameters, leaves_of
from photonjax.workload.sites import Workload
from photonjax.workload.walk import workload_of

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments and keyword arguments."""


def optical(
    f: Callable[..., Any], rules: Sequence[Rule], *, params: int | str | Sequence[int | str] = 0
) -> Any:
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

    Returns:
      ``g(key, *args, **kwargs)``, to be jitted, differentiated and mapped like ``f``; ``key=None``: no random
      noise. It traces f at every call: jit it. ``g.report(*args, **kwargs)`` is the
      :class:`~photonjax.ConversionReport` for such arguments (or their ``jax.ShapeDtypeStruct``), with
      what could not be entered (kernels, callbacks, solvers); nothing is computed.

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
    rules = as_rules(rules)
    name = getattr(f, "__name__", type(f).__name__)

    def run(key: jax.Array | None, call: Call) -> tuple[Any, list[Site]]:
        closed, shape = traced(f, name, call)
        values = list(_values(call, places))
        shapes = {v.origin.path: jnp.shape(v.value) for v in values if v.origin.path}
        walk = Interpreter(rules, Parameters(shapes))
        outs = walk.enter(
            closed, values, Turn(None if key is None else random.as_threefry(key)), ""
        )
        sites = walk.engine.sites
        if not walk.multiplied:
            paths = ", ".join(dict.fromkeys(site.path for site in sites))
            raise ValueError(
                f"optical: {name} has no matrix product or convolution"
                + (f", only what cannot be entered: {paths}" if paths else "")
            )
        walk.engine.check()
        return jax.tree.unflatten(jax.tree.structure(shape), [v.value for v in outs]), sites

    def check(key: Any, call: Call) -> None:
        if key is not None and not _is_key(key):
            raise TypeError(
                f"optical: the first argument is the noise key (jax.random.key(...) or None), not {key!r:.60}"
            )
        args, kwargs = call
        for place in places:
            if not (0 <= place < len(args) if isinstance(place, int) else place in kwargs):
                names = "".join(f", {word}" for word in kwargs)
                raise ValueError(
                    f"optical: params = {params!r}, but there are {len(args)} arguments{names}"
                )

    def g(key: jax.Array | None, *args: Any, **kwargs: Any) -> Any:
        check(key, (args, kwargs))
        return run(key, (args, kwargs))[0]

    def report(*args: Any, **kwargs: Any) -> ConversionReport:
        check(None, (args, kwargs))
        found: list[Site] = []
        arrays, fixed = split((args, kwargs))

        def once(arrays: list[Any]) -> Any:
            out, sites = run(None, joined(arrays, fixed))
            found.extend(sites)
            return out

        jax.eval_shape(once, arrays)
        return ConversionReport(tuple(found), trace)

    def trace(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Workload:
        keyless = functools.partial(f, None) if hasattr(f, "report") else f
        return workload_of_call(keyless, name, (args, kwargs), places)

    g.__name__ = f"optical_{name}"
    g.report = report  # type: ignore[attr-defined]
    return g


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
        if _is_number(leaf):
            yield Value(leaf, origin)


def traced(f: Callable[..., Any], name: str, call: Call) -> tuple[Any, Any]:
    """The jaxpr of f, over those leaves of its arguments that are arrays, and its result's shape.

    Raises:
      TypeError: f looks at values that are not known before it runs.
    """
    arrays, fixed = split(call)

    def run(arrays: list[Any]) -> Any:
        args, kwargs = joined(arrays, fixed)
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


def split(call: Any) -> tuple[list[Any], Any]:
    """Arrays, and all else (Python's numbers, functions, strings), with its place."""
    leaves, tree = jax.tree.flatten(call)
    numbers = [leaf for leaf in leaves if _is_number(leaf)]
    return numbers, (tree, [_NUMBER if _is_number(leaf) else leaf for leaf in leaves])


def joined(numbers: Sequence[Any], fixed: Any) -> Any:
    """The arguments again."""
    tree, leaves = fixed
    rest = iter(numbers)
    return jax.tree.unflatten(tree, [next(rest) if x is _NUMBER else x for x in leaves])


_NUMBER = object()


def _is_key(key: Any) -> bool:
    dtype = getattr(key, "dtype", None)
    if dtype is None:
        return False
    axes = 0 if jnp.issubdtype(dtype, jax.dtypes.prng_key) else 1 if dtype == jnp.uint32 else None
    return jnp.ndim(key) == axes


def _is_number(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape") and not isinstance(leaf, type)
