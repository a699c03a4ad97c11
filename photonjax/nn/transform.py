"""``optical``: any JAX function with the products that rules name on optical cores, through its jaxpr."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.inventory.jaxprs import join_path, weighs
from photonjax.inventory.origin import COMPUTED, Origin
from photonjax.nn.convert import ConversionReport, Rule, Site, check_rules
from photonjax.nn.interpreter import Interpreter, Turn, Value


def optical(
    f: Callable[..., Any], rules: Sequence[Rule], *, params: int | Sequence[int] = 0
) -> Any:
    """Put matrix products of any JAX function on optical cores.

    The function is traced; products and convolutions are found in jit, scan, while, cond, remat,
    custom derivatives and shard_map, named as :func:`photonjax.take_inventory` names them (the
    parameter's place in its tree, else the named scope, else ``dot_general:<number>``), and those
    that a rule matches run through :func:`photonjax.optical_dot_general`. Everything else runs as it
    did. Inside a function with a derivative rule of its own, values become optical and the rule
    stays.

    Convolutions (ungrouped) are products of patches with the kernel. Static errors follow from the
    product's path and, for layers run by a scan, their number; noise from ``key``, the path, the
    occurrence and the turn of the loop. Under shard_map each shard draws noise of its own, so that
    there, unlike elsewhere, results depend on the mesh.

    Args:
      f: a function that JAX can trace.
      rules: the first that matches a product decides.
      params: which arguments of f hold parameters, by position (:func:`photonjax.take_inventory`).

    Returns:
      ``g(key, *args)``, to be jitted, differentiated and mapped like ``f``; ``key=None``: no random
      noise. ``g.report(*args)`` is the :class:`~photonjax.ConversionReport` for such arguments, with
      what could not be entered; nothing is computed.

    Raises:
      ValueError: (when g is called) a rule that matches nothing, or is never reached.

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
    rules = tuple(rules)

    def run(key: jax.Array | None, *args: Any) -> tuple[Any, list[Site]]:
        if not all(0 <= i < len(args) for i in places):
            raise ValueError(f"optical: params = {params!r}, but there are {len(args)} arguments")
        closed, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        values = []
        for i, arg in enumerate(args):
            for path, leaf in jax.tree_util.tree_leaves_with_path(arg):
                name = join_path(path) or f"argument/{i}"
                origin = Origin(True, name, math.prod(jnp.shape(leaf)))
                known = i in places and weighs(leaf)
                values.append(Value(leaf, origin if known else COMPUTED))
        walk = Interpreter(rules)
        outs = walk.enter(closed, values, Turn(key), "")
        matched, used = walk.matched, walk.used
        check_rules(rules, matched, used, [site.path for site in walk.sites])
        return jax.tree.unflatten(jax.tree.structure(shape), [v.value for v in outs]), walk.sites

    def g(key: jax.Array | None, *args: Any) -> Any:
        return run(key, *args)[0]

    def report(*args: Any) -> ConversionReport:
        found: list[Site] = []

        def trace(*args: Any) -> Any:
            out, sites = run(None, *args)
            found.extend(sites)
            return out

        jax.eval_shape(trace, *args)
        return ConversionReport(tuple(found))

    g.report = report  # type: ignore[attr-defined]
    return g
