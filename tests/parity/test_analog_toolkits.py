"""Converters and analog errors against the toolkits of analog hardware: aihwkit and CrossSim.

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
import numpy as np
import pytest

from tests.parity.toolkits import (
    ADC,
    RANGE,
    STATIC,
    STEPS,
    K,
    N,
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
