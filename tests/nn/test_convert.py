"""Rules, reports, and what conversion leaves alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import photonjax as pj
from photonjax.models import Decoder, DecoderConfig, stack_layers

CORE = pj.OpticalCore(rows=64, cols=32, photons=200.0, array={"noise": 0.01}, adc={"enob": 7.0})
OTHER = pj.OpticalCore(rows=8, cols=8)
CONFIG = DecoderConfig(
    vocab_size=61, hidden_size=24, intermediate_size=40, num_layers=2, num_heads=4,
    num_kv_heads=2, tie_embeddings=True,
)  # fmt: skip
TOKENS = jax.random.randint(jax.random.key(5), (2, 7), 0, 61)
EVERYTHING = [pj.Rule("*", CORE, dynamic=True)]


def decoder(**options):
    config = dataclasses.replace(
        CONFIG, **{k: options.pop(k) for k in ("tie_embeddings",) if k in options}
    )
    return Decoder(config, rngs=nnx.Rngs(0), **options)


@nnx.jit
def logits(model, tokens):
    return model(tokens)


def test_first_match_wins_and_report():
    rules = [
        pj.Rule("layers/0/*", None),
        pj.Rule("layers/*/mlp/up_proj", OTHER),
        pj.Rule("layers/*/kernel", CORE),
    ]
    _, report = pj.convert(decoder(), rules)
    cores = {site.path: site.core for site in report.sites}
    assert cores["layers/0/mlp/up_proj"] is None and cores["layers/0/attn/q_proj"] is None
    assert cores["layers/1/mlp/up_proj"] is OTHER and cores["layers/1/mlp/down_proj"] is CORE
    assert cores["head"] is None and cores["layers/1/attn/scores"] is None
    by_path = {site.path: site for site in report.sites}
    assert len(by_path) == len(report.sites) == 2 * 9 + 1
    assert len(report.optical) == 7 and len(report.digital) == 19 - 7
    up = by_path["layers/1/mlp/up_proj"]
    assert (up.parameter, up.shape, up.layers, up.status, up.stationary) == (
        "layers/1/mlp/up_proj/kernel", (24, 40), 1, "optical", True,
    )  # fmt: skip
    head, scores = by_path["head"], by_path["layers/1/attn/scores"]
    assert head.parameter == "embed/embedding" and head.shape == (61, 24)
    assert not scores.stationary and scores.shape is None
    text = str(report)
    assert len(text.splitlines()) == 20 and "keeps it digital" in text and "computed" in text


def test_rule_errors():
    model = decoder()
    with pytest.raises(
        ValueError, match=r"'layer/\*' matches no product; the model has .*layers/0/"
    ):
        pj.convert(model, [pj.Rule("layer/*", CORE)])
    with pytest.raises(ValueError, match=r"'layers/1/\*' has no effect"):
        pj.convert(model, [pj.Rule("layers/*", CORE), pj.Rule("layers/1/*", OTHER)])
    with pytest.raises(ValueError, match=r"'\*/scores' has no effect.*dynamic=True"):
        pj.convert(model, [pj.Rule("*/scores", CORE)])
    with pytest.raises(ValueError, match="LayerNorm has no module whose product"):
        pj.convert(nnx.LayerNorm(4, rngs=nnx.Rngs(0)), [pj.Rule("*", CORE)])
    with pytest.raises(TypeError, match="Rule.pattern = ''"):
        pj.Rule("", CORE)
    with pytest.raises(TypeError, match="Rule.core = 3"):
        pj.Rule("*", 3)


@pytest.mark.parametrize("scan, tied", [(False, True), (True, False)])
def test_original_and_parameter_tree_are_untouched(scan, tied):
    model = decoder(scan_layers=scan, tie_embeddings=tied)
    before, state = logits(model, TOKENS), nnx.state(model)
    optical, _ = pj.convert(model, EVERYTHING)
    params, converted = nnx.state(model, nnx.Param), nnx.state(optical, nnx.Param)
    assert jax.tree.structure(params) == jax.tree.structure(converted)
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(converted), strict=True):
        assert a.unsafe_buffer_pointer() == b.unsafe_buffer_pointer()  # shared, not copied
    assert jax.tree.structure(nnx.state(model)) == jax.tree.structure(state)
    np.testing.assert_array_equal(logits(model, TOKENS), before)


@pytest.mark.slow
def test_no_rule_for_it_no_change():
    """A core on the head only: everything below it computes what it computed."""
    model = decoder(tie_embeddings=False)
    optical, report = pj.convert(model, [pj.Rule("head", OTHER)])
    assert [site.path for site in report.optical] == ["head"]
    hidden = {}
    for name, m in (("digital", model), ("optical", optical)):
        inner = m.head.dot_general
        m.head.dot_general = nnx.data(Spy(inner))
        m(TOKENS)
        hidden[name] = m.head.dot_general.seen[...]
    np.testing.assert_array_equal(hidden["digital"], hidden["optical"])


class Spy(nnx.Module):
    def __init__(self, inner):
        self.inner = nnx.data(inner) if isinstance(inner, nnx.Module) else inner
        self.seen = nnx.Variable(jnp.zeros(()))

    def __call__(self, x, *args, **kwargs):
        self.seen.set_value(x)
        return self.inner(x, *args, **kwargs)


@pytest.mark.slow
def test_scanned_is_unrolled():
    """Same key, same die: the same noise, site by site, layer by layer."""
    unrolled = decoder()
    found = []
    stacked = decoder(scan_layers=True)
    nnx.update(stacked, stack_layers(nnx.state(unrolled)))
    for model in (unrolled, stacked):
        optical, report = pj.convert(model, EVERYTHING)
        pj.nnx.set_noise_key(optical, jax.random.key(3))
        found += [(np.asarray(logits(optical, TOKENS)), optical, report)]
    (flat, _, flat_report), (scanned, optical, report) = found
    # The digital parts (norms, softmax) are other programs: their last bits may be contracted
    # otherwise, and then meet a rounding. Nearly all logits must still agree to the bit's size.
    close = np.abs(flat - scanned) < 1e-5 * np.abs(flat).max()
    assert close.mean() > 0.99, close.mean()
    assert sum(s.layers for s in report.optical) == len(flat_report.optical) == 2 * 9 + 1
    again = np.asarray(logits(optical, TOKENS))
    assert (again != scanned).mean() > 0.9  # the streams advanced, in every layer
    pj.nnx.set_noise_key(optical, jax.random.key(3))
    np.testing.assert_array_equal(logits(optical, TOKENS), scanned)
    pj.nnx.start_measuring(optical)
    logits(optical, TOKENS)
    measured = pj.nnx.stop_measuring(optical)
    assert set(measured) == {site.path for site in flat_report.optical}  # layers one by one
    assert all(5 < m.snr_db < 60 for m in measured.values())


@pytest.mark.slow
def test_programmed_weights_are_the_same_product():
    optical, _ = pj.convert(decoder(scan_layers=True), EVERYTHING, key=jax.random.key(2))
    before = np.asarray(logits(optical, TOKENS))
    pj.program_weights(optical)
    programmed = [dot for _, dot in pj.nnx.optical_dots(optical) if dot.programmed is not None]
    assert len(programmed) == 7 + 1
    pj.nnx.set_noise_key(optical, jax.random.key(2))
    y = np.asarray(logits(optical, TOKENS))
    assert (np.abs(y - before) < 1e-5 * np.abs(before).max()).mean() > 0.99  # as above
    # the array holds the weight it was given, until told otherwise
    for _, module in nnx.iter_modules(optical):
        if isinstance(module, nnx.Linear):
            module.kernel[...] = jnp.zeros_like(module.kernel[...])
    pj.nnx.set_noise_key(optical, jax.random.key(2))
    np.testing.assert_array_equal(logits(optical, TOKENS), y)
    pj.unprogram_weights(optical)
    assert all(dot.programmed is None for _, dot in pj.nnx.optical_dots(optical))
    assert (logits(optical, TOKENS) != y).any()


@pytest.mark.slow
def test_noise_off_and_keys():
    model = decoder(scan_layers=True)
    silent, _ = pj.convert(model, EVERYTHING, noise=False)
    np.testing.assert_array_equal(logits(silent, TOKENS), logits(silent, TOKENS))
    one, _ = pj.convert(model, EVERYTHING, key=jax.random.key(1))
    two, _ = pj.convert(model, EVERYTHING, key=jax.random.key(2))
    same, _ = pj.convert(model, EVERYTHING, key=jax.random.key(1))
    first = logits(one, TOKENS)
    np.testing.assert_array_equal(first, logits(same, TOKENS))
    assert (first != logits(two, TOKENS)).mean() > 0.9
    sites = np.concatenate([np.ravel(dot.site[...]) for _, dot in pj.nnx.optical_dots(one)])
    assert len(sites) == 19 and len(set(sites)) == 19  # no two sites share their errors


class Zoo(nnx.Module):
    def __init__(self, rngs):
        self.general = nnx.LinearGeneral((3, 4), (2, 5), axis=(-2, -1), rngs=rngs)
        self.einsum = nnx.Einsum("bi,io->bo", (10, 6), rngs=rngs)
        self.conv = nnx.Conv(6, 6, (3,), rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 6, decode=False, rngs=rngs)
        self.out = nnx.Linear(6, 4, rngs=rngs)

    def __call__(self, x):
        h = self.einsum(self.general(x).reshape(-1, 10))
        return self.out(self.attention(self.conv(h[None])))


@pytest.mark.slow
def test_other_layers():
    model, x = Zoo(nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (5, 3, 4))
    ideal = OTHER.replace(input={"bits": None}, array={"bits": None}, adc={"bits": None})
    optical, report = pj.convert(model, [pj.Rule("*", ideal)])
    status = {site.path: site.status for site in report.sites}
    for path in ("general", "einsum", "out", "attention/query", "attention/out"):
        assert status[path] == "optical", path
    assert status["conv"] == "optical"
    assert [site.path for site in report.digital] == ["attention/scores", "attention/values"]
    np.testing.assert_allclose(optical(x), model(x), rtol=2e-4, atol=1e-5)  # float32, other order
    coarse, _ = pj.convert(model, [pj.Rule("*", OTHER.replace(array={"bits": 3}))])
    assert jnp.abs(coarse(x) - model(x)).max() > 1e-3
    pj.program_weights(coarse)
    assert jnp.isfinite(coarse(x)).all()


def test_dynamic_products():
    model = decoder()
    held, _ = pj.convert(model, [pj.Rule("*/attn/*", OTHER)])
    for block in held.layers:
        assert block.attn.scores.dot_general is lax.dot_general
    both, report = pj.convert(model, [pj.Rule("*/attn/*", OTHER, dynamic=True)])
    assert sum(not site.stationary for site in report.optical) == 4
    assert all("written again" in site.reason for site in report.optical if not site.stationary)
    a, b, digital = logits(held, TOKENS), logits(both, TOKENS), logits(model, TOKENS)
    assert (a != b).any()
    # 8-bit scores and values are close to the digital ones
    assert jnp.abs(b - digital).max() < 0.2 * jnp.abs(digital).max()


@pytest.mark.slow
def test_models_quantized_by_qwix_are_refused():
    qwix = pytest.importorskip("qwix")
    model, x = nnx.Sequential(nnx.Linear(6, 4, rngs=nnx.Rngs(0))), jnp.ones((3, 6))
    rule = qwix.QuantizationRule(module_path=".*", weight_qtype=jnp.int8)
    for provider in (qwix.PtqProvider, qwix.QtProvider):
        quantized = qwix.quantize_model(model, provider([rule]), x)
        with pytest.raises(
            ValueError, match="was quantized by qwix, .* convert the model as it was"
        ):
            pj.convert(quantized, [pj.Rule("*", CORE)])
