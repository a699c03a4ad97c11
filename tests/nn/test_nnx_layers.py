"""Every layer of Flax that convert() knows: the digital result, and the op called by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from tests.nn.one_layer import (
    IDEAL,
    LAYERS,
    NOISY,
    by_hand,
    close,
    converted,
    normal,
    same_parameters,
)

pytestmark = pytest.mark.slow  # minutes together: on one Python


@pytest.mark.parametrize("name", LAYERS)
def test_is_digital_on_an_ideal_core(name):
    layer, x = LAYERS[name]
    digital, optical, report = converted(layer, IDEAL)
    assert not report.digital and report.optical
    close(optical(x), digital(x))
    same_parameters(digital, optical)


def test_linear_by_hand():
    layer, x = LAYERS["linear"]
    _, optical, _ = converted(layer, NOISY)
    y = by_hand("layer")(x, layer.kernel[...], ((1,), (0,)))
    np.testing.assert_array_equal(optical(x), y + layer.bias[...])
    assert (optical(x) != y + layer.bias[...]).any()  # the second call has noise of its own


def test_linear_general_by_hand():
    layer, x = LAYERS["general"]
    _, optical, _ = converted(layer, NOISY)
    y = by_hand("layer")(x, layer.kernel[...], ((1, 2), (0, 1)))
    np.testing.assert_array_equal(optical(x), y + layer.bias[...])
    layer, x = LAYERS["batched"]
    _, optical, _ = converted(layer, NOISY)
    y = by_hand("layer")(x, layer.kernel[...], ((2,), (1,)), ((0,), (0,)))
    np.testing.assert_array_equal(optical(x), y + layer.bias[...][:, None])


def test_einsum_by_hand():
    layer, x = LAYERS["einsum"]
    _, optical, _ = converted(layer, NOISY)
    y = by_hand("layer")(x, layer.kernel[...], ((2,), (0,)))
    np.testing.assert_array_equal(optical(x), y + layer.bias[...])


def test_lora_by_hand():
    layer, x = LAYERS["lora"]
    _, optical, report = converted(layer, NOISY)
    assert [(s.path, s.parameter, s.shape) for s in report.sites] == [
        ("layer/lora_a", "layer/lora_a", (10, 3)), ("layer/lora_b", "layer/lora_b", (3, 4)),
    ]  # fmt: skip
    hidden = by_hand("layer/lora_a")(x, layer.lora_a[...], ((1,), (0,)))
    y = by_hand("layer/lora_b")(hidden, layer.lora_b[...], ((1,), (0,)))
    np.testing.assert_array_equal(optical(x), y)
    assert dict(pj.nnx.optical_dots(optical)).keys() == {"layer/lora_a", "layer/lora_b"}


def test_lora_linear_has_three_products():
    layer = nnx.LoRALinear(
        10, 4, lora_rank=3, b_initializer=nnx.initializers.normal(), rngs=nnx.Rngs(1)
    )
    x = normal(3, 10)
    digital, optical, report = converted(layer, IDEAL)
    paths = ["layer", "layer/lora/lora_a", "layer/lora/lora_b"]
    assert [site.path for site in report.optical] == paths
    close(optical(x), digital(x))
    same_parameters(digital, optical)
    assert jax.tree.leaves(nnx.state(optical, nnx.LoRAParam))  # what LoRA training filters for
    _, frozen, report = converted(layer, NOISY, rule="layer/kernel")
    assert [site.path for site in report.optical] == ["layer"]
    y = by_hand("layer")(x, layer.kernel[...], ((1,), (0,)))
    np.testing.assert_array_equal(frozen(x), y + layer.bias[...] + layer.lora(x))
    _, half, report = converted(layer, IDEAL, rule="*/lora_b")
    assert [site.path for site in report.optical] == paths[2:]
    close(half(x), digital(x))


def test_lora_around_a_module():
    base = nnx.Linear(10, 4, rngs=nnx.Rngs(2))
    layer = nnx.LoRA(10, 3, 4, base_module=base, rngs=nnx.Rngs(3))
    digital, optical, report = converted(layer, IDEAL)
    assert {s.path for s in report.optical} >= {"layer/base_module", "layer/lora_a"}
    close(optical(normal(3, 10)), digital(normal(3, 10)))


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_embed_attend_by_hand(dtype):
    layer = nnx.Embed(20, 6, dtype=dtype, rngs=nnx.Rngs(0))
    x = normal(3, 2, 6)
    _, optical, report = converted(layer, NOISY, "attend")
    (site,) = report.unchecked
    assert (site.path, site.parameter, site.shape) == ("layer", "layer/embedding", (20, 6))
    assert "where attend is called" in site.reason
    x, table = (a if dtype is None else a.astype(dtype) for a in (x, layer.embedding[...]))
    y = optical(x)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, by_hand("layer", name="embedding")(x, table, ((2,), (1,))))
    tokens = jnp.array([3, 0, 19])
    np.testing.assert_array_equal(optical.layer(tokens), layer(tokens))  # look-ups are no products
    same_parameters(layer, optical.layer)
    assert isinstance(optical.layer, nnx.Embed)


def patches(x, window, strides):
    """[B, H, W, C] to [B, H', W', h, w, C], by slicing."""
    (h, w), (s, t) = window, strides
    rows = range(0, x.shape[1] - h + 1, s)
    cols = range(0, x.shape[2] - w + 1, t)
    return jnp.stack([jnp.stack([x[:, i : i + h, j : j + w] for j in cols], 1) for i in rows], 1)


def test_conv_by_hand():
    layer = nnx.Conv(3, 5, (3, 2), strides=(2, 1), padding="VALID", rngs=nnx.Rngs(0))
    x = normal(2, 7, 6, 3)
    _, optical, report = converted(layer, NOISY)
    assert report.optical[0].shape == (3, 2, 3, 5)
    y = by_hand("layer")(patches(x, (3, 2), (2, 1)), layer.kernel[...], ((3, 4, 5), (0, 1, 2)))
    np.testing.assert_array_equal(optical(x), y + layer.bias[...])
    assert dict(pj.nnx.optical_dots(optical)).keys() == {"layer"}


CONVS = [
    dict(kernel_size=3, padding="SAME"),
    dict(kernel_size=(3,), padding="CAUSAL", strides=2),
    dict(kernel_size=(4,), padding="CIRCULAR", kernel_dilation=2),
    dict(kernel_size=(3, 2), padding="SAME", strides=(2, 1)),
    dict(kernel_size=(3, 3), padding="REFLECT"),
    dict(kernel_size=(2, 3), padding=((1, 0), (2, 1)), input_dilation=2, kernel_dilation=(1, 2)),
    dict(kernel_size=(3, 3), padding=1, feature_group_count=2, use_bias=False),
    dict(kernel_size=(2, 2), padding="VALID", feature_group_count=4),
]


@pytest.mark.parametrize("options", CONVS, ids=lambda o: "-".join(map(str, o.values())))
def test_conv_is_digital_on_an_ideal_core(options):
    layer = nnx.Conv(4, 8, rngs=nnx.Rngs(0), **options)
    space = (9, 7)[: len(layer.kernel_size)]
    digital, optical, _ = converted(layer, IDEAL)
    close(optical(normal(2, *space, 4)), digital(normal(2, *space, 4)))
    if options["padding"] == "REFLECT":  # also without a batch
        close(optical(normal(*space, 4)), digital(normal(*space, 4)))


def test_masked_and_half_precision_conv():
    mask = jnp.asarray(np.random.default_rng(0).integers(0, 2, (3, 4, 8)), jnp.float32)
    layer = nnx.Conv(4, 8, 3, mask=mask, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    digital, optical, _ = converted(layer, IDEAL)
    assert optical(normal(2, 9, 4)).dtype == jnp.bfloat16
    close(optical(normal(2, 9, 4)), digital(normal(2, 9, 4)), rtol=2**-7, atol=2**-7)
    pj.program_weights(optical)
    close(optical(normal(2, 9, 4)), digital(normal(2, 9, 4)), rtol=2**-6, atol=2**-6)


def test_programmed_weights_of_every_layer():
    model = nnx.Sequential(*(layer for layer, _ in LAYERS.values()))
    optical, report = pj.convert(model, [pj.Rule("*", NOISY)], noise=False)
    inputs = [x for _, x in LAYERS.values()]

    def outputs():
        return [layer(x) for layer, x in zip(optical.layers, inputs, strict=True)]

    before = outputs()
    pj.program_weights(optical)
    programmed = [path for path, dot in pj.nnx.optical_dots(optical) if dot.programmed is not None]
    assert len(programmed) == len(report.optical) - 1  # but the batched one
    for a, b in zip(before, outputs(), strict=True):
        close(a, b)
    pj.unprogram_weights(optical)
    assert all(dot.programmed is None for _, dot in pj.nnx.optical_dots(optical))


def test_closed_modules_are_reported():
    layer = type("Mine", (nnx.ConvTranspose,), {})(3, 4, (3,), rngs=nnx.Rngs(0))
    model = nnx.Sequential(nnx.Linear(3, 3, rngs=nnx.Rngs(1)), layer)
    optical, report = pj.convert(model, [pj.Rule("*", IDEAL)])
    (site,) = report.digital
    assert site.path == "layers/1" and "ConvTranspose" in site.reason and site.shape == (3, 3, 4)
    close(optical(normal(2, 5, 3)), model(normal(2, 5, 3)))
    with pytest.raises(
        ValueError, match=r"rule 'layers/1' has no effect: layers/1: Mine is its own"
    ):
        pj.convert(model, [pj.Rule("layers/0", IDEAL), pj.Rule("layers/1", IDEAL)])
