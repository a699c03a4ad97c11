"""Putting an existing NNX model on light, by rules, and saying exactly what was done."""

from __future__ import annotations

import dataclasses
import fnmatch
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from photonjax.hardware.core import OpticalCore
from photonjax.nn.nnx import (
    EinsumOp,
    OpticalDot,
    hold,
    optical_dots,
    release,
    set_noise_key,
    unrolled_path,
)

Model = TypeVar("Model", bound=nnx.Module)
Status = Literal["optical", "digital"]

# Modules with products of their own that cannot be reached: nothing to replace in them.
_CLOSED = (nnx.Conv, nnx.ConvTranspose, nnx.MultiHeadAttention)


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which products run on which core.

    Attributes:
      pattern: a glob over the paths of modules and of their parameters, ``/`` between levels; ``*``
        also matches ``/``. ``"layers/*/mlp/*"``, ``"*/q_proj"``, ``"head"``.
      core: the machine, or ``None`` to keep what matches digital (the first matching rule decides).
      dynamic: also take products of two computed operands (attention's scores and values), whose
        "weight" must be written into the array anew for every call.

    Example:
      >>> import photonjax as pj
      >>> pj.Rule("layers/*/mlp/*", pj.OpticalCore()).matches("layers/3/mlp/up_proj")
      True
    """

    pattern: str
    core: OpticalCore | None
    dynamic: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str) or not self.pattern:
            raise TypeError(f"Rule.pattern = {self.pattern!r} is not a non-empty string")
        if self.core is not None and not isinstance(self.core, OpticalCore):
            raise TypeError(f"Rule.core = {self.core!r} is neither an OpticalCore nor None")

    def matches(self, *paths: str) -> bool:
        """Whether any of the paths fits the pattern."""
        return any(fnmatch.fnmatchcase(path, self.pattern) for path in paths)


@dataclasses.dataclass(frozen=True)
class Site:
    """One product of a model: where it is, what weight it has, what became of it.

    ``parameter`` is the path of the held weight (``None`` if both operands are computed), ``shape``
    its shape without the layer axis, ``layers`` the size of that axis (1 if there is none).
    """

    path: str
    parameter: str | None
    shape: tuple[int, ...] | None
    layers: int
    status: Status
    reason: str
    core: OpticalCore | None = None

    @property
    def dynamic(self) -> bool:
        """Whether both operands are computed."""
        return self.parameter is None


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What :func:`convert` did with every product it knows of; prints as a table."""

    sites: tuple[Site, ...]

    @property
    def optical(self) -> tuple[Site, ...]:
        return tuple(site for site in self.sites if site.status == "optical")

    @property
    def digital(self) -> tuple[Site, ...]:
        return tuple(site for site in self.sites if site.status == "digital")

    def __str__(self) -> str:
        rows = [("site", "weight", "layers", "runs", "why")]
        for s in self.sites:
            weight = "computed" if s.shape is None else " x ".join(map(str, s.shape))
            rows.append((s.path, weight, str(s.layers), s.status, s.reason))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]])
            for row in rows
        )


