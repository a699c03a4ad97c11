"""Effects of one's own, without a change to this package: a function at a named place of the light's way."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.pytree import function, stage
from photonjax.core.rounding import no_fma

if TYPE_CHECKING:
    from photonjax.core.core import OpticalCore


@stage
class Custom:
    """Functions ``(core, p, key) -> p`` at named places of the light's way.

    ``core`` is the core, for its fields and what its gradients go through (its ``costs`` and ``chip_seed``
    are left out). ``key`` is of threefry: the place's, the pass's and (of sums) the k-tile's own. None where
    the call has none: then the function may distort, but draws nothing. Of ``programmed`` it is the die's and
    the weight's, always there, and the same at every call.

    Functions are part of the compiled program: one function is traced once, a new lambda at every call
    again. They are traced by ``jit``, ``vmap`` and ``grad`` like the rest of the product. What
    ``jax.random`` draws of ``p.shape``, and what :mod:`photonjax.core.random` does, is counted on global
    indices, so that results are the same on any mesh (up to the last bit, if the function leaves a
    product to be fused with a sum; under ``shard_map`` each shard draws its own).

    Attributes:
      modulated: inputs ``a``, float32 ``[T, K]`` in full scales, as they leave their modulators, after those'
        own errors. What they become is carried in steps of 1/8192 of full scale (8 bits and fewer).
      programmed: weights ``b``, ``[K, N]`` in full scales, as cells hold them, after the die's own errors; of
        each slice. Carried in the same steps.
      detected: of each k-tile's sums ``p``, float32 ``[T, N]`` in products of full scale (with ``offset``,
        what its detectors see): after the laser's, the shot, the amplifiers' and the converter's noise,
        before the columns' common error, gains and offsets.
      amplified: of the same after those, just before the ADC.

    >>> def hum(core, p, key):
    ...     return p if key is None else p + 0.1 * jax.random.normal(key, p.shape)
    >>> Custom(amplified=hum).names
    {'amplified': 'hum'}
    """

    modulated: Any = function()
    programmed: Any = function()
    detected: Any = function()
    amplified: Any = function()

    @property
    def names(self) -> dict[str, str]:
        """What the functions that there are call themselves, by place."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {place: name_of(effect) for place, effect in found.items() if effect is not None}

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def dynamic(self) -> bool:
        """Whether a function is called with the call's key."""
        return any(place != "programmed" for place in self.names)

    def draw(self, key: jax.Array, tiles: int) -> list[jax.Array] | None:
        """A key for each k-tile."""
        if self.detected is None and self.amplified is None:
            return None
        own = random.stream(key, "custom")
        return [jax.random.fold_in(own, t) for t in range(tiles)]

    def apply(
        self, place: str, core: OpticalCore, p: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """What a function at a place makes of values there; themselves, if there is none.

        Raises:
          ValueError: the function returned something of another shape.
        """
        effect = getattr(self, place)
        if effect is None:
            return p
        made = effect(core, p, None if key is None else random.stream(key, place))
        if jnp.shape(made) != p.shape:
            raise ValueError(
                f"OpticalCore.custom.{place} ({name_of(effect)}) gave shape {jnp.shape(made)} for values of "
                f"shape {p.shape}; it must return theirs"
            )
        return no_fma(jnp.asarray(made, p.dtype))

    def apply_to_levels(
        self, place: str, core: OpticalCore, levels: jax.Array, unit: int, key: jax.Array | None
    ) -> jax.Array:
        """:meth:`apply` to an operand in levels, ``unit`` to a full scale; the function sees full scales."""
        if getattr(self, place) is None:
            return levels
        own = None if key is None else random.stream(key, "custom")
        bare = core.replace(costs=None, chip_seed=0)
        return no_fma(unit * self.apply(place, bare, no_fma(levels * (1 / unit)), own))


def name_of(effect: Any) -> str:
    """What a function calls itself."""
    inner = getattr(effect, "func", effect)  # of functools.partial
    return getattr(inner, "__qualname__", type(inner).__name__)
