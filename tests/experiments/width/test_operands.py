"""Operands in other forms: the same products, and the light that they take."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.width.config import OPERANDS


def products(sign):
    """Gaussian operands ``[64, K]`` and ``[K, 32]``, or their magnitudes, with one large channel."""
    rng = np.random.default_rng(0)
    for terms in (16, 96):
        x, w = rng.normal(size=(64, terms)), rng.normal(size=(terms, 32))
        yield ("q_proj", 0, x if sign else np.abs(x), w if sign else np.abs(w))


def test_alignment_of_random_operands(modules):
    """A random walk's: E[p^2] = K, E[S]^2 = (2 K / pi)^2; of one sign: p = S, whose spread over outputs
    alone is added, (pi / 2 - 1)(pi / 2) / K."""
    operands = modules.operands
    for sign, law in (
        (True, lambda k: (np.pi / 2) ** 2 / k),
        (False, lambda k: 1 + (np.pi / 2 - 1) * (np.pi / 2) / k),
    ):
        given = list(products(sign))
        turned = operands.turns("plain", given, 0.5)
        for row in operands.alignment(given, turned):
            expected = law(row["terms"])
            assert row["alignment"] == pytest.approx(expected, rel=0.15 if sign else 0.02)


def test_smoothing_leaves_magnitudes_and_rotation_leaves_squares(modules):
    operands, given = modules.operands, list(products(True))
    for _, _, x, _ in given:
        x[:, 3] *= 100
    plain, smoothed, rotated = (
        [(x @ t, inverse @ w) for (_, _, x, w), (t, inverse) in zip(given, turned, strict=True)]
        for turned in (operands.turns(of, given, 0.5) for of in OPERANDS)
    )
    for (a, b), (c, d), (e, f) in zip(plain, smoothed, rotated, strict=True):
        np.testing.assert_allclose(c @ d, a @ b, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(e @ f, a @ b, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(np.abs(c) @ np.abs(d), np.abs(a) @ np.abs(b), rtol=1e-9)
        np.testing.assert_allclose(np.square(e).sum(1), np.square(a).sum(1), rtol=1e-9)
        assert np.abs(e).max() < 0.8 * np.abs(a).max()  # the large channel is spread
        # alpha = 1/2: the largest input of a channel is its largest weight
        np.testing.assert_allclose(np.abs(c).max(0), np.abs(d).max(1), rtol=1e-9)


def test_hadamard_matrices_mix_everything(modules):
    for size in (8, 24, 40):
        turn = modules.operands.hadamard(size)
        np.testing.assert_allclose(turn @ turn.T, np.eye(size), atol=1e-12)
        assert np.abs(turn).max() < 0.8


@pytest.mark.slow
def test_a_dressed_decoder_computes_the_same(modules, config):
    settings, operands = config(), modules.operands
    model = modules.train.new_decoder(settings, "swiglu", "standard", 8, 0)
    tokens = np.arange(16) % 7
    found = operands.products_of(model, tokens)
    assert {(site, layer) for site, layer, _, _ in found} == {
        *((site, layer) for site in operands.SITES[:-1] for layer in (0, 1)),
        ("head", 0),
    }
    expected = model(jnp.asarray(tokens)[None])
    for of in OPERANDS:
        dressed = operands.dress(model, found, operands.turns(of, found, 0.5))
        np.testing.assert_allclose(dressed(jnp.asarray(tokens)[None]), expected, atol=1e-4)
