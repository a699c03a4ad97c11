"""aihwkit-lightning's tiles against ours: the same numbers, under the conventions of test_analog_toolkits."""

from __future__ import annotations

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj
from tests.parity.toolkits import (
    ADC,
    NUMBERS,
    RANGE,
    STATIC,
    STEPS,
    K,
    N,
    T,
    assert_same,
    assert_same_codes,
    assert_same_noise,
    core,
    levels,
    operands,
    product,
    run,
)

pytestmark = pytest.mark.parity


@pytest.fixture
def lightning():
    """A linear layer of aihwkit-lightning: ``layer(w, ...)``."""
    torch = pytest.importorskip("torch")
    nn = pytest.importorskip("aihwkit_lightning.nn")
    configs = importlib.import_module("aihwkit_lightning.simulator.configs")

    def layer(
        w,
        *,
        input_range=None,
        weight_steps=0,
        per_tensor=False,
        bound=0.0,
        weight_noise=0.0,
        tile=-1,
    ):
        rpu = configs.TorchInferenceRPUConfig()
        rpu.forward.inp_res = STEPS
        rpu.mapping.max_input_size = tile
        ranges = rpu.pre_post.input_range
        ranges.enable, ranges.dynamic = True, input_range is None
        ranges.learn_input_range, ranges.init_from_data = False, 0
        if bound:
            rpu.forward.out_bound, rpu.forward.out_res = bound, STEPS
        # bounds per column; nothing is clipped unless clip_weights() is called
        rpu.clip.type = configs.WeightClipType.LAYER_GAUSSIAN_PER_CHANNEL
        if weight_steps:
            kind = configs.WeightQuantizationType
            rpu.modifier.res = weight_steps
            rpu.modifier.quantization_type = (
                kind.DISCRETIZE if per_tensor else kind.DISCRETIZE_PER_CHANNEL
            )
        if weight_noise:
            rpu.modifier.std_dev = weight_noise
            rpu.modifier.noise_type = configs.WeightNoiseInjectionType.ADD_NORMAL_PER_CHANNEL
        made = nn.AnalogLinear(*w.shape, bias=False, rpu_config=rpu)
        made.set_weights(torch.tensor(w.T.copy()))
        if input_range is not None:
            made.input_range.data[:] = input_range
        return made.train(bool(weight_noise))

    return layer


def test_lightning_static_input_range(lightning):
    """254 input steps over a fixed range, beyond which inputs are clipped."""
    x, w = operands(static=True)
    assert 0.001 < (np.abs(x) > RANGE).mean() < 0.02
    theirs = run(lightning(w, input_range=RANGE), x)
    assert_same(product(core(**STATIC), x, w), theirs)
    assert_same(product(core(input={"scale": "static"}), x, w, input_range=RANGE), theirs)
    assert (
        np.abs(product(core(**STATIC).replace(input={"bits": None}), x, w) - theirs).max()
        > 1e-4 * np.abs(theirs).max()
    )


def test_lightning_dynamic_input_range(lightning):
    """The largest magnitude of each token."""
    x, w = operands()
    assert_same(product(core(), x, w), run(lightning(w), x))


@pytest.mark.parametrize("bits", [8, 6, 4])
def test_lightning_weight_steps(lightning, bits):
    """Weights quantized per column."""
    x, w = operands(weight_bits=bits)
    theirs = run(lightning(w, weight_steps=2**bits - 2), x)
    assert_same(product(core(array={"bits": bits}), x, w), theirs)
    assert_same(
        product(core(array={"bits": bits}), x, pj.program(w, core(array={"bits": bits}))), theirs
    )


def test_lightning_weight_steps_of_the_whole_matrix(lightning):
    rng = np.random.default_rng(3)
    x, _ = operands()
    w = levels(rng, (K, N), 0, spread=30).astype(np.float32) / 127
    theirs = run(lightning(w, weight_steps=STEPS, per_tensor=True), x)
    assert_same(product(core(array={"bits": 8, "scale": "per_tensor"}), x, w), theirs)


