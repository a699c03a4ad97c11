"""Convolution on an optical core: the patches of the input stream through the kernel as a matrix."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from photonjax.core.limits import allowed
from photonjax.core.meshes import automatic, sharding_of
from photonjax.core.operands import check_arrays, result_dtype
from photonjax.core.phases import Phase, interleaved, phases
from photonjax.core.product import Weight, optical_dot_general


def optical_conv(
    x: jax.Array,
    kernel: Weight,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
    *,
    dot_general: Callable[..., jax.Array] = optical_dot_general,
    **options: Any,
) -> jax.Array:
    """``lax.conv_general_dilated`` as an optical core does it.

    Every position of the window is one token: its patch, ``K = channels x window`` numbers, streams
    through the array that holds the kernel as ``[K, N]``, N output features. Rows of the array follow
    the kernel's own axes in their order, tokens run over batch, then space. Groups (depthwise
    convolutions are one extreme) are products of their own, each with a matrix, hence tiles, of its own.
    With ``lhs_dilation`` no zero between inputs is multiplied: output positions fall into phases, each
    with the taps that meet inputs, and each is a product of its own (:mod:`photonjax.core.phases`).

    Args:
      x: input; kernel: floating array, or, without groups and ``lhs_dilation``, whatever
        ``optical_dot_general`` takes.
      window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count,
        batch_group_count, precision, preferred_element_type: as in ``lax.conv_general_dilated``.
      out_sharding: sharding of the result, on a mesh of explicit axes, as in ``lax.conv_general_dilated``.
      dot_general: does the product, given patches, kernel and dimension numbers; and, where they are of
        several sizes, ``batch_start`` (see :func:`photonjax.optical_dot_general`).
      options: ``core``, ``key``, ``site``, ``adc_range``, ``input_range`` of
        :func:`photonjax.optical_dot_general`.

    Returns:
      array of ``lax.conv_general_dilated``'s shape.

    Raises:
      ValueError: shapes, groups or dimension numbers that do not fit.
      jax.errors.ShardingTypeError: where ``out_sharding`` must decide.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> image, kernel = jnp.ones((1, 8, 8, 3)), jnp.ones((3, 3, 3, 5))
      >>> numbers = ("NHWC", "HWIO", "NHWC")
      >>> pj.optical_conv(
      ...   image, kernel, (2, 2), "SAME", dimension_numbers=numbers, core=pj.OpticalCore()).shape
      (1, 4, 4, 5)
    """
    check_arrays("optical_conv", x=x, kernel=kernel)
    numbers = lax.conv_dimension_numbers(x.shape, kernel.shape, dimension_numbers)
    out_axis, in_axis, *window_axes = numbers.rhs_spec
    features, channels = kernel.shape[out_axis], kernel.shape[in_axis]
    window = [kernel.shape[a] for a in window_axes]
    groups = feature_group_count * batch_group_count
    _check(x.shape[numbers.lhs_spec[1]], channels, features, x.shape[numbers.lhs_spec[0]],
           feature_group_count, batch_group_count)  # fmt: skip
    for name, counts in (
        ("window_strides", window_strides),
        ("lhs_dilation", lhs_dilation),
        ("rhs_dilation", rhs_dilation),
    ):
        _check_steps(name, counts, len(window))
    like = functools.partial(
        lax.conv_general_dilated, window_strides=window_strides, padding=padding,
        lhs_dilation=lhs_dilation, rhs_dilation=rhs_dilation, dimension_numbers=numbers,
        feature_group_count=feature_group_count, batch_group_count=batch_group_count,
    )  # fmt: skip
    shapes = (jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in (x, kernel))
    digital = jax.make_jaxpr(like)(*shapes)
    (out,), pads = digital.out_avals, digital.eqns[-1].params["padding"]
    if 0 in (*out.shape, *kernel.shape):
        return jnp.zeros(out.shape, result_dtype(x, kernel, preferred_element_type))

    # What is sharded in a product is its tokens, by their batch, and its output features.
    sharding = sharding_of(like, x, kernel, out_sharding)
    of_batch, of_features = _axes(sharding, numbers.out_spec)
    of_batch = of_batch if batch_group_count == 1 else None
    canonical = tuple(range(x.ndim))  # batch, features, space
    batch, *sizes = (x.shape[a] for a in (numbers.lhs_spec[0], *numbers.lhs_spec[2:]))
    space, ones = [out.shape[a] for a in numbers.out_spec[2:]], (1,) * len(window)
    dilations = lhs_dilation or ones
    along = [
        phases(positions, taps, stride, before, dilation, spread)
        for positions, taps, stride, (before, _), dilation, spread in zip(
            space, window, window_strides, pads, dilations, rhs_dilation or ones, strict=True
        )
    ]

    def cut(phase: Sequence[Phase], x: jax.Array) -> jax.Array:
        patches = lax.conv_general_dilated_patches(
            x, [len(p.taps) for p in phase], [p.stride for p in phase],
            [p.padding(size) for p, size in zip(phase, sizes, strict=True)],
            None, [p.spread for p in phase],
            lax.ConvDimensionNumbers(numbers.lhs_spec, canonical, canonical),
            precision=lax.Precision.HIGHEST,  # it copies: exact
        )  # fmt: skip
        return patches.reshape(*patches.shape[:2], -1).swapaxes(1, 2)  # [N, space, C x window]

    if sharding is not None:
        # Whole channels: XLA aborts in the derivative of patches of sharded ones (JAX 0.10.2, CPU).
        axes = [None] * x.ndim
        axes[numbers.lhs_spec[0]] = of_batch
        x = jax.sharding.reshard(x, PartitionSpec(*axes))
    contracted = [a for a in range(x.ndim) if a != out_axis]
    kinds = (precision, preferred_element_type)
    dims: Any

    def of_patches(first: int) -> tuple[int, ...]:
        return tuple(first + numbers.rhs_spec.index(a) - 1 for a in contracted)

    if groups == 1 and max(dilations) == 1:
        # Axis 2 + i of patches is axis i of (channels, *window), the axes rhs_spec[1 + i] of the kernel.
        rows = None if sharding is None else PartitionSpec(of_batch)
        patches = automatic(functools.partial(cut, [phase for (phase,) in along]), rows, x)
        patches = patches.reshape(batch, -1, channels, *window)
        dims = ((of_patches(2), tuple(contracted)), ((), ()))
        if sharding is not None:
            options["out_sharding"] = PartitionSpec(of_batch, None, of_features)
        y = dot_general(patches, kernel, dims, *kinds, **options)

        def put(y: jax.Array) -> jax.Array:
            y = y.reshape(batch, *space, features)
            return jnp.transpose(y, _order(numbers.out_spec))

        return automatic(put, sharding, y)

    # Every group of every phase is a product; those of one size are a batch.
    made: dict[tuple[Phase, ...], Any] = {}
    alike: dict[Any, list[tuple[Phase, ...]]] = {}
    for phase in itertools.product(*along):
        alike.setdefault(tuple((len(p.positions), len(p.taps)) for p in phase), []).append(phase)
    dims = ((of_patches(3), tuple(a + 1 for a in contracted)), ((0,), (0,)))
    split = functools.partial(_in_groups, numbers.rhs_spec, feature_group_count, batch_group_count)
    start = 0
    for together in alike.values():
        if not all(p.taps for p in together[0]):
            made |= dict.fromkeys(together, None)
            continue

        def cut_up(x: jax.Array, kernel: Any, together: Any = together) -> list[jax.Array]:
            bases = {tuple(axis.base for axis in p): p for p in together}
            patches = {base: cut(p, x) for base, p in bases.items()}  # many phases share theirs
            cuts = [
                split(patches[tuple(axis.base for axis in p)], _taps(kernel, window_axes, p))
                for p in together
            ]
            return [jnp.concatenate(parts) for parts in zip(*cuts, strict=True)]

        both = None
        if sharding is not None:
            options["out_sharding"] = PartitionSpec(None, of_batch)
            both = [options["out_sharding"], PartitionSpec()]
        patches, w = automatic(cut_up, both, x, kernel)
        if start:
            options["batch_start"] = start
        y = dot_general(patches, w, dims, *kinds, **options)
        start += y.shape[0]  # [phases x groups, N, space, features of a group]

        def apart(y: jax.Array, together: Any = together) -> list[jax.Array]:
            y = y.reshape(len(together), groups, *y.shape[1:])
            return list(jnp.moveaxis(y, 1, 3))  # [N, space, groups, features of a group] each

        of_phases = None if sharding is None else [PartitionSpec(of_batch)] * len(together)
        made |= zip(together, automatic(apart, of_phases, y), strict=True)

    def put_all(made: list[Any]) -> jax.Array:
        dtype = result_dtype(x, kernel, preferred_element_type)
        blank = jnp.zeros((batch // batch_group_count, *space, features), dtype)
        return jnp.transpose(interleaved(along, blank, made), _order(numbers.out_spec))

    return automatic(put_all, sharding, [made[p] for p in itertools.product(*along)])


def _taps(kernel: Any, axes: Sequence[int], phase: Sequence[Phase]) -> Any:
    """What a phase takes of the kernel."""
    if not isinstance(kernel, jax.Array):
        raise ValueError(
            f"kernel: a {type(kernel).__name__} has neither groups nor phases; pass the array of a "
            "grouped or transposed convolution"
        )
    cut = dict(
        zip(axes, (slice(p.taps.start, p.taps.stop, p.taps.step) for p in phase), strict=True)
    )
    return kernel[tuple(cut.get(axis, slice(None)) for axis in range(kernel.ndim))]


def _axes(sharding: Any, out_spec: Sequence[int]) -> tuple[Any, Any]:
    """Mesh axes of the batch and of the features of a result."""
    if sharding is None:
        return None, None
    spec = [*sharding.spec, *[None] * len(out_spec)]
    return spec[out_spec[0]], spec[out_spec[1]]


def _in_groups(
    rhs_spec: Sequence[int],
    feature_groups: int,
    batch_groups: int,
    patches: jax.Array,
    kernel: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Patches ``[groups, N / batch groups, space, channels, *window]`` and ``[groups, *kernel]``: group g
    multiplies its patches with its features."""
    groups = feature_groups * batch_groups
    out_axis, *inner = rhs_spec
    batch, positions, _ = patches.shape
    shape = kernel.shape
    terms = [shape[a] for a in inner]  # channels, window
    # One of the two counts is 1, so that splitting both axes makes one axis of groups.
    split = (batch_groups, batch // batch_groups, positions, feature_groups, *terms)
    patches = jnp.moveaxis(patches.reshape(split), 3, 1)
    patches = patches.reshape(groups, batch // batch_groups, positions, *terms)
    w = kernel.reshape(*shape[:out_axis], groups, -1, *shape[out_axis + 1 :])
    return patches, jnp.moveaxis(w, out_axis, 0)


def _order(out_spec: Sequence[int]) -> list[int]:
    """The transpose from ``[batch, *space, features]`` to the axes that ``out_spec`` asks for."""
    order = [0] * len(out_spec)
    have = [out_spec[0], *out_spec[2:], out_spec[1]]
    for place, axis in enumerate(have):
        order[axis] = place
    return order


def _check(
    x_channels: int, channels: int, features: int, batch: int, of_features: int, of_batch: int
) -> None:
    for name, count in (("feature", of_features), ("batch", of_batch)):
        if count < 1:
            raise ValueError(f"{name}_group_count = {count} is not {allowed('an integer', 1)}")
    if of_features > 1 and of_batch > 1:
        raise ValueError(
            f"feature_group_count = {of_features} and batch_group_count = {of_batch}: one must be 1"
        )
    if x_channels != channels * of_features:
        raise ValueError(
            f"x has {x_channels} channels, the kernel takes {channels} in each of "
            f"{of_features} groups (feature_group_count)"
        )
    if features % (of_features * of_batch) or batch % of_batch:
        raise ValueError(
            f"{features} output features and a batch of {batch} do not split into "
            f"{of_features * of_batch} groups"
        )


def _check_steps(name: str, counts: Sequence[int] | None, space: int) -> None:
    if counts is None:
        return
    if not isinstance(counts, Sequence) or len(counts) != space or any(n < 1 for n in counts):
        raise ValueError(
            f"{name} = {counts!r} is not {allowed('an integer', 1)} for each of the {space} axes of the "
            "window"
        )
