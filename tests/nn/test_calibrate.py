"""Calibration sets the ranges that a sample asks for, and nothing else."""

import json
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from tests.nn.calibrated_layer import CORE, STATIC, X, linear, unchanged

SLICED = CORE.replace(input={"slices": 2}, array={"slices": 2})
EVERY = [pj.Rule("*", CORE, dynamic=True)]


class Net(nnx.Module):
    """What keeps a state of its own: statistics, counters of dropout, a variable."""

    def __init__(self, rngs):
        self.up = nnx.Linear(8, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.down = nnx.Linear(16, 4, rngs=rngs)
        self.calls = nnx.Variable(jnp.zeros((), jnp.int32))

    def __call__(self, x, *, train=True):
        y = self.norm(self.up(x), use_running_average=not train)
        self.calls[...] += 1
        return self.down(self.drop(y, deterministic=not train))

    def encode(self, x):
        return self.up(x)


def analog_sums(x, w, rows=4):
    """What the converters meet, in units of p: rounded operands in tiles."""
    a = np.round(x / np.abs(x).max(1, keepdims=True) * 127) / 127
    b = np.round(w / np.abs(w).max(0, keepdims=True) * 127) / 127
    tiles = [slice(t, t + rows) for t in range(0, x.shape[1], rows)]
    return np.abs(np.stack([a[:, t] @ b[t] for t in tiles]))


def test_the_range_is_the_largest_sum_with_head_room():
    model = linear()
    ranges = pj.calibrate(model, X, margin=1.25)
    largest = analog_sums(np.asarray(X), np.asarray(model.layers[0].kernel[...])).max()
    assert ranges == {"layers/0/kernel": {"adc": pytest.approx(1.25 * largest, rel=1e-5)}}
    assert model.layers[0].dot_general.adc_range[...] == ranges["layers/0/kernel"]["adc"]
    pj.calibrate(model, 3 * X[:1])  # a second time: found again, without converters
    again = linear()
    pj.calibrate(again, 3 * X[:1])
    chex.assert_trees_all_equal(nnx.state(again), nnx.state(model))


@pytest.mark.slow
def test_passes_of_bit_slices_have_a_range_each():
    """The largest sum of each pass's digits, through every front end; one range may stand for all."""
    model = linear(SLICED)
    ranges = pj.calibrate(model, X, margin=1)
    x, w = np.asarray(X), np.asarray(model.layers[0].kernel[...])
    a = np.round(x / np.abs(x).max(1, keepdims=True) * 119)
    b = np.round(w / np.abs(w).max(0, keepdims=True) * 119)
    digits = [[v - 16 * ((v + 8) // 16), (v + 8) // 16] for v in (a, b)]
    passes = [(u / 8, v / 8) for u in digits[0] for v in digits[1]]
    largest = [
        max(np.abs(u[:, t] @ v[t]).max() for t in (slice(0, 4), slice(4, 8))) for u, v in passes
    ]
    assert ranges == {"layers/0/kernel": {"adc": pytest.approx(largest, rel=1e-5)}}
    g = pj.optical(lambda w, x: x @ w, [pj.Rule("*", SLICED)])
    again = pj.calibrate(g, jnp.asarray(w), X, margin=1)
    assert [entry["adc"] for entry in again.values()] == [pytest.approx(largest, rel=1e-5)]
    y = g.with_ranges(again)(None, jnp.asarray(w), X)
    np.testing.assert_allclose(y, model(X) - model.layers[0].bias[...], atol=1e-5)
    own = np.asarray(model(X))
    one = {path: {"adc": float(max(largest))} for path in ranges}  # for all passes
    pj.nnx.set_ranges(model, json.loads(json.dumps(one)))
    assert (np.asarray(model(X)) != own).any()
    with pytest.raises(ValueError, match="3 ranges of a converter that has 4 passes"):
        pj.nnx.set_ranges(model, {"layers/0/kernel": {"adc": [1.0, 2.0, 3.0]}})


def test_a_static_input_range():
    model = linear(STATIC)
    ranges = pj.calibrate(model, X)
    assert ranges["layers/0/kernel"]["input"] == pytest.approx(1.1 * np.abs(X).max(), rel=1e-6)
    assert model.layers[0].dot_general.input_range[...] == ranges["layers/0/kernel"]["input"]


@pytest.mark.slow
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.999])
def test_a_quantile(quantile):
    model = linear()
    ranges = pj.calibrate(model, X, margin=1, quantile=quantile)
    sums = np.sort(analog_sums(np.asarray(X), np.asarray(model.layers[0].kernel[...])).ravel())
    level = sums[math.ceil(quantile * (sums.size - 1))]
    assert ranges["layers/0/kernel"]["adc"] == pytest.approx(level, rel=1e-5)
    # so that no more clip in the sample (its own level does not)
    y = pj.nnx.start_measuring(model) or model(X)
    (measured,) = pj.nnx.stop_measuring(model).values()
    assert y.shape == (6, 5) and measured.clipped_fraction <= 1 - quantile + 2 / sums.size


# Nothing else ----------------------------------------------------------------------------------------


def test_calibration_changes_ranges_and_nothing_else():
    optical, _ = pj.convert(Net(nnx.Rngs(0)), EVERY)
    with unchanged(optical):
        pj.calibrate(optical, X)
        pj.calibrate(optical, X, train=False)
        with pytest.warns(UserWarning, match="no signal at down/kernel"):
            pj.calibrate(optical, batches=[X, X[:2]], method="encode")
    assert optical.up.dot_general.adc_range is not None


@pytest.mark.slow
def test_nor_do_converting_measuring_and_programming_change_a_model():
    model = Net(nnx.Rngs(0))
    with unchanged(model):
        optical, _ = pj.convert(model, EVERY)
        pj.convert(optical, [pj.Rule("up", None), pj.Rule("*", CORE)])
        pj.revert(optical)
    with unchanged(optical):
        pj.nnx.start_measuring(optical)
        pj.nnx.stop_measuring(optical)
        pj.program_weights(optical)
        pj.unprogram_weights(optical)
    called, measured = (pj.convert(model, EVERY)[0] for _ in range(2))
    pj.nnx.start_measuring(measured)
    run = nnx.jit(lambda m, x: m(x))
    run(measured, X)
    pj.nnx.stop_measuring(measured)
    run(called, X)
    assert called.calls[...] == 1
    with unchanged(measured):  # a call changes what a call changes, measured or not
        nnx.update(measured, nnx.state(called))


# Calls -----------------------------------------------------------------------------------------------


def test_whatever_the_model_is_called_with():
    rules = [pj.Rule("*", CORE)]
    fresh = lambda: pj.convert(Net(nnx.Rngs(0)), rules, noise=False)[0]
    evaluated = pj.calibrate(fresh(), X, train=False)
    assert evaluated != pj.calibrate(fresh(), X)  # BatchNorm by its own statistics, dropout
    assert evaluated == pj.calibrate(fresh(), X, method=lambda m, x: m(x, train=False))
    assert evaluated == pj.calibrate(fresh(), train=False, x=X)
    with pytest.warns(UserWarning, match=r"no signal at down/kernel \("):
        only = pj.calibrate(fresh(), X, method="encode")
    assert only == {"up/kernel": evaluated["up/kernel"]}


def test_a_stream_of_batches():
    parts = [X[:2], 2 * X[2:4], X[4:]]
    each = [pj.calibrate(linear(), part)["layers/0/kernel"]["adc"] for part in parts]
    expected = {"layers/0/kernel": {"adc": max(each)}}
    assert len(set(each)) == 3
    assert pj.calibrate(linear(), batches=parts) == expected
    assert pj.calibrate(linear(), batches=((p,) for p in parts)) == expected
    rules = [pj.Rule("*", CORE)]
    fresh = lambda: pj.convert(Net(nnx.Rngs(0)), rules, noise=False)[0]
    named = [{"x": X, "train": False}]
    assert pj.calibrate(fresh(), batches=named) == pj.calibrate(fresh(), X, train=False)
    assert pj.calibrate(fresh(), batches=[X], train=False) == pj.calibrate(fresh(), X, train=False)


def test_ranges_are_a_file_that_a_fresh_conversion_loads(tmp_path):
    model = linear(STATIC)
    file = tmp_path / "ranges.json"
    file.write_text(json.dumps(pj.calibrate(model, X)))
    fresh = linear(STATIC)
    pj.nnx.set_ranges(fresh, json.loads(file.read_text()))
    chex.assert_trees_all_equal(nnx.state(fresh), nnx.state(model))
    np.testing.assert_array_equal(fresh(X), model(X))


class Block(nnx.Module):
    def __init__(self, rngs):
        self.up = nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, x):
        return jnp.tanh(self.up(x))


class Stack(nnx.Module):
    def __init__(self, stacked):
        rngs = nnx.Rngs(0)
        if stacked:
            self.layers = nnx.split_rngs(splits=3)(nnx.vmap(Block, in_axes=0, out_axes=0))(rngs)
        else:
            self.layers = nnx.List([Block(rngs) for _ in range(3)])
        weights = jax.random.normal(jax.random.key(4), (3, 8, 8)).at[1].set(0)
        if stacked:
            self.layers.up.kernel[...] = weights
        else:
            for block, kernel in zip(self.layers, weights, strict=True):
                block.up.kernel[...] = kernel

    def __call__(self, x):
        if isinstance(self.layers, nnx.List):
            for block in self.layers:
                x = block(x) + x
            return x
        run = nnx.scan(lambda b, x: b(x) + x, in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        return run(self.layers, x)


@pytest.mark.slow
@pytest.mark.parametrize("core", [CORE, SLICED], ids=["whole", "sliced"])
def test_stacked_layers_have_the_ranges_of_a_list_of_layers(core):
    """The middle one is zero: it keeps the core's own range."""
    models, ranges = [], []
    for stacked in (False, True):
        model, _ = pj.convert(Stack(stacked), [pj.Rule("*", core)], noise=False)
        with pytest.warns(UserWarning, match=r"no signal at layers/1/up/kernel \("):
            ranges.append(pj.calibrate(model, X))
        models.append(nnx.jit(lambda m, x: m(x))(model, X))
    assert ranges[0].keys() == {"layers/0/up/kernel", "layers/2/up/kernel"}
    chex.assert_trees_all_close(ranges[0], ranges[1], rtol=1e-6)
    np.testing.assert_allclose(models[0], models[1], rtol=1e-5, atol=1e-5)


def test_a_layer_of_a_stack_without_a_range_has_the_cores_own():
    w, numbers = np.asarray(X[:4].T), (((1,), (0,)), ((), ()))
    own = pj.optical_dot_general(X, w, numbers, core=CORE)
    none = jax.jit(lambda r: pj.optical_dot_general(X, w, numbers, core=CORE, adc_range=r))
    np.testing.assert_array_equal(none(jnp.nan), own)
    assert (none(1.5) != own).any()
