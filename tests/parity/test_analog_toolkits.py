"""Converters and analog errors against the toolkits of analog hardware: aihwkit-lightning, aihwkit, CrossSim.

Opt-in: install what you want to compare with and run ``pytest -m parity tests/parity -s``; a toolkit that
is not there is skipped. Everything gets the same tensors. Steps are the same to float32 rounding; noise
is injected to be compared exactly, or compared in distribution.

Two conventions differ and are bridged here. These toolkits count an ADC's steps from -127 to 127, with 127
at the bound; ours has -128 ... 127 of 128 at the range, so the range is 128/127 of the bound, and the lowest
code is one step beyond theirs. IBM's weight noise is drawn at every call, ours belongs to a chip.
"""

from __future__ import annotations

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import photonjax as pj

pytestmark = pytest.mark.parity

NUMBERS = (((1,), (0,)), ((), ()))
T, K, N = 64, 96, 40
STEPS = 254  # of 8 bits: -127 ... 127
RANGE = 3.0  # static full scale of the inputs
ADC = 128 / 127
PLAIN = pj.OpticalCore(rows=K, cols=N, input={"bits": 8}, array={"bits": None}, adc={"bits": None})
STATIC = dict(input={"scale": "static", "range": RANGE})


def core(**changes):
    return PLAIN.replace(**changes)


def levels(rng, shape, axis, largest=127, spread=45.0, beyond=False):
    """Numbers in units of steps, none near the edge between two, where float32 rounding decides.

    Along ``axis`` the largest magnitude is ``largest`` exactly, unless some lie ``beyond`` it.
    """
    whole = np.round(rng.normal(size=shape) * spread * largest / 127)
    if not beyond:
        whole = np.clip(whole, 1 - largest, largest - 1)
    values = whole + rng.uniform(-0.45, 0.45, shape)
    if not beyond:
        first = (slice(None), 0) if axis == 1 else 0
        values[first] = largest
    return values


def operands(seed=0, *, static=False, weight_bits=None):
    """x ``[T, K]`` and w ``[K, N]``, columns of unequal size."""
    rng = np.random.default_rng(seed)
    x = levels(rng, (T, K), 1, beyond=static) * RANGE / 127
    if not static:
        x = x * rng.uniform(0.3, 3, (T, 1))
    largest = 127 if weight_bits is None else 2 ** (weight_bits - 1) - 1
    w = levels(rng, (K, N), 0, largest) / largest * rng.uniform(0.2, 2, (1, N))
    return x.astype(np.float32), w.astype(np.float32)


def product(core, x, w, key=None, **options):
    return np.asarray(pj.optical_dot_general(x, w, NUMBERS, core=core, key=key, **options))


def assert_same(ours, theirs):
    scale = np.abs(theirs).max()
    assert np.isfinite(scale) and scale > 0
    np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5, rtol=0)


def assert_same_codes(ours, theirs, step, analog):
    """The same ADC codes, but where the analog value lies on the edge between two (to 1e-3 of a step)."""
    ours, theirs, analog = (np.asarray(v, np.float64) / step for v in (ours, theirs, analog))
    edge = np.abs(np.abs(analog - np.floor(analog)) - 0.5) < 1e-3
    assert edge.mean() < 0.02
    np.testing.assert_allclose(ours[~edge], theirs[~edge], atol=2e-3, rtol=0)
    assert np.abs(ours - theirs).max() < 1.01


def assert_same_noise(ours, theirs, sigma, rare=1e-4):
    """Both normal with standard deviation ``sigma``, and one distribution."""
    for found in (ours, theirs):
        # five standard errors of a sample standard deviation, of the mean
        assert abs(found.std() / sigma - 1) < 5 / np.sqrt(2 * found.size)
        assert abs(found.mean()) < 5 * sigma / np.sqrt(found.size)
        assert stats.kstest(found.ravel() / sigma, "norm").pvalue > rare
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > rare


# --- aihwkit-lightning -------------------------------------------------------------------------------


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


def run(layer, x):
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return layer(torch.tensor(x)).numpy()


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


