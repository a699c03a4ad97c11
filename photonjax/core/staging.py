"""Computations that XLA must not merge into their consumers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.experimental.xla_metadata import set_xla_metadata

F = TypeVar("F", bound=Callable[..., Any])


def apart(function: F) -> F:
    """Compile a pure function of pytrees as a computation of its own, on CPU.

    XLA's CPU backend fuses an elementwise chain into each of its consumers, and repeats it there for
    every element that they read twice: a rotary embedding would draw the noise of its queries four
    times over, and slowly. ``lax.optimization_barrier`` is gone before that pass; a call that may not
    be inlined is not. Elsewhere, where such fusions are welcome, the function is called as it is.
    """

    def inside(*args):
        # Nested jitted functions (jnp.clip and the like) inherit the attribute: let those be inlined.
        with set_xla_metadata(inlineable="true"):
            return function(*args)

    staged = jax.jit(functools.wraps(function)(inside))

    @functools.wraps(function)
    def call(*args):
        if jax.default_backend() != "cpu":
            return function(*args)
        with set_xla_metadata(inlineable="false"):
            return staged(*args)

    return call  # type: ignore[return-value]
