"""Calibration sets the ranges that a sample asks for, and nothing else."""

import contextlib
import json
import math
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import photonjax as pj

CORE = pj.OpticalCore(rows=4, cols=8, photons=100.0, adc={"bits": 8})
STATIC = CORE.replace(input={"scale": "static"})
SLICED = CORE.replace(input={"slices": 2}, array={"slices": 2})
EVERY = [pj.Rule("*", CORE, dynamic=True)]
X = jax.random.normal(jax.random.key(0), (6, 8))


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


def linear(core=CORE, seed=0, **options):
    model = nnx.Sequential(nnx.Linear(8, 5, rngs=nnx.Rngs(seed), **options))
    return pj.convert(model, [pj.Rule("*", core)], noise=False)[0]


def snapshot(model):
    """All of a model's state but its ranges."""
    graph, state = nnx.split(nnx.clone(model))
    probe = nnx.merge(graph, state)
    for _, dot in pj.nnx.optical_dots(probe):
        dot.adc_range = dot.input_range = nnx.data(None)
    graph, state = nnx.split(probe)
    keys = lambda v: jax.random.key_data(v) if jnp.issubdtype(v.dtype, jax.dtypes.prng_key) else v
    return graph, jax.tree.map(lambda v: np.array(keys(v)), nnx.to_pure_dict(state))


@contextlib.contextmanager
def unchanged(model):
    graph, state = snapshot(model)
    yield
    after = snapshot(model)
    chex.assert_trees_all_equal(after[1], state)
    assert after[0] == graph


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


# Nothing is no measurement ---------------------------------------------------------------------------


class Tuned(nnx.Module):
    """A frozen layer with a low-rank update, whose second factor is zero at the start."""

    def __init__(self, rngs):
        self.layer = nnx.LoRALinear(8, 4, lora_rank=2, rngs=rngs)

    def __call__(self, x):
        return self.layer(x)


class Head(nnx.Module):
    """Ends in a layer of zeros."""

    def __init__(self, rngs):
        self.up = nnx.Linear(8, 16, rngs=rngs)
        self.head = nnx.Linear(16, 4, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, x):
        return self.head(jnp.tanh(self.up(x)))


class Experts(nnx.Module):
    """The second expert sees no token."""

    def __init__(self, rngs):
        self.experts = nnx.List([nnx.Linear(8, 4, use_bias=False, rngs=rngs) for _ in range(2)])

    def __call__(self, x):
        return self.experts[0](x) + self.experts[1](jnp.zeros_like(x))


DIE = {"array": {"noise": 0.02}, "receiver": {"offset_error": 0.01}}


@pytest.mark.parametrize("die", [{}, DIE], ids=["ideal", "die"])
@pytest.mark.parametrize(
    "kind, silent",
    [(Tuned, "layer/lora/lora_b"), (Head, "head/kernel"), (Experts, "experts/1/kernel")],
)
def test_a_site_without_a_signal_is_named_and_left_alone(kind, silent, die):
    model, _ = pj.convert(kind(nnx.Rngs(0)), [pj.Rule("*", CORE.replace(**die))], noise=False)
    with pytest.warns(UserWarning, match=rf"no signal at {silent} \("):
        ranges = pj.calibrate(model, X)
    assert silent not in ranges and len(ranges) == len(list(pj.nnx.optical_dots(model))) - 1
    for path, dot in pj.nnx.optical_dots(model):
        assert (dot.adc_range is None) == (dot.range_paths(path) == [silent])


@pytest.mark.parametrize("kind, wrt", [(Tuned, nnx.LoRAParam), (Head, nnx.Param)])
def test_what_was_zero_while_calibrating_trains(kind, wrt):
    target = jnp.tanh(X @ jax.random.normal(jax.random.key(1), (8, 4)))

    def trained(calibrated):
        model, _ = pj.convert(kind(nnx.Rngs(0)), [pj.Rule("*", CORE)], noise=False)
        if calibrated:
            with pytest.warns(UserWarning, match="no signal"):
                pj.calibrate(model, X)
        optimizer = nnx.Optimizer(model, optax.adam(3e-2), wrt=wrt)

        @nnx.jit
        def step(model, optimizer):
            loss = lambda m: jnp.mean((m(X) - target) ** 2)
            value, grads = nnx.value_and_grad(loss, argnums=nnx.DiffState(0, wrt))(model)
            optimizer.update(model, grads)
            return value

        return [float(step(model, optimizer)) for _ in range(120)]

    without, with_ranges = trained(False), trained(True)
    assert with_ranges[0] == pytest.approx(without[0], rel=0.05)
    assert without[-1] < 0.5 * without[0]
    assert with_ranges[-1] < 0.5 * with_ranges[0]
    assert with_ranges[0] - with_ranges[-1] > 0.9 * (without[0] - without[-1])


def test_a_static_input_range_of_nothing_is_refused():
    model, _ = pj.convert(Experts(nnx.Rngs(0)), [pj.Rule("*", STATIC)], noise=False)
    with (
        unchanged(model),
        pytest.raises(ValueError, match="experts/1/kernel: input.scale is 'static'"),
    ):
        pj.calibrate(model, X)
    own = STATIC.replace(**{"input.range": 2.0})
    model, _ = pj.convert(Experts(nnx.Rngs(0)), [pj.Rule("*", own)], noise=False)
    with pytest.warns(UserWarning, match="experts/1/kernel"):
        assert pj.calibrate(model, X).keys() == {"experts/0/kernel"}


# Refused ---------------------------------------------------------------------------------------------


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
        ({"layers/0/kernel": {"adc": 0.0}}, r"\['adc'\] = 0.0 is not a finite number above 0"),
        ({"layers/0/kernel": {"adc": math.nan}}, "is not a finite number above 0"),
        ({"layers/0/kernel": {"adc": "1"}}, "is not a finite number above 0"),
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