# --- aihwkit -----------------------------------------------------------------------------------------


@pytest.fixture(params=["TorchInferenceRPUConfig", "InferenceRPUConfig"])
def aihwkit(request):
    """A linear layer of aihwkit: its torch tile, and its C++ one."""
    torch = pytest.importorskip("torch")
    configs = pytest.importorskip("aihwkit.simulator.configs")
    nn = importlib.import_module("aihwkit.nn")

    def layer(
        w, *, input_range=None, bound=0.0, inputs=1 / STEPS, output_noise=0.0, weight_noise=0.0
    ):
        rpu = getattr(configs, request.param)()
        rpu.mapping.weight_scaling_omega, rpu.mapping.weight_scaling_columnwise = 1.0, True
        rpu.mapping.max_input_size = rpu.mapping.max_output_size = 0
        forward = rpu.forward
        forward.inp_res, forward.out_res = inputs, 1 / STEPS if bound else -1
        forward.out_bound, forward.out_noise, forward.w_noise = bound, output_noise, 0.0
        forward.bound_management = configs.BoundManagementType.NONE
        forward.noise_management = configs.NoiseManagementType.ABS_MAX
        if input_range is not None:
            forward.noise_management = configs.NoiseManagementType.CONSTANT
            forward.nm_thres = input_range
        if weight_noise:
            rpu.modifier.type = configs.WeightModifierType.ADD_NORMAL
            rpu.modifier.std_dev = weight_noise
        try:
            made = nn.AnalogLinear(*w.shape, bias=False, rpu_config=rpu)
        except RuntimeError as error:
            if "must be a CPU tensor" not in str(error):
                raise
            pytest.skip("this aihwkit's C++ tile was built for another torch")
        made.set_weights(torch.tensor(w.T.copy()))
        return made.train(bool(weight_noise))

    return layer


@pytest.mark.parametrize("static", [False, True])
def test_aihwkit_steps(aihwkit, static):
    """Inputs and outputs in 254 steps; columns scaled to their largest magnitude."""
    x, w = operands(static=static)
    bound = 10.0
    ranges = STATIC if static else {}
    theirs = run(aihwkit(w, input_range=RANGE if static else None, bound=bound), x)
    ours = product(core(adc={"bits": 8}).replace(**ranges), x, w, adc_range=bound * ADC)
    full = RANGE if static else np.abs(x).max(1, keepdims=True)
    step = full * np.abs(w).max(0) * bound / 127
    lowest = ours / step < -127.5
    analog = product(core(**ranges), x, w)
    assert_same_codes(np.where(lowest, -127 * step, ours), theirs, step, analog)


def output_noise_core(sigma, **changes):
    """A core whose receivers give each output the standard deviation sigma, in units of ``p``."""
    lit = core(photons=1e12, receiver={"noise_a_per_rthz": 1.0}).replace(**changes)
    density = sigma / float(np.sqrt(lit.receiver.variance(lit)))
    return lit.replace(receiver={"noise_a_per_rthz": density})


def test_aihwkit_output_noise(aihwkit):
    """Noise of 0.04 at the output, where optical receivers have theirs; no output steps."""
    sigma = 0.04
    x, w = operands()
    layer = aihwkit(w, output_noise=sigma)
    unit = np.abs(x).max(1, keepdims=True) * np.abs(w).max(0)
    still = product(core(), x, w)
    ours = [
        (product(output_noise_core(sigma), x, w, jax.random.key(i)) - still) / unit
        for i in range(4)
    ]
    theirs = np.stack([(run(layer, x) - still) / unit for _ in range(4)])
    assert_same_noise(np.stack(ours), theirs, sigma)


def test_aihwkit_weight_noise(aihwkit):
    """ADD_NORMAL, relative to the largest weight of the whole tile."""
    sigma, copies = 0.0175, 20
    _, w = operands()
    w = w / np.abs(w).max(0)  # columns of one size: per column and per tile are the same
    layer = aihwkit(w, inputs=-1, array={"noise": sigma})
    eye = np.eye(K, dtype=np.float32)
    noisy = core(input={"bits": None}, array={"scale": "per_tensor", "noise": sigma})
    ours = np.stack([product(noisy, eye, w, site=site) - w for site in range(copies)])
    theirs = []
    for _ in range(copies):
        for tile in layer.analog_tiles():
            tile.post_update_step()  # the C++ tile draws again after an update, the torch one at every call
        theirs.append(run(layer, eye) - w)
    assert_same_noise(ours, np.stack(theirs), sigma)


