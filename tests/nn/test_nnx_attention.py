"""Attention of Flax: its two products by hand, masks, dropout and decoding as digital."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from photonjax.nn.attend import OpticalAttention
from tests.nn.one_layer import IDEAL, KEY, LIT, Holder, attention, by_hand, close, converted, normal

pytestmark = pytest.mark.slow  # minutes together: on one Python


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