def test_lightning_tiles(lightning):
    """Three tiles along K, each with input and weight scales of its own."""
    rng = np.random.default_rng(4)
    x = np.concatenate([levels(rng, (T, K // 3), 1) * rng.uniform(0.3, 3) for _ in range(3)], 1)
    w = np.concatenate([levels(rng, (K // 3, N), 0) * rng.uniform(0.3, 3) for _ in range(3)], 0)
    x, w = x.astype(np.float32), w.astype(np.float32)
    theirs = run(lightning(w, weight_steps=STEPS, tile=K // 3), x)
    tiled = core(rows=K // 3, array={"bits": 8, "scale": "per_tile"}, input={"scale": "per_tile"})
    assert_same(product(tiled, x, w), theirs)


@pytest.mark.parametrize("bound", [14.0, 2.0])
def test_lightning_output_steps(lightning, bound):
    """254 output steps over ``bound`` times the full scales of inputs and column; some clip at 2."""
    x, w = operands(static=True, weight_bits=8)
    theirs = run(lightning(w, input_range=RANGE, weight_steps=STEPS, bound=bound), x)
    converted = core(array={"bits": 8}, adc={"bits": 8}).replace(**STATIC)
    ours = product(converted, x, w, adc_range=bound * ADC)
    step = RANGE * np.abs(w).max(0) * bound / 127
    analog = product(core(array={"bits": 8}).replace(**STATIC), x, w)
    clipped = (np.abs(analog) > bound * RANGE * np.abs(w).max(0)).mean()
    assert clipped > 0.01 if bound == 2 else clipped == 0
    lowest = ours / step < -127.5
    assert lowest.any() == (bound == 2)  # code -128, which they do not have
    assert_same_codes(np.where(lowest, -127 * step, ours), theirs, step, analog)


def test_lightning_injected_weight_noise(lightning, monkeypatch):
    """Analog foundation models' recipe (IBM 2025): 254 static input steps, weight noise of 0.03 of the
    column's largest magnitude, 254 output steps over 14. Our die's errors put into their layer."""
    module = importlib.import_module("aihwkit_lightning.nn.modules.torch_utils.torch_linear")
    torch = pytest.importorskip("torch")
    x, w = operands(static=True)
    largest, sigma, bound = np.abs(w).max(0), 0.03, 14.0
    noisy = core(array={"noise": sigma}, adc={"bits": 8}).replace(**STATIC)
    held = pj.optical_dot_general(
        np.eye(K, dtype=np.float32),
        w,
        NUMBERS,
        core=core(input={"bits": None}, array={"noise": sigma}),
    )
    error = (np.asarray(held) - w) / (sigma * largest)
    assert abs(error.std() - 1) < 5 / np.sqrt(2 * error.size)
    drawn = []

    def inject(like):
        drawn.append(like.shape)
        return torch.tensor(error.T.copy())

    monkeypatch.setattr(module, "randn_like", inject)
    theirs = run(lightning(w, input={"range": RANGE}, bound=bound, array={"noise": sigma}), x)
    assert drawn == [(N, K)]
    analog = product(core(array={"noise": sigma}).replace(**STATIC), x, w)
    step = RANGE * largest * bound / 127
    assert_same_codes(product(noisy, x, w, adc_range=bound * ADC), theirs, step, analog)
    # and the analog sums themselves, without the converter's steps
    monkeypatch.setattr(module, "randn_like", inject)
    assert_same(analog, run(lightning(w, input={"range": RANGE}, array={"noise": sigma}), x))


@pytest.mark.parametrize("bits", [None, 8])
def test_lightning_weight_noise_distribution(lightning, bits):
    """Normal, in proportion to each column's largest magnitude, drawn from the quantized weight."""
    sigma, copies = 0.03, 20
    _, w = operands(weight_bits=bits)
    eye = np.eye(K, dtype=np.float32)
    noisy = core(input={"bits": None}, array={"bits": bits, "noise": sigma})
    still = product(core(input={"bits": None}, array={"bits": bits}), eye, w)
    layer = lightning(w, weight_steps=STEPS if bits else 0, array={"noise": sigma})
    layer.rpu_config.forward.inp_res = -1
    ours = np.stack([product(noisy, eye, w, site=site) - still for site in range(copies)])
    theirs = np.stack([run(layer, eye) - still for _ in range(copies)])
    largest = np.abs(w).max(0)
    for column in (0, N - 1):
        assert_same_noise(ours[..., column], theirs[..., column], sigma * largest[column])
    assert_same_noise(ours / largest, theirs / largest, sigma)


def test_lightning_gradients(lightning):
    """Straight through the steps, zero where inputs or outputs are clipped."""
    torch = pytest.importorskip("torch")
    x, w = operands(static=True, weight_bits=8)
    bound = 2.0
    converted = core(array={"bits": 8}, adc={"bits": 8}).replace(**STATIC)
    # The last step counts as clipped from its middle on here, from its end on there: left out.
    codes = np.abs(
        product(core(array={"bits": 8}).replace(**STATIC), x, w)
        / (RANGE * np.abs(w).max(0) * bound / 127)
    )
    inside = (codes < 126.9) | (codes > 128.1)
    assert inside.mean() > 0.97 and (codes > 128.1).any()
    cotangent = np.float32(np.random.default_rng(5).normal(size=(T, N)) * inside)

    def ours(x, w):
        y = pj.optical_dot_general(x, w, NUMBERS, core=converted, adc_range=bound * ADC)
        return jnp.sum(y * cotangent)

    layer = lightning(w, input_range=RANGE, weight_steps=STEPS, bound=bound)
    given = torch.tensor(x, requires_grad=True)
    (layer(given) * torch.tensor(cotangent)).sum().backward()
    dx, dw = jax.grad(ours, (0, 1))(jnp.asarray(x), jnp.asarray(w))
    assert_same(np.asarray(dx), given.grad.numpy())
    assert_same(np.asarray(dw), layer.weight.grad.numpy().T)
    assert (np.asarray(dx)[np.abs(x) > RANGE] == 0).all()
