"""Rotary frequencies for long sequences, against the papers' formulas in double precision."""

import math

import numpy as np
import pytest

from photonjax.models import DecoderConfig, LongRopeScaling, YarnScaling
from photonjax.models.rotary import rotary_angles, rotary_frequencies


def plain(size, theta):
    return theta ** (-np.arange(0, size, 2) / size)


def test_yarn():
    """Equations 19 to 23 of the paper: pair i turns r = L f / 2π times; of the pairs between those
    with 32 turns and 1 turn, the fraction that is divided grows linearly with i."""
    size, theta, factor, length = 64, 1e4, 8.0, 4096
    f = plain(size, theta)
    turns = length * f / (2 * math.pi)
    found = np.asarray(
        rotary_frequencies(size, theta, YarnScaling(factor=factor, original_length=length))
    )
    np.testing.assert_allclose(found[turns > 40], f[turns > 40], rtol=1e-6)
    np.testing.assert_allclose(found[turns < 0.7], f[turns < 0.7] / factor, rtol=1e-6)
    pair = lambda r: size * math.log(length / (2 * math.pi * r)) / (2 * math.log(theta))
    low, high = math.floor(pair(32)), math.ceil(pair(1))
    ramp = np.clip((np.arange(size // 2) - low) / (high - low), 0, 1)
    assert 5 < ((ramp > 0) & (ramp < 1)).sum() < size // 2
    np.testing.assert_allclose(found, f * (1 - ramp) + f / factor * ramp, rtol=1e-6)


def test_yarn_turns_scores_up():
    """Cosines and sines by 0.1 ln s + 1, so that scores grow by its square (equation 22)."""
    scaling = YarnScaling(factor=4.0, original_length=64)
    cos, sin = rotary_angles(9, 8, 100.0, scaling)
    np.testing.assert_allclose(np.hypot(cos, sin), 0.1 * math.log(4) + 1, rtol=1e-6)
    assert YarnScaling(factor=4.0, original_length=64, magnitude=1.0).magnitude == 1.0


@pytest.mark.parametrize("length", [16, 17])
def test_long_rope_has_a_set_for_long_sequences(length):
    scaling = LongRopeScaling(short=(1.0, 2.0), long=(3.0, 4.0), original_length=16, magnitude=1.5)
    cos, sin = rotary_angles(length, 4, 100.0, scaling)
    divisor = np.array([3.0, 4.0] if length > 16 else [1.0, 2.0])
    angle = np.arange(length)[:, None] * plain(4, 100.0) / divisor
    np.testing.assert_allclose(cos, 1.5 * np.cos(angle), atol=2e-6)
    np.testing.assert_allclose(sin, 1.5 * np.sin(angle), atol=2e-6)


@pytest.mark.parametrize(
    ("make", "culprit"),
    [
        (lambda: YarnScaling(factor=0.0, original_length=64), "factor=0.0"),
        (lambda: YarnScaling(factor=math.nan, original_length=64), "factor=nan"),
        (lambda: YarnScaling(factor=2.0, original_length=64, fast=1.0), "above slow=1.0"),
        (lambda: LongRopeScaling(short=(1.0,), long=(0.0,), original_length=6), "long=(0.0,)"),
        (lambda: LongRopeScaling(short=[1.0], long=(1.0,), original_length=6), "tuples"),
    ],
)
def test_refuses(make, culprit):
    with pytest.raises(ValueError) as error:
        make()
    assert culprit in str(error.value) and "\n" not in str(error.value)


def test_a_number_for_each_pair():
    sizes = dict(vocab_size=8, hidden_size=8, intermediate_size=8, num_layers=1, num_heads=1)
    scaling = LongRopeScaling(short=(1.0,) * 3, long=(1.0,) * 3, original_length=6)
    with pytest.raises(ValueError, match="short and long must have 4 numbers each"):
        DecoderConfig(**sizes, rope_scaling=scaling)
    assert DecoderConfig(**sizes, rope_scaling=scaling, rotary_dim=6).rotary_dim == 6
