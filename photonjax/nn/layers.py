"""Layers of Flax NNX whose products run on an optical core; parameters are the digital layers' own."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx
from jax import lax

from photonjax.core import optical_einsum
from photonjax.core.convolution import optical_conv
from photonjax.core.core import OpticalCore
from photonjax.nn.optical_dot import OpticalDot, scope_of
from photonjax.nn.own import multiplied_by


class OpticalLinear(nnx.Linear):
    """``nnx.Linear`` on an optical core; the parameters are the same.

    Args:
      in_features, out_features: sizes.
      core: the machine.
      rngs: initial weights and noise.
      kwargs: everything else that ``nnx.Linear`` takes, except ``dot_general``.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> layer = pj.nnx.OpticalLinear(8, 4, core=pj.OpticalCore(), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((3, 8))).shape
      (3, 4)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        core: OpticalCore,
        rngs: nnx.Rngs,
        **kwargs: Any,
    ):
        super().__init__(in_features, out_features, rngs=rngs, **kwargs)
        self.dot_general = nnx.data(OpticalDot(core, rngs=rngs))


class EinsumOp(nnx.Module):
    """A drop-in for ``jnp.einsum`` in ``nnx.Einsum``: one product of input and kernel, on a core."""

    def __init__(self, dot_general: OpticalDot):
        self.dot_general = dot_general

    def __call__(self, subscripts: str, x: jax.Array, w: jax.Array, **kwargs: Any) -> jax.Array:
        """``jnp.einsum(subscripts, x, w)`` with w held in the array."""
        return optical_einsum(subscripts, x, w, dot_general=self.dot_general, **kwargs)


class OpticalEinsum(nnx.Einsum):
    """``nnx.Einsum`` on an optical core; the parameters are the same.

    The string's first operand is the input, its second the kernel, its output explicit.

    Args:
      einsum_str, kernel_shape, bias_shape: as in ``nnx.Einsum``.
      core: the machine.
      rngs: initial weights and noise.
      kwargs: everything else that ``nnx.Einsum`` takes, except ``einsum_op``.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> core = pj.OpticalCore()
      >>> layer = pj.nnx.OpticalEinsum("btd,dnh->btnh", (8, 2, 4), core=core, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((1, 3, 8))).shape
      (1, 3, 2, 4)
    """

    def __init__(
        self,
        einsum_str: str,
        kernel_shape: tuple[int, ...],
        bias_shape: tuple[int, ...] | None = None,
        *,
        core: OpticalCore,
        rngs: nnx.Rngs,
        **kwargs: Any,
    ):
        super().__init__(einsum_str, kernel_shape, bias_shape, rngs=rngs, **kwargs)
        self.einsum_op = nnx.data(EinsumOp(OpticalDot(core, rngs=rngs)))


class ConvOp(nnx.Module):
    """A drop-in for ``lax.conv_general_dilated`` in ``nnx.Conv``: patches times the kernel, on a core.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> rngs = nnx.Rngs(0)
      >>> conv = pj.nnx.ConvOp(pj.nnx.OpticalDot(pj.OpticalCore(), rngs=rngs))
      >>> layer = nnx.Conv(3, 4, (3, 3), conv_general_dilated=nnx.data(conv), rngs=rngs)
      >>> layer(jnp.ones((1, 8, 8, 3))).shape
      (1, 8, 8, 4)
    """

    def __init__(self, dot_general: OpticalDot):
        self.dot_general = dot_general

    def __call__(
        self,
        x: jax.Array,
        kernel: jax.Array,
        window_strides: Any,
        padding: Any,
        out_sharding: Any = None,
        **kwargs: Any,
    ) -> jax.Array:
        """``lax.conv_general_dilated(x, kernel, window_strides, padding, ...)``."""
        dot = self.dot_general
        with scope_of(dot):
            kwargs |= dict(out_sharding=out_sharding, dot_general=dot)
            return optical_conv(x, kernel, window_strides, padding, **kwargs)


# The following have no hook for their products. An instance of the digital class becomes one of
# these, and back: what convert() and revert() do.


class OpticalEmbed(nnx.Embed):
    """``nnx.Embed`` whose :meth:`attend` multiplies through ``dot_general``; look-ups are as ever."""

    dot_general: OpticalDot

    def attend(self, query: jax.Array, out_sharding: Any = None) -> jax.Array:
        """The product of a query ``[..., features]`` with the table ``[entries, features]``."""
        query, table = self.promote_dtype((query, self.embedding[...]), dtype=self.dtype)
        numbers = (((query.ndim - 1,), (1,)), ((), ()))
        return self.dot_general(query, table, numbers, out_sharding=out_sharding)


class OpticalConvTranspose(nnx.ConvTranspose):
    """``nnx.ConvTranspose`` whose product is made by ``dot_general``: patches of the dilated input, zeros
    included, times the kernel."""

    dot_general: OpticalDot

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """As ``nnx.ConvTranspose``."""
        digital = nnx.ConvTranspose.__call__

        def call(x: jax.Array, kernel: jax.Array) -> jax.Array:
            plain = object.__new__(nnx.ConvTranspose)
            vars(plain).update(vars(self), kernel=_Held(kernel))
            return digital(plain, x)

        return multiplied_by(call, inputs, self.kernel[...], self.dot_general)


class _Held:
    """An array where a layer expects a variable."""

    def __init__(self, value: jax.Array):
        self.value = value

    def __getitem__(self, _: Any) -> jax.Array:
        return self.value


class OpticalLoRA(nnx.LoRA):
    """``nnx.LoRA`` with its two products, ``x A`` and ``(x A) B``, each on a core or digital."""

    lora_a_dot: OpticalDot | None
    lora_b_dot: OpticalDot | None

    def __call__(self, x: jax.Array, **kwargs: Any) -> jax.Array:
        """The low-rank product, plus what the base module, if any, makes of x."""
        x, a, b = self.promote_dtype((x, self.lora_a[...], self.lora_b[...]), dtype=self.dtype)
        y = x
        for dot, w in ((self.lora_a_dot, a), (self.lora_b_dot, b)):
            y = (lax.dot_general if dot is None else dot)(y, w, (((y.ndim - 1,), (0,)), ((), ())))
        return y if self.base_module is None else y + self.base_module(x, **kwargs)  # type: ignore[operator]
