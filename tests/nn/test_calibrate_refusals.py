"""What calibration refuses, and what the message says."""

import math
import warnings

import jax.numpy as jnp
import pytest
from flax import nnx

import photonjax as pj
from tests.nn.calibrated_layer import X, linear, unchanged


@pytest.mark.parametrize("margin", [math.inf, math.nan, 0, -1, 0.99, True, "2", None])
def test_margins_that_are_none(margin):
    with pytest.raises(ValueError, match=r"calibrate: margin = .* is not a number of 1 or more"):
        pj.calibrate(linear(), X, margin=margin)


@pytest.mark.parametrize("quantile", [0, -0.5, 1.5, math.nan, "0.9", None])
def test_quantiles_that_are_none(quantile):
    with pytest.raises(
        ValueError, match=r"calibrate: quantile = .* is not a number above 0 and up to 1"
    ):
        pj.calibrate(linear(), X, quantile=quantile)


@pytest.mark.parametrize(
    "call, message",
    [
        (((X.at[2, 3].set(jnp.nan),), {}), "argument 0 has NaN or infinity in it"),
        (
            ((), {"batches": [X, X.at[0, 0].set(jnp.inf)]}),
            "batch 1, argument 0 has NaN or infinity",
        ),
        (((X[:0],), {}), r"argument 0 has no rows \(shape \(0, 8\)\)"),
        (((), {"batches": [X[:0]]}), "batch 0, argument 0 has no rows"),
        (((), {"batches": []}), "batches is empty"),
        (((), {"batches": 3}), "batches = 3 is not an iterable"),
        (((), {"batches": {"x": X}}), "is not an iterable of batches"),
    ],
)
def test_samples_that_say_nothing(call, message):
    model = linear()
    args, kwargs = call
    with unchanged(model), pytest.raises(ValueError, match=message):
        pj.calibrate(model, *args, **kwargs)
    assert model.layers[0].dot_general.adc_range is None


def test_what_is_not_finite_inside_names_its_site():
    model = linear()
    model.layers[0].kernel[...] = model.layers[0].kernel[...].at[0, 0].set(jnp.nan)
    with pytest.raises(ValueError, match="layers/0/kernel: NaN or infinity among its adc signals"):
        pj.calibrate(model, X)


def test_models_that_are_none():
    with pytest.raises(ValueError, match="no optical products"):
        pj.calibrate(nnx.Linear(8, 4, rngs=nnx.Rngs(0)), X)
    with pytest.raises(TypeError, match="a function is not on light; give what pj.convert"):
        pj.calibrate(lambda x: x, X)


@pytest.mark.parametrize(
    "ranges, message",
    [
        ({"layers/7/kernel": {"adc": 1.0}}, r"\['layers/7/kernel'\] is no optical product; there are"),
        ({"layers/0/kernel": {"adc": 0.0}}, r"\['adc'\] = 0.0 is not a number above 0"),
        ({"layers/0/kernel": {"adc": math.nan}}, "is not a number above 0"),
        ({"layers/0/kernel": {"adc": 10**400}}, "is not a number above 0"),
        ({"layers/0/kernel": {"adc": 1e39}}, "is not a number above 0 in single precision"),
        ({"layers/0/kernel": {"adc": "1"}}, "is not a number above 0"),
        ({"layers/0/kernel": {"dac": 1.0}}, "= {'dac': 1.0} is not {'adc'"),
        ({"layers/0/kernel": 1.0}, "= 1.0 is not {'adc'"),
        ([1.0], "is no mapping"),
    ],
)  # fmt: skip
def test_ranges_that_are_none(ranges, message):
    with pytest.raises(ValueError, match=message):
        pj.nnx.set_ranges(linear(), ranges)


def test_measuring_nothing():
    model = linear()
    pj.nnx.start_measuring(model)
    assert model(X[:0]).shape == (0, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pj.nnx.stop_measuring(model) == {}
