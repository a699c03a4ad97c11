"""Ragged products on an optical core: rows sorted into groups, each group through a matrix of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core.product import optical_dot_general


def optical_ragged_dot(
    x: jax.Array,
    w: jax.Array,
    group_sizes: jax.Array,
    precision: Any = None,
    preferred_element_type: Any = None,
    *,
    dot_general: Callable[..., jax.Array] = optical_dot_general,
    **options: Any,
) -> jax.Array:
    """``lax.ragged_dot`` as an optical core does it: the experts of a mixture, each in arrays of its own.

    Group g of the rows streams through the array that holds ``w[g]``; element g of the weight is site g
    within the weight's, as in a batch. The machine makes each row's one product; this simulation, whose
    shapes must not depend on the tokens, makes all and keeps that one, the rows of other groups being
    zeros (as XLA's CPU backend does for the digital product): G times the computing. So what is
    measured of such a site, and a scale ``per_tensor``, is over zeros too.

    Args:
      x: rows ``[T, K]``, sorted by group. w: ``[G, K, N]``. group_sizes: rows of each group, ``[G]``.
      precision, preferred_element_type: as in ``lax.ragged_dot``.
      dot_general: does the product of each group, given operands and dimension numbers.
      options: ``core``, ``key``, ``site``, ``adc_range``, ``input_range`` of
        :func:`photonjax.optical_dot_general`.

    Returns:
      ``[T, N]``; rows beyond the last group are zero.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from photonjax.core.ragged import optical_ragged_dot
      >>> x, w = jnp.ones((5, 8)), jnp.ones((2, 8, 3))
      >>> optical_ragged_dot(x, w, jnp.array([2, 3]), core=pj.OpticalCore()).shape
      (5, 3)
    """
    ends = jnp.cumsum(group_sizes)[:, None]
    rows = jnp.arange(x.shape[0])
    mine = ((rows < ends) & (rows >= ends - group_sizes[:, None]))[..., None]  # [G, T, 1]
    numbers = (((2,), (1,)), ((0,), (0,)))
    y = dot_general(jnp.where(mine, x, 0), w, numbers, precision, preferred_element_type, **options)
    return jnp.where(mine, y, 0).sum(0)
