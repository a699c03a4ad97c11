"""Every layer of Flax that convert() knows: the digital result, and the op called by hand."""

import itertools
import json
import zlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import photonjax as pj
from photonjax.nn.attend import OpticalAttention

pytestmark = pytest.mark.slow  # minutes together: on one Python

IDEAL = pj.OpticalCore(
    rows=128, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
NOISY = pj.OpticalCore(rows=64, cols=64, photons=50.0, array={"noise": 0.02}, adc={"bits": None})
LIT = pj.OpticalCore(rows=64, cols=64, photons=50.0, adc={"bits": None})
KEY = jax.random.key(11)
WITHOUT_KERNEL = ("lora_a", "lora_b", "scores", "values")


def normal(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


class Holder(nnx.Module):
    """Gives a layer a path: ``layer``."""

    def __init__(self, layer, method="__call__"):
        self.layer = layer
        self.method = method

    def __call__(self, *args, **kwargs):
        return getattr(self.layer, self.method)(*args, **kwargs)


def converted(layer, core, method="__call__", rule="*", **options):
    holder = Holder(layer, method)
    optical, report = pj.convert(holder, [pj.Rule(rule, core, **options)], key=KEY)
    return holder, optical, report


def by_hand(path, core=NOISY, name="kernel"):
    """The op as the site at ``path`` calls it first after conversion with ``KEY``."""
    parameter = path if path.endswith(WITHOUT_KERNEL) else f"{path}/{name}"
    site = zlib.crc32(parameter.encode())
    key = nnx.RngStream(jax.random.fold_in(KEY, zlib.crc32(path.encode())), tag="noise")()
    core = jax.tree.map(jnp.float32, core)

    def dot(x, w, contracting, batch=((), ()), **options):
        numbers = (contracting, batch)
        return pj.optical_dot_general(x, w, numbers, core=core, key=key, site=site, **options)

    return dot


def same_parameters(a, b):
    a, b = nnx.state(a, nnx.Param), nnx.state(b, nnx.Param)
    chex.assert_trees_all_equal(a, b)


def close(optical, digital, **tolerances):
    np.testing.assert_allclose(optical, digital, **({"rtol": 2e-5, "atol": 2e-5} | tolerances))


RNGS = nnx.Rngs(0)
LAYERS = {
    "linear": (nnx.Linear(10, 4, rngs=RNGS), normal(3, 10)),
    "general": (nnx.LinearGeneral((2, 5), (3, 2), axis=(-2, -1), rngs=RNGS), normal(3, 2, 5)),
    "batched": (nnx.LinearGeneral(5, 3, batch_axis={0: 2}, rngs=RNGS), normal(2, 4, 5)),
    "einsum": (nnx.Einsum("bti,ihd->bthd", (10, 2, 3), (2, 3), rngs=RNGS), normal(2, 3, 10)),
    "lora": (nnx.LoRA(10, 3, 4, b_initializer=nnx.initializers.normal(), rngs=RNGS), normal(3, 10)),
}


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


# --- attention


def attention(**options):
    return nnx.MultiHeadAttention(4, 12, decode=False, rngs=nnx.Rngs(0), **options)


def test_attention_products_by_hand():
    q, k, v = normal(2, 5, 4, 3), normal(2, 6, 4, 3, seed=1), normal(2, 6, 4, 3, seed=2)
    model = Holder(attention())
    rules = [pj.Rule(f"*/{name}", LIT, dynamic=True) for name in ("scores", "values")]
    optical, _ = pj.convert(model, rules, key=KEY)
    heads = (0, 2, 1, 3)
    batch = ((0, 1), (0, 1))
    scores, values = by_hand("layer/scores", LIT), by_hand("layer/values", LIT)
    s = scores((q / jnp.sqrt(3.0)).transpose(heads), k.transpose(heads), ((3,), (3,)), batch)
    y = values(jax.nn.softmax(s), v.transpose(heads), ((3,), (2,)), batch)
    np.testing.assert_array_equal(optical.layer.attention_fn(q, k, v), y.transpose(heads))
    assert dict(pj.nnx.optical_dots(optical)).keys() == {"layer/scores", "layer/values"}


def test_attention_report():
    _, _, report = converted(attention(), IDEAL)
    projections = [f"layer/{name}" for name in ("key", "out", "query", "value")]
    assert [site.path for site in report.optical] == projections
    assert [site.path for site in report.digital] == ["layer/scores", "layer/values"]
    assert all(not site.stationary and "dynamic=True" in site.reason for site in report.digital)
    _, optical, report = converted(attention(), IDEAL, dynamic=True)
    assert len(report.optical) == 6 and isinstance(optical.layer.attention_fn, OpticalAttention)
    close(optical(normal(2, 5, 12)), attention()(normal(2, 5, 12)))
    _, optical, report = converted(attention(), IDEAL, rule="*/values", dynamic=True)
    assert [site.path for site in report.optical] == ["layer/values"]
    close(optical(normal(2, 5, 12)), attention()(normal(2, 5, 12)))


def own_attention(query, key, value, **kwargs):
    return nnx.dot_product_attention(query, key, value, **kwargs)


def test_attention_functions_of_their_own_stay():
    layer = attention(attention_fn=own_attention)
    _, optical, report = converted(layer, IDEAL, dynamic=True)
    assert optical.layer.attention_fn is own_attention
    assert [s.path for s in report.digital] == ["layer/scores", "layer/values"]
    assert all("attention_fn is not nnx.dot_product_attention" in s.reason for s in report.digital)


MASK = jnp.asarray(np.random.default_rng(1).integers(0, 2, (2, 1, 5, 5)), bool)


@pytest.mark.parametrize(
    "options, call",
    [
        ({}, dict(mask=MASK)),
        ({}, dict(is_causal=True)),
        (dict(num_kv_heads=2), dict(is_causal=True)),
        (dict(num_kv_heads=2, normalize_qk=True), dict(mask=MASK.at[0, 0, 0].set(False))),
        ({}, dict(mask=MASK, is_causal=True, sow_weights=True)),
    ],
    ids=["mask", "causal", "grouped", "nothing-to-see", "both"],
)
def test_attention_masks(options, call):
    layer, x = attention(**options), normal(2, 5, 12)
    if call.get("is_causal") and call.get("mask") is not None:  # which flax wants of full shape
        call = call | {"mask": jnp.broadcast_to(MASK, (2, 4, 5, 5))}
    digital, optical, _ = converted(layer, IDEAL, dynamic=True)
    close(optical(x, **call), digital(x, **call))
    if "sow_weights" in call:
        one, two = (m.layer.attention_weights[0] for m in (digital, optical))
        close(two, one)


@pytest.mark.parametrize("broadcast", [True, False])
def test_attention_dropout_draws_what_it_drew(broadcast):
    options = dict(dropout_rate=0.5, broadcast_dropout=broadcast, deterministic=False)
    digital, optical, _ = converted(attention(**options), IDEAL, dynamic=True)
    x = normal(2, 5, 12)
    first, second = digital(x), digital(x)
    assert jnp.abs(first - second).max() > 0.01  # dropout is at work
    close(optical(x), first)
    close(optical(x), second)


def test_attention_decodes():
    layer = nnx.MultiHeadAttention(2, 6, decode=True, rngs=nnx.Rngs(0))
    layer.init_cache((1, 4, 6))
    digital, optical, _ = converted(layer, IDEAL, dynamic=True)
    for step in range(4):
        x = normal(1, 1, 6, seed=step)
        close(optical(x), digital(x))
    assert optical.layer.cache_index[...] == 4


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


# --- and back


class CountingDot(nnx.Module):
    """A user's own hook, with state."""

    def __init__(self):
        self.calls = nnx.Variable(jnp.zeros((), jnp.int32))

    def __call__(self, *args, **kwargs):
        self.calls[...] += 1
        return lax.dot_general(*args, **kwargs)


def own_dot(*args, **kwargs):
    return lax.dot_general(*args, **kwargs)


class Zoo(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.layers = nnx.List([layer for layer, _ in LAYERS.values()])
        self.conv = nnx.Conv(3, 4, (3,), rngs=rngs)
        self.embed = nnx.Embed(5, 4, rngs=rngs)
        self.lora = nnx.LoRALinear(4, 4, lora_rank=2, rngs=rngs)
        self.attention = attention(dropout_rate=0.1)
        self.own = nnx.Linear(4, 4, dot_general=own_dot, rngs=rngs)
        self.counted = nnx.Linear(4, 4, dot_general=nnx.data(CountingDot()), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)


def test_revert_gives_the_digital_model_back():
    model = Zoo()
    optical, report = pj.convert(model, [pj.Rule("*", IDEAL, dynamic=True)])
    assert [site.path for site in report.digital] == ["counted"]  # it has variables of its own
    pj.program_weights(optical)
    pj.nnx.start_measuring(optical)
    assert isinstance(optical.own.dot_general.dot_general, pj.nnx.OpticalDot)
    back = pj.revert(optical)
    assert nnx.graphdef(back) == nnx.graphdef(model)  # so that jit knows it again
    one, two = nnx.state(model), nnx.state(back)
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(*(
            jax.random.key_data(v) if jnp.issubdtype(v.dtype, jax.dtypes.prng_key) else v
            for v in (a, b)
        ))  # fmt: skip
    assert back.own.dot_general is own_dot and isinstance(back.counted.dot_general, CountingDot)
    assert list(pj.nnx.optical_dots(optical)) and not list(pj.nnx.optical_dots(back))
    assert nnx.graphdef(pj.revert(back)) == nnx.graphdef(model)
    again, _ = pj.convert(optical, [pj.Rule("*", None)])  # a rule can do the same
    assert nnx.graphdef(again) == nnx.graphdef(model)


def test_converting_again_keeps_or_replaces():
    model = Zoo()
    once, _ = pj.convert(model, [pj.Rule("*", NOISY, dynamic=True)])
    twice, report = pj.convert(once, [pj.Rule("own", IDEAL), pj.Rule("conv", None)])
    by_path = {site.path: site for site in report.sites}
    assert by_path["own"].core is IDEAL and by_path["conv"].status == "digital"
    assert "optical before" in by_path["embed"].reason
    close(twice.own(normal(2, 4)), model.own(normal(2, 4)))
    assert nnx.graphdef(pj.revert(twice)) == nnx.graphdef(model)


def test_optical_layers_revert_to_flax():
    layer = pj.nnx.OpticalLinear(4, 3, core=NOISY, rngs=nnx.Rngs(0))
    back = pj.revert(layer)
    assert type(back) is nnx.Linear and back.dot_general is lax.dot_general
    assert nnx.graphdef(back) == nnx.graphdef(nnx.Linear(4, 3, rngs=nnx.Rngs(0)))


def test_report_is_data():
    _, report = pj.convert(
        Zoo(),
        [
            pj.Rule("*", NOISY),
        ],
    )
    data = json.loads(report.to_json())
    assert data == report.to_dict()
    assert [s["path"] for s in data["sites"]] == [s.path for s in report.sites]
    for entry, site in zip(data["sites"], report.sites, strict=True):
        assert entry["core"] == (None if site.core is None else 0)
        assert entry["shape"] == (list(site.shape) if site.stationary else None)
        assert entry["dtype"] == ("float32" if site.stationary else None)
    assert len(data["cores"]) == 1 and data["cores"][0]["photons"] == NOISY.photons
    rows = str(report).splitlines()
    assert len(rows) == 1 + len(report.sites)
    for row, site in itertools.zip_longest(rows[1:], report.sites):
        assert row.startswith(site.path) and site.status in row
