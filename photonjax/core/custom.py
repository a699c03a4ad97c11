"""Effects of one's own, without a change to this package: a function at a named place of the light's way."""

from __future__ import annotations

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
    """Functions ``(core, p, key) -> p`` that are applied to each k-tile's sums.

    ``p`` is float32 ``[T, N]``, all tokens and outputs of the product, in products of full scale (with
    ``offset``, what its detectors see). ``core`` is the core, for its fields and what its gradients go
    through (its ``costs`` and ``chip_seed`` are left out). ``key`` is of threefry, the k-tile's, the pass's
    and the place's own; None where the call has none: then the function may distort, but draws nothing.

    Functions are part of the compiled program: one function is traced once, a new lambda at every call
    again. They are traced by ``jit``, ``vmap`` and ``grad`` like the rest of the product. What
    ``jax.random`` draws of ``p.shape``, and what :mod:`photonjax.core.random` does, is counted on global
    indices, so that results are the same on any mesh (up to the last bit, if the function leaves a
    product to be fused with a sum; under ``shard_map`` each shard draws its own).

    Attributes:
      detected: after the laser's, the shot, the amplifiers' and the converter's noise, before the columns'
        common error, gains and offsets.
      amplified: after those, just before the ADC.

    >>> def hum(core, p, key):
    ...     return p if key is None else p + 0.1 * jax.random.normal(key, p.shape)
    >>> Custom(amplified=hum).names
    {'amplified': 'hum'}
    """

    detected: Any = function()
    amplified: Any = function()

    @property
    def names(self) -> dict[str, str]:
        """What the functions that there are call themselves, by place."""
        found = {"detected": self.detected, "amplified": self.amplified}
        return {place: name_of(effect) for place, effect in found.items() if effect is not None}

    def __bool__(self) -> bool:
        return bool(self.names)

    def draw(self, key: jax.Array, tiles: int) -> list[jax.Array] | None:
        """A key for each k-tile."""
        if not self:
            return None
        own = random.stream(key, "custom")
        return [jax.random.fold_in(own, t) for t in range(tiles)]

    def apply(
        self, place: str, core: OpticalCore, p: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """One tile's sums after the function at a place, if there is one; ``key`` of :meth:`draw`.

        Raises:
          ValueError: the function returned something of another shape.
        """
        effect = getattr(self, place)
        if effect is None:
            return p
        made = effect(core, p, None if key is None else random.stream(key, place))
        if jnp.shape(made) != p.shape:
            raise ValueError(
                f"OpticalCore.custom.{place} ({name_of(effect)}) gave shape {jnp.shape(made)} for p of "
                f"shape {p.shape}; it must return p's"
            )
        return no_fma(jnp.asarray(made, p.dtype))


def name_of(effect: Any) -> str:
    """What a function calls itself."""
    inner = getattr(effect, "func", effect)  # of functools.partial
    return getattr(inner, "__qualname__", type(inner).__name__)
