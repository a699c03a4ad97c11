"""One matrix product on an optical core: ``optical_dot_general`` and what is built on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from photonjax.core import random
from photonjax.core.core import OpticalCore, check_core
from photonjax.core.fixed_point import stored, whole
from photonjax.core.meshes import automatic, result_sharding, transposed
from photonjax.core.operands import (
    DimensionNumbers,
    check_arrays,
    check_finite,
    check_input,
    einsum_axes,
    full_scale_of,
    normalized,
    result_dtype,
)
from photonjax.core.passes import ProductTrace, matrix_product
from photonjax.core.programming import (
    Levels,
    ProgrammedWeight,
    Slice,
    check_programmed,
    check_weight,
    load_weight,
    matrix_of,
    weight_steps,
)
from photonjax.core.quantize import QuantizedArray
from photonjax.core.site import Site, check_site_number

Weight = jax.Array | QuantizedArray | ProgrammedWeight


def optical_dot_general(
    x: jax.Array,
    w: Weight,
    dimension_numbers: DimensionNumbers,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
    *,
    core: OpticalCore,
    key: jax.Array | None = None,
    site: Site = 0,
    batch_start: int = 0,
    adc_range: jax.Array | float | None = None,
    input_range: jax.Array | float | None = None,
) -> jax.Array:
    """``lax.dot_general`` as an optical core does it.

    x is the streamed operand (inputs), w the one written into the array (weights). With the batch
    and free axes flattened, x is ``[T, K]`` and w ``[K, N]``. Inputs and weights are scaled to full
    scale and quantized; K is cut into tiles of ``core.rows``; each tile's analog sum suffers the
    core's noise and is digitised on its own; the tiles are added digitally and scaled back::

        a = round(x / s_x * q_in) / q_in          s_x: each token's (or the tensor's) largest magnitude
        b = round(w / s_w * q_w) / q_w            s_w: each column's (or the matrix's); + programming error
        p = sum_k (a + input error) b             per k-tile, exact for 8 bits and fewer
        p = p (1 + laser) + shot + receiver + converter noise
        y = s_x s_w sum_tiles ADC(p)

    Each stage's file has its variances and their derivations (:mod:`photonjax.core.encoding` first).
    Where ``core.encoding.kind`` is ``"offset"``, the detector sees ``p + sum a + sum b`` (the constant
    K is biased away); laser noise and ADC act on that, and two sums are subtracted after it: that of the
    inputs meant, so that input error weighs ``1 + b``, and that of the weights as the die holds them,
    which calibration measures.

    Gradients: rounding and the ADC are straight-through inside their range and saturate outside;
    noise is reparameterised, so derivatives with respect to x, w and the core's continuous fields
    are those of the expression above with its random draws held fixed. Scales taken from x and w
    carry no gradient. The backward products run in floating point at ``precision``.

    Args:
      x: floating array, of eight bits and fewer too (carried exactly).
      w: floating array, :class:`QuantizedArray` or :class:`ProgrammedWeight` (no batch axes then).
      dimension_numbers: as for ``lax.dot_general``: ``((x_contracting, w_contracting), (x_batch, w_batch))``.
      precision: of the floating-point products: all backward ones, and the forward one beyond 8 bits.
      preferred_element_type: floating dtype of the result; by default ``lax.dot_general``'s.
      out_sharding: sharding of the result, as in ``lax.dot_general``: on an explicit mesh, needed where the
        contracted axis is sharded.
      core: the machine.
      key: draws the dynamic noise; of any kind that JAX has, typed or raw. ``None``: no random noise.
        Static errors are drawn from ``core.chip_seed`` and ``site`` alone.
      site: names the weight on the die: its parameter's path, an integer, or a tuple of them, one within
        another; element i of a batch is site i within it.
      adc_range: ADC full scale in units of ``p``, in place of ``core.adc.range * sqrt(rows used)``: a
        number, or one for each output ``[N]``; for each pass of bit slices (``core.passes``), ``[passes, 1]``
        or ``[passes, N]``; where a traced one is NaN, not in place of it.
      input_range: full scale of x for ``input.scale="static"``, in place of ``core.input.range``.

    Returns:
      array of ``lax.dot_general``'s shape: batch axes, free axes of x, free axes of w.

    Raises:
      TypeError: integer operands, something that is no core, array or number. ValueError: shapes or
      dimension numbers that do not fit, a quantized weight that does not fit the core, NaN or infinity in
      a concrete operand, a concrete range that is not positive and finite.

    Example:
      >>> import jax, jax.numpy as jnp, photonjax as pj
      >>> core = pj.OpticalCore(rows=64, cols=64, photons=1e3, adc={"bits": None})
      >>> x, w = jax.random.normal(jax.random.key(0), (2, 8, 128)), jnp.ones((128, 16))
      >>> y = pj.optical_dot_general(x, w, (((2,), (0,)), ((), ())), core=core, key=jax.random.key(1))
      >>> y.shape
      (2, 8, 16)
    """
    check_arrays("optical_dot_general", x=x, w=w)
    options = dict(core=core, key=key, site=site, adc_range=adc_range, input_range=input_range)

    def product(x: jax.Array, w: Weight, options: dict[str, Any]) -> jax.Array:
        kinds = (precision, preferred_element_type)
        return traced_dot_general(
            x, w, dimension_numbers, *kinds, batch_start=batch_start, **options
        )[0]

    sharding = result_sharding(x, w, dimension_numbers, out_sharding)
    return automatic(product, sharding, x, w, options)


def optical_matmul(
    x: jax.Array,
    w: Weight,
    *,
    dot_general: Callable[..., jax.Array] = optical_dot_general,
    **options: Any,
) -> jax.Array:
    """``[..., K] x [K, N]`` on an optical core; x is streamed and w held in the array.

    Args:
      x, w, options: as in :func:`optical_dot_general`.
      dot_general: does the product, given x, w and dimension numbers.

    Raises:
      ValueError: for a weight that is no matrix, or operands that do not fit.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> core = pj.machines.optical("ideal")
      >>> pj.optical_matmul(jnp.ones((2, 3, 8)), jnp.ones((8, 4)), core=core).shape
      (2, 3, 4)
    """
    check_arrays("optical_matmul", x=x, w=w)
    if w.ndim != 2 or x.ndim < 1:
        raise ValueError(
            f"optical_matmul: x {tuple(x.shape)} and w {tuple(w.shape)} are not [..., K] and [K, N]; "
            "optical_dot_general and optical_einsum take other shapes"
        )
    return dot_general(x, w, (((x.ndim - 1,), (0,)), ((), ())), **options)


def optical_einsum(
    subscripts: str,
    x: jax.Array,
    w: Weight,
    *,
    out_sharding: Any = None,
    dot_general: Callable[..., jax.Array] = optical_dot_general,
    **options: Any,
) -> jax.Array:
    """Two-operand einsum on an optical core; x is streamed and w held in the array, in that order.

    Args:
      subscripts: explicit, like ``"btd,dnh->btnh"``. Every letter of an operand appears once in it and
        again in the other operand or in the output. An ellipsis is allowed in x.
      x, w, out_sharding, options: as in :func:`optical_dot_general`.
      dot_general: does the product, given x, w and dimension numbers.

    Raises:
      ValueError: for subscripts that are not one product of two operands.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> core = pj.machines.optical("ideal")
      >>> pj.optical_einsum("...k,kn->...n", jnp.ones((2, 3, 8)), jnp.ones((8, 4)), core=core).shape
      (2, 3, 4)
    """
    check_arrays("optical_einsum", x=x, w=w)
    x_axes, w_axes, out_axes = einsum_axes(subscripts, x.ndim, w.ndim)
    contracted = [a for a in w_axes if a in x_axes and a not in out_axes]
    batch = [a for a in w_axes if a in x_axes and a in out_axes]
    numbers = (
        (tuple(x_axes.index(a) for a in contracted), tuple(w_axes.index(a) for a in contracted)),
        (tuple(x_axes.index(a) for a in batch), tuple(w_axes.index(a) for a in batch)),
    )
    have = batch + [a for a in x_axes if a not in w_axes] + [a for a in w_axes if a not in x_axes]
    order = [have.index(a) for a in out_axes]
    if out_sharding is not None:
        options["out_sharding"] = transposed(out_sharding, order)
    return jnp.transpose(dot_general(x, w, numbers, **options), order)


def traced_dot_general(
    x: jax.Array,
    w: Weight,
    dimension_numbers: DimensionNumbers,
    precision: Any = None,
    preferred_element_type: Any = None,
    *,
    core: OpticalCore,
    key: jax.Array | None = None,
    site: Site = 0,
    batch_start: int = 0,
    adc_range: jax.Array | float | None = None,
    input_range: jax.Array | float | None = None,
) -> tuple[jax.Array, ProductTrace]:
    """:func:`optical_dot_general` without ``out_sharding``, and how the result came about."""
    check_arrays("optical_dot_general", x=x, w=w)
    check_core("optical_dot_general", core)
    (xc, wc), (xb, wb) = normalized(x, w, dimension_numbers)
    check_input(x)
    check_finite("x", x)
    if isinstance(w, ProgrammedWeight):
        check_programmed(w, core, wc, wb)
    else:
        check_weight(w, core, wc)
        check_finite("w", w.scale if isinstance(w, QuantizedArray) else w)
    key = None if key is None else random.as_threefry(key)
    dtype = result_dtype(x, w, preferred_element_type)

    x_free = [a for a in range(x.ndim) if a not in (*xc, *xb)]
    w_free = [a for a in range(w.ndim) if a not in (*wc, *wb)]
    out_shape = (
        [x.shape[a] for a in xb] + [x.shape[a] for a in x_free] + [w.shape[a] for a in w_free]
    )
    options = dict(
        core=core,
        precision=precision,
        adc_range=full_scale_of(
            "adc_range", adc_range, math.prod(w.shape[a] for a in w_free), core.passes
        ),
        input_range=full_scale_of("input_range", input_range),
    )
    if math.prod(out_shape) == 0 or math.prod(x.shape[a] for a in xc) == 0:
        return jnp.zeros(out_shape, dtype), ProductTrace(jnp.zeros(()), [], [], None)

    if not xb:
        rows = jnp.transpose(x, (*x_free, *xc)).reshape(math.prod(x.shape[a] for a in x_free), -1)
        trace = matrix_product(rows, _stored_or_loaded(w, core, site, wc), key=key, **options)
    else:
        axes = (xb, x_free, xc), (wb, w_free, wc)
        trace = _batched_product(x, w, *axes, key, site, batch_start, options)
    return trace.y.reshape(out_shape).astype(dtype), trace


def _stored_or_loaded(
    w: Weight, core: OpticalCore, site: Any, contracting: tuple[int, ...]
) -> Levels:
    if isinstance(w, ProgrammedWeight):
        held = [tuple(stored(part) for part in parts) for parts in w.parts]
        slices = [
            Slice(whole(parts, weight_steps(core)), parts, moment, lit)
            for parts, moment, lit in zip(held, w.moment, w.lit, strict=True)
        ]
        return Levels(slices, w.scale, w.die)
    return load_weight(w, core, site, lambda array: matrix_of(array, contracting))


def _batched_product(x, w, x_axes, w_axes, key, site, start, options) -> ProductTrace:
    """Batch axes: each batch element is a product of its own, with its own key and site."""
    (xb, x_free, xc), (wb, w_free, wc) = x_axes, w_axes
    check_site_number("batch_start", start)
    batch = [x.shape[a] for a in xb]
    count, terms = math.prod(batch), math.prod(x.shape[a] for a in xc)
    core = options["core"]

    def stack(array, order, shape):
        return jnp.transpose(array, order).reshape(count, *shape)

    xs = stack(x, (*xb, *x_free, *xc), (-1, terms))
    if isinstance(w, QuantizedArray):
        scale = jnp.broadcast_to(w.scale, w.shape)
        ws = QuantizedArray(
            stack(w.values, (*wb, *wc, *w_free), (terms, -1)),
            stack(scale, (*wb, *wc, *w_free), (terms, -1))[:, :1],
            w.bits,
            (0,),
        )
    else:
        ws = stack(w, (*wb, *wc, *w_free), (terms, -1))

    def one(index, x, w):
        own_key = None if key is None else jax.random.fold_in(key, index)
        loaded = load_weight(w, core, (site, index), lambda a: a)
        return matrix_product(x, loaded, key=own_key, batched=True, **options)

    return jax.vmap(one)(jnp.arange(start, start + count, dtype=jnp.uint32), xs, ws)
