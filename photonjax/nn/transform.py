"""``optical``: any JAX function with the products that rules name on optical cores, through its jaxpr."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core.pytree import brief
from photonjax.nn.interpreter import Interpreter
from photonjax.nn.values import Turn, Value
from photonjax.rules import ConversionReport, Rule, Site, as_rules
from photonjax.workload.parameters import Parameters, leaves_of


def optical(
    f: Callable[..., Any], rules: Sequence[Rule], *, params: int | Sequence[int] = 0
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
    * Leaves of arguments that are no numbers (functions, strings, ``True``) are passed on as they are.

    Args:
      f: a function that JAX can trace.
      rules: the first that takes a product decides.
      params: which arguments of f hold parameters, by position (:func:`photonjax.trace_workload`).

    Returns:
      ``g(key, *args)``, to be jitted, differentiated and mapped like ``f``; ``key=None``: no random
      noise. It traces f at every call: jit it. ``g.report(*args)`` is the
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
    places = (params,) if isinstance(params, int) else tuple(params)
    if not callable(f):
        raise TypeError(
            f"optical: {brief(f)} is not a function; give the one that multiplies, for a model "
            "lambda model, x: model(x)"
        )
    rules = as_rules(rules)
    name = getattr(f, "__name__", type(f).__name__)

    def run(key: jax.Array | None, args: tuple[Any, ...]) -> tuple[Any, list[Site]]:
        closed, shape = traced(f, name, args)
        values = [
            Value(leaf, origin) for leaf, origin in leaves_of(args, places) if _is_number(leaf)
        ]
        shapes = {v.origin.path: jnp.shape(v.value) for v in values if v.origin.path}
        walk = Interpreter(rules, Parameters(shapes))
        outs = walk.enter(closed, values, Turn(key), "")
        sites = walk.engine.sites
        if not walk.multiplied:
            paths = ", ".join(dict.fromkeys(site.path for site in sites))
            raise ValueError(
                f"optical: {name} has no matrix product or convolution"
                + (f", only what cannot be entered: {paths}" if paths else "")
            )
        walk.engine.check()
        return jax.tree.unflatten(jax.tree.structure(shape), [v.value for v in outs]), sites

    def check(key: Any, args: tuple[Any, ...]) -> None:
        if key is not None and not _is_key(key):
            raise TypeError(
                f"optical: the first argument is the noise key (jax.random.key(...) or None), not {key!r:.60}"
            )
        if not all(0 <= i < len(args) for i in places):
            raise ValueError(f"optical: params = {params!r}, but there are {len(args)} arguments")

    def g(key: jax.Array | None, *args: Any) -> Any:
        check(key, args)
        return run(key, args)[0]

    def report(*args: Any) -> ConversionReport:
        check(None, args)
        found: list[Site] = []
        arrays, fixed = split(args)

        def trace(arrays: list[Any]) -> Any:
            out, sites = run(None, joined(arrays, fixed))
            found.extend(sites)
            return out

        jax.eval_shape(trace, arrays)
        return ConversionReport(tuple(found))

    g.__name__ = f"optical_{name}"
    g.report = report  # type: ignore[attr-defined]
    return g


def traced(f: Callable[..., Any], name: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
    """The jaxpr of f, over those leaves of its arguments that are numbers, and its result's shape.

    Raises:
      TypeError: f looks at values that are not known before it runs.
    """
    arrays, fixed = split(args)
    try:
        return jax.make_jaxpr(lambda arrays: f(*joined(arrays, fixed)), return_shape=True)(arrays)
    except (TypeError, jax.errors.NonConcreteBooleanIndexError) as error:
        if isinstance(error, TypeError) and "concrete" not in str(error):
            raise
        first = str(error).strip().splitlines()[0]
        raise TypeError(
            f"optical: {name} cannot be traced: at {_place(error)}, it needs the value of an array, "
            "or a shape that depends on one; use lax.cond, jnp.where or a fixed size there, or pass "
            f"that value by functools.partial ({first})"
        ) from error


def _place(error: Exception) -> str:
    """File and line of the user's code that raised an error."""
    others = (os.path.dirname(jax.__file__), os.path.dirname(__file__))
    frames = traceback.extract_tb(error.__traceback__)
    frame = [f for f in frames if not f.filename.startswith(others)][-1]
    return f"{frame.filename}:{frame.lineno}"


def split(args: tuple[Any, ...]) -> tuple[list[Any], Any]:
    """Numbers, and all else (functions, strings, truths: what a model may carry along), with its place."""
    leaves, tree = jax.tree.flatten(args)
    numbers = [leaf for leaf in leaves if _is_number(leaf)]
    return numbers, (tree, [_NUMBER if _is_number(leaf) else leaf for leaf in leaves])


def joined(numbers: Sequence[Any], fixed: Any) -> tuple[Any, ...]:
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
    return hasattr(leaf, "dtype") or (
        isinstance(leaf, (int, float, complex)) and not isinstance(leaf, bool)
    )