def convert(
    model: Model, rules: Sequence[Rule], *, key: jax.Array | None = None, noise: bool = True
) -> tuple[Model, ConversionReport]:
    """Put the products that the rules name onto optical cores.

    Every module with a ``dot_general`` attribute is a site: ``nnx.Linear``, ``nnx.LinearGeneral`` and
    any module written so. The result is a new model with the same parameter tree (checkpoints load
    either way); the arrays are shared, the given model stays as it was.

    Args:
      model: an NNX module.
      rules: the first that matches a site decides.
      key: starts the dynamic noise (default ``jax.random.key(0)``); see
        :func:`photonjax.nnx.set_noise_key`.
      noise: ``False`` leaves dynamic noise off.

    Returns:
      the model, and a :class:`ConversionReport` on every site.

    Raises:
      ValueError: a rule that matches nothing or is never reached; a model without sites.

    Example:
      >>> import photonjax as pj
      >>> from flax import nnx
      >>> mlp = nnx.Sequential(nnx.Linear(8, 16, rngs=nnx.Rngs(0)), nnx.Linear(16, 4, rngs=nnx.Rngs(1)))
      >>> optical, report = pj.convert(mlp, [pj.Rule("layers/0", pj.OpticalCore())])
      >>> print(report)
      site      weight  layers  runs     why
      layers/0  8 x 16  1       optical  rule 'layers/0'
      layers/1  16 x 4  1       digital  no rule matches
    """
    model = nnx.clone(model)
    found = list(_sites(model))
    if not any(_open(module) for _, module in found):
        raise ValueError(
            f"{type(model).__name__} has no module with a dot_general attribute: nothing to convert"
        )
    stacks = _stacks(found)
    used: set[int] = set()
    matched: set[int] = set()
    done = []
    for path, module in found:
        weight = _weight(model, path, module)
        paths = (path, weight.path) if weight else (path,)
        hits = [i for i, rule in enumerate(rules) if rule.matches(*paths)]
        matched.update(hits)
        rule = rules[hits[0]] if hits else None
        stack = stacks[path]
        core, reason = _decide(rule, module, weight)
        if rule is not None and (core is not None or rule.core is None):
            used.add(hits[0])
        if core is not None:
            dot = OpticalDot(core, site=_site_index(path, stack), stack=stack)
            _install(module, dot)
        elif rule is not None and rule.core is None and _optical(module):
            _install(module, None)
        elif _optical(module):
            core, reason = _optical(module).core, "optical before this conversion"
        done.append(
            Site(
                path=path,
                parameter=weight.path if weight else None,
                shape=weight.shape[len(stack) :] if weight else None,
                layers=int(np.prod(stack, dtype=int)),
                status="optical" if core is not None else "digital",
                reason=reason,
                core=core,
            )
        )
    check_rules(rules, matched, used, [site.path for site in done])
    if noise:
        set_noise_key(model, jax.random.key(0) if key is None else key)
    return model, ConversionReport(tuple(done))


def hold_weights(model: nnx.Module) -> None:
    """Write every stationary weight of a converted model into its array, once; in place.

    Calls then skip scaling, rounding and the die's static errors. The parameters stay; after they
    change, call this again, or :func:`release_weights` before training.
    """
    for path, module in list(_sites(model)):
        weight = _weight(model, path, module)
        dot = getattr(module, "dot_general", None)
        if weight is not None and weight.contracting is not None and isinstance(dot, OpticalDot):
            hold(dot, weight.value, weight.contracting)


def release_weights(model: nnx.Module) -> None:
    """Undo :func:`hold_weights`; in place."""
    for _, dot in optical_dots(model):
        release(dot)


@dataclasses.dataclass(frozen=True)
class _Weight:
    path: str
    value: jax.Array
    contracting: tuple[int, ...] | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


def _sites(model: nnx.Module) -> Iterator[tuple[str, Any]]:
    """Modules that multiply, in natural order of their paths."""
    modules = (("/".join(map(str, path)), module) for path, module in nnx.iter_modules(model))
    for path, module in sorted(modules, key=_natural):
        if _open(module) or isinstance(module, _CLOSED):
            yield path, module


def _natural(item: tuple[str, Any]) -> list[tuple[int, int | str]]:
    return [(0, int(p)) if p.isdigit() else (1, p) for p in item[0].split("/")]


def _open(module: Any) -> bool:
    """Whether the module's product can be replaced."""
    if isinstance(module, (*_CLOSED, EinsumOp)):
        return False
    if isinstance(module, (nnx.LinearGeneral, nnx.Einsum)):
        return getattr(module, "dot_general_cls", None) is None
    return callable(getattr(module, "dot_general", None))


def _install(module: Any, dot: OpticalDot | None) -> None:
    """Let the module multiply through ``dot``, or digitally again."""
    if isinstance(module, nnx.Einsum):
        module.einsum_op = nnx.data(jnp.einsum if dot is None else EinsumOp(dot))
    else:
        module.dot_general = nnx.data(jax.lax.dot_general if dot is None else dot)