# --- CrossSim ----------------------------------------------------------------------------------------


@pytest.fixture
def crosssim():
    """A matrix on CrossSim: ``multiply(x, w, ...)``; differential cells without a lowest conductance."""
    simulator = pytest.importorskip("simulator")
    limits = importlib.import_module("simulator.parameters.xbar_parameters").ADCRangeLimits
    styles = importlib.import_module("simulator.parameters.core_parameters").BalancedCoreStyle

    def multiply(x, w, *, input_bits=8, cell_bits=7, bound=None, error=0.0):
        p = simulator.CrossSimParameters()
        p.core.mapping.inputs.mvm.min, p.core.mapping.inputs.mvm.max = -RANGE, RANGE
        if input_bits:
            p.xbar.dac.mvm.model, p.xbar.dac.mvm.bits = "SignMagnitudeDAC", input_bits
        p.xbar.device.infinite_on_off_ratio, p.xbar.device.cell_bits = True, cell_bits
        if bound is not None:
            p.xbar.adc.mvm.model, p.xbar.adc.mvm.bits = "SignMagnitudeADC", 8
            p.xbar.adc.mvm.adc_range_option = limits.CALIBRATED
            p.xbar.adc.mvm.calibrated_range = [-bound, bound]
        if (
            error
        ):  # both cells of a pair away from their lowest conductance, where errors are cut off
            p.core.balanced.style = styles.TWO_SIDED
            mapping = p.core.mapping.weights
            mapping.percentile, mapping.min, mapping.max = None, -2.0, 2.0
            p.xbar.device.programming_error.enable = True
            p.xbar.device.programming_error.model = "NormalIndependentDevice"
            p.xbar.device.programming_error.magnitude = error
        return np.asarray(simulator.AnalogCore(w.T, p) @ x.T).T

    return multiply


@pytest.mark.parametrize("bound", [None, 10.0, 2.0])
def test_crosssim_steps(crosssim, bound):
    """Sign and magnitude in 8 bits at the input, 7-bit cells in pairs, 8-bit ADC."""
    x, _ = operands(static=True)
    w = (levels(np.random.default_rng(6), (K, N), 0) * 0.01).astype(np.float32)
    theirs = crosssim(x, w, bound=bound)
    scaled = dict(array={"bits": 8, "scale": "per_tensor"}, **STATIC)
    analog = product(core(**scaled), x, w)
    if bound is None:
        return assert_same(analog, theirs)
    ours = product(core(adc={"bits": 8}).replace(**scaled), x, w, adc_range=bound * ADC)
    step = RANGE * np.abs(w).max() * bound / 127
    lowest = ours / step < -127.5
    assert lowest.any() == (bound == 2)
    assert_same_codes(np.where(lowest, -127 * step, ours), theirs, step, analog)


def test_crosssim_programming_error(crosssim):
    """An independent normal error of each of a weight's two cells: sqrt(2) of it in their difference."""
    error, copies = 0.02, 20
    _, w = operands()
    w = w / np.abs(w).max()
    eye = np.eye(K, dtype=np.float32) * RANGE
    sigma = 2 * np.sqrt(2) * error  # the cells' full scale stands for a weight of 2
    options = dict(array={"scale": "per_tensor", "noise": sigma}, input={"bits": None})
    ours = np.stack([product(core(**options), eye, w, site=s) for s in range(copies)]) / RANGE - w
    np.random.seed(0)  # CrossSim draws from numpy's global state  # noqa: NPY002
    theirs = [crosssim(eye, w, input_bits=0, cell_bits=0, error=error) for _ in range(copies)]
    assert_same_noise(ours, np.stack(theirs) / RANGE - w, sigma)
