"""Frozen dataclasses as pytrees: continuous fields are leaves, everything else is static.

``jax.tree_util.register_dataclass`` rebuilds objects through ``__init__``, which would run validation
on gradients and on tracers (the gradient of a loss in ``photons`` may well be negative). Here the
constructor validates and the pytree machinery does not.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import typing
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from photonjax.core.limits import allowed

T = TypeVar("T", bound=type)

_SINGLE = np.finfo(np.float32)

Scalar = Any
"""A real number, or whatever JAX puts in its place: an array, a tracer."""


Drawn = Literal["die", "input", "symbol", "output"]


def leaf(default: Any = dataclasses.MISSING, *, drawn: Drawn | None = None, **limits: float) -> Any:
    """A dataclass field that JAX differentiates, maps and traces.

    Args:
      default: a field whose default is None may be None.
      drawn: of a source of error, what its random numbers belong to: the ``die`` (once, by ``chip_seed``
        and site), each ``input`` of a symbol, each ``symbol``, each ``output`` sample (at every call).
      limits: ``low``, ``high`` and ``above`` (exclusive lower limit), checked when the object is
        constructed from plain numbers.
    """
    return dataclasses.field(default=default, metadata={"leaf": True, "drawn": drawn, **limits})


def taps(default: None = None) -> Any:
    """A field of a die that holds a matrix of numbers, or None; its class checks it."""
    return dataclasses.field(default=default, metadata={"leaf": True, "drawn": "die", "taps": True})


def static(default: Any, **limits: Any) -> Any:
    """A field that is part of a compiled program. Its annotation says what it may be: an integer between
    ``low`` and ``high``, a boolean, or one of the strings of a ``Literal``; None where it says so."""
    return dataclasses.field(default=default, metadata={"static": True, **limits})


def function() -> Any:
    """A field that holds a function, part of a compiled program, or None."""
    return dataclasses.field(default=None, metadata={"function": True})


def static_or_leaf(default: Any) -> Any:
    """A field that is static while it is a plain Python value, and a leaf once it is an array."""
    return dataclasses.field(default=default, metadata={"either": True})


def child(kind: type) -> Any:
    """A field that holds a pytree of class ``kind``, by default one of its defaults."""
    return dataclasses.field(default_factory=kind, metadata={"leaf": True, "child": kind})


@typing.dataclass_transform(frozen_default=True, field_specifiers=(leaf, static, taps))
def stage(cls: T) -> T:
    """Make a class one of the stages that light passes in an :class:`~photonjax.OpticalCore`.

    It becomes a frozen dataclass and a pytree (:func:`register`), checked on construction. Its errors
    name its fields as the core does: ``OpticalCore.adc.bits``.
    """
    cls.title = f"OpticalCore.{cls.__name__.lower()}"  # type: ignore[attr-defined]
    further = cls.__dict__.get("__post_init__")

    def check(self: Any) -> None:
        check_fields(self)
        if further is not None:
            further(self)

    cls.__post_init__ = check  # type: ignore[attr-defined]
    made: Any = dataclasses.dataclass(frozen=True)(cls)
    return refuse_unknown(register(made))


def register(cls: T) -> T:
    """Register a frozen dataclass, and whatever is derived from it, as a pytree whose leaves are the fields
    made by :func:`leaf`."""

    @classmethod  # type: ignore[misc]
    def derived(sub: Any, **options: Any) -> None:
        super(cls, sub).__init_subclass__(**options)  # type: ignore[arg-type]
        _register(sub)

    cls.__init_subclass__ = derived  # type: ignore[assignment]
    if cls not in _registered:
        _register(cls)
    return cls


_registered: set[type] = set()


def _register(cls: type) -> None:
    def flatten_with_keys(obj: Any):
        values, aux = flatten(obj)
        keys = [jax.tree_util.GetAttrKey(n) for n in (*_layout(cls)[0], *aux[0])]
        return list(zip(keys, values, strict=True)), aux

    def flatten(obj: Any):
        """Children, and (fields of ``either`` among them, the static rest)."""
        leaves, either, static = _layout(cls)
        arrays = tuple(n for n in either if not isinstance(getattr(obj, n), (int, float, str)))
        fixed = (*static, *(n for n in either if n not in arrays))
        children = [getattr(obj, n) for n in (*leaves, *arrays)]
        return children, (arrays, tuple((n, getattr(obj, n)) for n in fixed))

    def unflatten(aux: Any, children: Any):
        obj: Any = object.__new__(cls)
        arrays, fixed = aux
        for name, value in zip((*_layout(cls)[0], *arrays), children, strict=True):
            object.__setattr__(obj, name, value)
        for name, value in fixed:
            object.__setattr__(obj, name, value)
        return obj

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    _registered.add(cls)


@functools.cache
def _layout(cls: type) -> tuple[tuple[str, ...], ...]:
    """Names of the leaves, of what is either, of the rest; asked for once a derived class has its fields."""
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    leaves = tuple(f.name for f in fields if f.metadata.get("leaf"))
    either = tuple(f.name for f in fields if f.metadata.get("either"))
    return leaves, either, tuple(f.name for f in fields if f.name not in (*leaves, *either))


def refuse_unknown(cls: T) -> T:
    """Let the constructor of a dataclass name the fields that there are, where it is given another."""
    build = cls.__init__  # type: ignore[misc]

    @functools.wraps(build)
    def init(self: Any, *args: Any, **values: Any) -> None:
        known = [f.name for f in dataclasses.fields(self)]
        for name in values:
            if name not in known:
                head, _, rest = name.partition(".")
                nested = f"; dotted names are for replace, give {head}={{{rest!r}: ...}} here"
                raise TypeError(
                    f"{title_of(self)} has no field {name!r}{nested}"
                    if rest and head in known
                    else unknown_field(self, name, known)
                )
        build(self, *args, **values)

    cls.__init__ = init  # type: ignore[misc]
    return cls


def unknown_field(obj: Any, name: str, known: Iterable[str], where: str = "") -> str:
    """The error message for a field that there is not: similar ones, in the stages too, and all of them."""
    paths = [*known]
    for field in dataclasses.fields(obj) if dataclasses.is_dataclass(obj) else ():
        if "child" in field.metadata:
            inner = dataclasses.fields(field.metadata["child"])
            paths += [f"{field.name}.{f.name}" for f in inner]
    ends = {path.rpartition(".")[2] for path in paths}
    close = difflib.get_close_matches(name, ends, n=1) or difflib.get_close_matches(
        name, paths, n=1
    )
    near = [path for path in paths if path in close or path.rpartition(".")[2] in close]
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return (
        f"{where or title_of(obj)} has no field {name!r}{hint}; known: {', '.join(known) or 'none'}"
    )


def title_of(obj: Any) -> str:
    """How errors name an object: its class, or where in an ``OpticalCore`` it stands."""
    return getattr(obj, "title", type(obj).__name__)


def check_fields(obj: Any) -> None:
    """Raise for a field of :func:`static` or :func:`leaf` that its annotation and limits do not allow."""
    hints = _hints(type(obj))  # type: ignore[arg-type]
    for field in dataclasses.fields(obj):
        if field.metadata.get("function"):
            _check_function(f"{title_of(obj)}.{field.name}", getattr(obj, field.name))
        if field.metadata.get("static"):
            if isinstance(getattr(obj, field.name), np.integer):
                object.__setattr__(obj, field.name, int(getattr(obj, field.name)))
            _check_static(f"{title_of(obj)}.{field.name}", getattr(obj, field.name), field, hints)
    check_leaves(obj)


def _check_function(name: str, value: Any) -> None:
    if value is None:
        return
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{name} = {brief(value)} is not a function, or None")
    try:
        hash(value)
    except TypeError:
        raise TypeError(f"{name} = {brief(value)} has no hash; give a function") from None


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _check_static(name: str, value: Any, field: Any, hints: dict[str, Any]) -> None:
    kinds = typing.get_args(hints[field.name]) or (hints[field.name],)
    optional = type(None) in kinds
    if value is None and optional:
        return
    if int in kinds:
        low, high = field.metadata["low"], field.metadata["high"]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not low <= value <= high:
            wanted = allowed("an integer", low, high, optional=optional)
            error = ValueError if whole else TypeError
            raise error(f"{name} = {brief(value)} is not {wanted}")
    elif bool in kinds:
        if not isinstance(value, bool):
            raise TypeError(f"{name} = {brief(value)} is not True or False")
    elif not isinstance(value, str) or value not in kinds:
        raise ValueError(f"{name} = {brief(value)}; choose one of {', '.join(kinds)}")


def check_leaves(obj: Any) -> None:
    """Raise for a leaf that is no real number or array of them, or outside the limits of its field.

    What JAX holds (arrays, tracers) may have any value; numbers and NumPy's arrays are looked at.
    """
    hints = _hints(type(obj))  # type: ignore[arg-type]
    for field in dataclasses.fields(obj):
        if not field.metadata.get("leaf") or hints[field.name] is not Any:
            continue  # static, or a pytree of its own
        if field.metadata.get("taps"):
            continue
        value = getattr(obj, field.name)
        name, limits = f"{title_of(obj)}.{field.name}", _limits(field)
        if value is None and field.default is not None:
            raise ValueError(f"{name} is None; give {allowed('a number', **limits)}")
        if value is None or value is ...:  # the latter holds a place for a value that is elsewhere
            continue
        check_number(name, value, optional=field.default is None, **limits)


def check_number(name: str, value: Any, optional: bool = False, **limits: float) -> None:
    """Raise for what is no finite real number, or array of them, within ``low``, ``high`` and ``above``.

    It is held in single precision, in which it must be finite too and, where ``above`` is zero, no zero.

    ``optional``: None would have been allowed, which the message says.

    Raises:
      TypeError, ValueError: with the name, the value and what is allowed.
    """
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    dtype = getattr(value, "dtype", type(value) if number else np.bool_)
    if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
        raise TypeError(
            f"{name} = {brief(value)} is not {allowed('a number', optional=optional, **limits)}"
        )
    if not number and not isinstance(value, np.ndarray):
        return  # JAX's
    try:
        numbers = np.asarray(value, float)
    except OverflowError:
        numbers = np.asarray(math.inf)
    low, high = limits.get("low", -math.inf), limits.get("high", math.inf)
    within = (low <= numbers) & (numbers <= high) & (numbers > limits.get("above", -math.inf))
    wanted = allowed("a number", optional=optional, **limits)
    if not (within & np.isfinite(numbers)).all():
        raise ValueError(f"{name} = {brief(value)} is not {wanted}")
    with np.errstate(over="ignore", under="ignore"):
        sizes = np.abs(numbers).astype(np.float32)
    lost = np.isinf(sizes) | ((sizes < _SINGLE.tiny) & (limits.get("above") == 0))
    if lost.any():
        raise ValueError(
            f"{name} = {brief(value)} is not {wanted} in single precision, whose positive numbers are "
            f"{_SINGLE.tiny:.2g} ... {_SINGLE.max:.2g}"
        )


def brief(value: Any) -> str:
    """The value on one line of at most 60 letters, for errors."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _limits(field: Any) -> dict[str, Any]:
    return {
        name: field.metadata[name] for name in ("low", "high", "above") if name in field.metadata
    }


def present(stage: Any, *drawn: str) -> bool:
    """Whether a stage has a source of error that is drawn there (see :func:`leaf`)."""
    return any(
        field.metadata.get("drawn") in drawn and getattr(stage, field.name) is not None
        for field in dataclasses.fields(stage)
    )