def _optical(module: Any) -> Any:
    """The OpticalDot that a module multiplies with already, or None."""
    hook = getattr(module, "einsum_op" if isinstance(module, nnx.Einsum) else "dot_general", None)
    hook = hook.dot_general if isinstance(hook, EinsumOp) else hook
    return hook if isinstance(hook, OpticalDot) else None


def _weight(model: nnx.Module, path: str, module: Any) -> _Weight | None:
    """The parameter a site holds: its ``kernel``, or what it names in ``held_weight``.

    ``held_weight`` is ``(parameter path, contracted axis)``, for a module whose weight lives
    elsewhere, such as a head tied to the embedding.
    """
    if hasattr(module, "held_weight"):
        parameter, axis = module.held_weight
        node: Any = model
        for part in parameter.split("/"):
            node = node[int(part)] if part.isdigit() else getattr(node, part)
        return _Weight(parameter, node[...], (axis,))
    kernel = getattr(module, "kernel", None)
    if not isinstance(kernel, nnx.Variable):
        return None
    contracting: tuple[int, ...] | None = (0,)
    if isinstance(module, nnx.LinearGeneral):
        contracting = None if module.batch_axis else tuple(range(len(module.in_features)))
    elif isinstance(module, nnx.Einsum):
        contracting = None
    return _Weight(f"{path}/kernel" if path else "kernel", kernel[...], contracting)


def _stacks(found: list[tuple[str, Any]]) -> dict[str, tuple[int, ...]]:
    """Leading layer axes of each site: read off kernels, inherited by sites next to them."""
    known = {
        path: module.kernel[...].shape[:-2]
        for path, module in found
        if isinstance(module, nnx.Linear)
    }
    stacks = {}
    for path, _ in found:
        near = max(known, key=lambda other: _shared(path, other), default=None)
        stacks[path] = known.get(path, known[near] if near and _shared(path, near) > 1 else ())
    return stacks


def _shared(a: str, b: str) -> int:
    """Number of leading path parts in common."""
    count = 0
    for x, y in zip(a.split("/"), b.split("/"), strict=False):
        if x != y:
            break
        count += 1
    return count


def _site_index(path: str, stack: tuple[int, ...]) -> jax.Array:
    """A stable hash of the path; for stacked layers, of the paths they would have unrolled."""
    if not stack:
        return jnp.uint32(zlib.crc32(path.encode()))
    paths = (unrolled_path(path, layer) for layer in range(int(np.prod(stack))))
    return jnp.asarray([zlib.crc32(p.encode()) for p in paths], jnp.uint32).reshape(stack)


def _decide(rule: Rule | None, module: Any, weight: _Weight | None):
    """The core a site gets (or None) and the reason."""
    if not _open(module):
        return None, f"{type(module).__name__}'s own product has nothing to replace"
    if rule is None:
        return None, "no rule matches" if weight else "no rule matches (dynamic)"
    if rule.core is None:
        return None, f"rule {rule.pattern!r} keeps it digital"
    if weight is None and not rule.dynamic:
        return None, f"dynamic product, and rule {rule.pattern!r} is for held weights"
    dynamic = "" if weight else ", dynamic: written anew at every call"
    return rule.core, f"rule {rule.pattern!r}{dynamic}"


def check_rules(rules: Sequence[Rule], matched: set[int], used: set[int], paths: list[str]) -> None:
    """Raise ``ValueError`` for a rule that matches none of the paths, or decides nothing."""
    for i, rule in enumerate(rules):
        if i not in matched:
            raise ValueError(
                f"rule {rule.pattern!r} matches no product; the model has {', '.join(paths[:12])}"
                + (" ..." if len(paths) > 12 else "")
            )
        if i not in used:
            raise ValueError(
                f"rule {rule.pattern!r} has no effect: earlier rules decide everything it matches, "
                "or it matches only dynamic products (Rule(..., dynamic=True) takes those)"
            )
