"""Photons per multiply against fan-in: the laws, and the products that a model gives."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax.evaluation.fan_in as fan_in
from photonjax.models import Decoder
from tests.tiny import tiny_decoder


def test_laws_of_fan_in():
    """Signed operands: (2/pi)**2 of the SNR whatever K; non-negative ones: SNR / K (both for large K)."""
    key = jax.random.key(0)
    products = fan_in.random_products(1024, tokens=48, columns=256, repeats=3, key=key)
    rows = fan_in.photons_needed(products, (64, 256, 1024), 20.0, key)
    found = fan_in.series_exponents(rows)
    signed, positive = found["random, signed"], found["random, non-negative"]
    assert signed.value == pytest.approx(0.0, abs=0.03)
    assert positive.value == pytest.approx(-1.0, abs=0.03)
    assert 0 < signed.error < 0.03
    assert 0 < positive.error < 0.03
    for r in rows:
        gaussian = 100 * (2 / math.pi) ** 2
        expected = gaussian if r["series"] == "random, signed" else 100 / r["terms"]
        assert r["photons_per_multiply"] == pytest.approx(expected, rel=0.1)


@pytest.mark.slow  # a program for each encoding and size
def test_laws_of_the_other_encodings():
    """Of signed operands: homodyne SNR, quadrature SNR / 4K whatever the sign; offset more than SNR."""
    key = jax.random.key(0)
    kinds = ("homodyne", "quadrature", "offset")
    products = fan_in.random_products(
        512, tokens=32, columns=128, repeats=1, key=key, encodings=kinds
    )
    rows = fan_in.photons_needed(products, (64, 512), 20.0, key)
    needed = {(r["series"], r["terms"]): r["photons_per_multiply"] for r in rows}
    for k in (64, 512):
        assert needed["random, signed, homodyne", k] == pytest.approx(100, rel=0.1)
        assert needed["random, signed, quadrature", k] == pytest.approx(100 / (4 * k), rel=0.1)
        assert needed["random, non-negative, quadrature", k] == pytest.approx(
            100 / (4 * k), rel=0.1
        )
        assert needed["random, signed, offset", k] > 1000
    assert needed["random, signed, offset", 512] > needed["random, signed, offset", 64]


def test_random_signs_tell_correlation_from_large_channels():
    """Products of one sign need 1/K; with random signs 1; a large channel c is left, in closed form."""
    x, w = jnp.ones((48, 256)), jnp.ones((256, 256))
    flip = jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, w.shape), 1.0, -1.0)

    def needed(x, w) -> list[float]:
        product = fan_in.Product("a", 0, 0, x, w)
        rows = fan_in.photons_needed([product], (64, 256), 0.0, jax.random.key(0))
        return [r["photons_per_multiply"] for r in rows]

    assert needed(x, w) == pytest.approx([1 / 64, 1 / 256], rel=0.05)
    assert needed(x, w * flip) == pytest.approx([1.0, 1.0], rel=0.2)
    large = (255 + 50) ** 2 / (256 * (255 + 50**2))  # (sum |a||b|)**2 / (K sum (a b)**2)
    assert needed(x.at[:, 255].set(50.0), w * flip) == pytest.approx([1.0, large], rel=0.2)


@pytest.mark.parametrize("scan", [True, False])
def test_captured_products_are_the_models(scan):
    """Layer 0 sees the normalised embedding; the captured weights are the layers' own."""
    config = tiny_decoder(intermediate_size=24, num_kv_heads=1)
    model = Decoder(config, rngs=nnx.Rngs(0), scan_layers=scan)
    tokens = np.arange(8)
    found = {(site, layer): (x, w) for site, layer, x, w in fan_in.capture(model, tokens, 2)}
    assert set(found) == {(s, layer) for s in fan_in.SITES for layer in (0, 1)}
    embedded = np.asarray(model.embed(jnp.asarray(tokens)))
    expected = embedded / np.sqrt((embedded**2).mean(1, keepdims=True) + config.norm_eps)
    np.testing.assert_allclose(found["q_proj", 0][0], expected, rtol=1e-5, atol=1e-6)
    for layer in (0, 1):
        block = model.layers.block if scan else model.layers[layer]
        kernel = block.mlp.down_proj.kernel[...]
        np.testing.assert_array_equal(
            found["down_proj", layer][1], kernel[layer] if scan else kernel
        )
        assert block.mlp.down_proj.dot_general is jax.lax.dot_general  # the model is left as it was
