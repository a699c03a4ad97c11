"""Named machines: every number has a source, assumed ones a range that holds them."""

import dataclasses
import importlib
import math

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonjax import machines
from photonjax.core import CoreCosts, get_field, measured_dot_general, set_fields
from photonjax.machines import Number, catalogue, converters
from photonjax.machines.optical.albireo import albireo
from photonjax.machines.optical.lightening_transformer import lightening_transformer

PARTS = [
    "lightening-transformer",
    "lightening-transformer-8bit",
    "albireo",
]  # tables list their parts
NAMES = [n for n in machines.optical_names() if n not in PARTS] + machines.digital_names()


def _build(name):
    return machines.optical(name) if name in machines.optical_names() else machines.digital(name)


def _fields(machine, prefix=""):
    """Every numeric field that is not left out, by dotted name; nested dataclasses and dicts too."""
    for f in dataclasses.fields(machine):
        value = getattr(machine, f.name)
        if dataclasses.is_dataclass(value):
            yield from _fields(value, f"{prefix}{f.name}.")
        elif isinstance(value, dict):
            yield from ((f"{prefix}{f.name}.{k}", v) for k, v in value.items())
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield prefix + f.name, value


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_an_entry(name):
    table, machine = machines.sources(name), _build(name)
    found = dict(_fields(machine))
    free = {"chip_seed"}  # which die, not a property
    free |= {"averages", "input.slices", "array.slices"}  # how it is driven
    if name == "ideal":  # its parts cost nothing: the defaults of CoreCosts
        free |= {f"costs.{k}" for k, _ in _fields(CoreCosts())}
    if name == "300-fJ-per-MAC":  # no whole accelerator
        free |= {"utilisation", "transcendental_ops"}
    assert found.keys() - free == {k for k, n in table.items() if n.value is not None} - free
    for key in found.keys() - free:
        assert table[key].value == found[key]
    leaves = sum(isinstance(v, float) for v in found.values())
    assert leaves == len(jax.tree.leaves(machine))


@pytest.mark.parametrize("name", NAMES + PARTS)
def test_numbers_have_units_sources_and_ranges(name):
    for field, n in machines.sources(name).items():
        assert n.source, field
        assert isinstance(n.unit, str)
        if n.assumed:
            assert n.low <= n.value <= n.high, field
            assert n.low < n.high, f"{field}: an assumption without any doubt"
    text = machines.describe(name)
    about, _, table = text.partition("\n\nfield ")
    assert about and len(table.splitlines()) == len(machines.sources(name)) + 2


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-10, 10))
def test_a_range_must_hold_its_number(low, value, high):
    if low <= value <= high:
        Number(value, "W", "x", low, high, assumed=True)
    else:
        with pytest.raises(ValueError, match="needs low <= value <= high"):
            Number(value, "W", "x", low, high)


def test_unknown_names_list_the_known():
    with pytest.raises(
        ValueError, match=r"unknown optical machine 'display-1023' \(did you mean display-1024\?\)"
    ):
        machines.optical("display-1023")
    with pytest.raises(ValueError, match="known: 300-fJ-per-MAC, b200, h100-sxm, .*, tpu-v6e"):
        machines.digital("abacus")
    with pytest.raises(ValueError, match="known: albireo, coherent-crossbar, .*, h100-sxm"):
        machines.sources("abacus")


def test_a_machine_is_found_by_its_file_alone(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(
        "from photonjax.machines.named import optical_machine\n"
        "from photonjax.machines.number import Number\n"
        "NUMBERS = {'rows': Number(16, 'inputs', 'a test'), 'costs.cores': Number(2, 'arrays', 'a test')}\n"
        "MACHINES = (optical_machine('toy-16', NUMBERS, {'encoding': 'offset'}),)\n"
    )
    folder = importlib.import_module("photonjax.machines.optical")
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    catalogue.machines_of.cache_clear()
    try:
        core = machines.optical("toy-16")
        assert (core.rows, core.encoding.kind, core.costs.cores) == (16, "offset", 2)
        assert "toy-16" in machines.optical_names()
        assert machines.sources("toy-16")["rows"].source == "a test"
    finally:
        catalogue.machines_of.cache_clear()


def test_files_can_be_imported_beside_the_functions_of_the_same_names():
    assert callable(machines.optical) and callable(machines.digital)
    assert albireo().core().rows == machines.optical("albireo").rows


def test_ideal_core_has_no_noise_and_no_converter_at_the_output():
    core = machines.optical("ideal")
    assert (core.input.bits, core.array.bits, core.adc.bits) == (16, 16, None)
    assert not core.dynamic and core.array.noise is None


# Albireo's ADC range is not published, and its sums, with their offsets, want a calibrated one.
@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in machines.optical_names() if n != "albireo"])
def test_every_core_multiplies(name):
    x, w = (jax.random.normal(jax.random.key(i), (64, 64)) for i in (0, 1))
    numbers = (((1,), (0,)), ((), ()))
    key = jax.random.key(2)
    _, m = measured_dot_general(x, w, numbers, core=machines.optical(name), key=key)
    assert 5 < float(m.snr_db) < 100
    assert float(m.clipped_fraction) < 0.02


def test_the_crossbar_is_the_one_that_is_charged():
    core = machines.optical("coherent-crossbar")
    charged = lightening_transformer(bits=core.input.bits).core()
    for field in ("rows", "cols", "encoding", "input.bits", "array.bits", "adc.bits"):
        assert get_field(core, field) == get_field(charged, field)
    assert core.photons == pytest.approx(charged.photons)
    assert core.symbol_rate_hz == charged.symbol_rate_hz


@pytest.mark.parametrize("name", PARTS)
def test_machines_of_parts_are_named(name):
    bits = 4 if name == "lightening-transformer" else 8
    build = {"albireo": albireo}.get(name, lambda: lightening_transformer(bits))
    machine = build()
    assert machines.optical(name) == machine.core() and machines.optical(name).input.bits == bits
    if name == "albireo":
        assert machines.optical(name).costs.area_m2 is None  # not published part by part
    else:
        assert machines.optical(name).costs.area_m2 == machine.area_m2 > 0
    assert machines.sources(name).keys() >= {"clock"}


WHOLE = [n for n in machines.digital_names() if n != "300-fJ-per-MAC"]


@pytest.mark.parametrize("name", WHOLE)
def test_digital_floors_lie_below_the_whole_accelerator(name):
    accelerator, table = machines.digital(name), machines.sources(name)
    assert 0.3 <= accelerator.utilisation <= 0.8 and table["utilisation"].assumed
    for dtype, rate in accelerator.ops_per_s.items():
        assert accelerator.mac_energy(dtype) < 2 * accelerator.power_w / rate, dtype
    assert accelerator.rate("int8") == pytest.approx(2 * accelerator.rate("bfloat16"), rel=0.01)
    assert accelerator.bandwidth_bytes_per_s > 1e11 and accelerator.memory_bytes > 1e10
    # a byte for every 100 to 1,000 operations: the ridge of its roofline
    assert 100 < accelerator.rate("bfloat16") / accelerator.bandwidth_bytes_per_s < 1000


def test_digital_rates_are_those_of_the_data_sheets():
    known = {  # Tflop/s in bfloat16, TB/s, GB, W
        "h100-sxm": (989, 3.35, 80, 700),
        "h200-sxm": (989, 4.8, 141, 700),
        "b200": (2250, 7.7, 180, 1000),
        "tpu-v5e": (197, 0.819, 16, None),
        "tpu-v5p": (459, 2.765, 95, None),
        "tpu-v6e": (918, 1.638, 32, None),
    }
    assert set(known) == set(WHOLE)
    for name, (rate, bandwidth, memory, power) in known.items():
        accelerator = machines.digital(name)
        assert accelerator.rate("bfloat16") == rate * 1e12
        assert accelerator.bandwidth_bytes_per_s == pytest.approx(bandwidth * 1e12)
        assert accelerator.memory_bytes == memory * 1e9
        assert (accelerator.power_w == power) or machines.sources(name)["power_w"].assumed


def test_fields_are_found_and_set_by_dotted_name():
    core, accelerator = machines.optical("display-1024"), machines.digital("h100-sxm")
    assert get_field(accelerator, "ops_per_s.int8") == 1979e12
    changed = set_fields(core, {"photons": 2.0, "costs.dac_energy_j": 3.0, "costs.cores": 4})
    assert (changed.photons, changed.costs.dac_energy_j, changed.costs.cores) == (2.0, 3.0, 4)
    assert changed.costs.adc_energy_j == core.costs.adc_energy_j
    assert set_fields(accelerator, {"ops_per_s.int8": 1.0}).rate("int8") == 1.0
    assert set_fields(core, {}) == core
    for name, known in (("photon", "photons"), ("costs.dac", "dac_energy_j")):
        with pytest.raises(ValueError, match=rf"has no field .*known: .*{known}"):
            get_field(core, name)
    with pytest.raises(ValueError, match=r"OpticalCore.costs.dac_energy_j = -1.0 is not a number"):
        set_fields(core, {"costs.dac_energy_j": -1.0})


def test_a_ring_bank_holds_together():
    core = machines.optical("microring-bank")
    # parked half-way to the next channel: what it drops there is its extinction
    spacing = float(core.array.resonance_detuning)
    assert 3.41 < spacing < 4.61  # linewidths
    assert 10 ** (-core.input.extinction_db / 10) == pytest.approx(1 / (1 + spacing**2))
    assert core.array.crosstalk_rows == pytest.approx(1 / (1 + 4 * spacing**2))
    assert core.symbol_rate_hz < 1e12 / (spacing * core.rows)  # narrower than the line


def test_published_numbers_are_reproduced():
    # Lightening-Transformer's DAC and ADC powers at 4 bits and 5 GS/s, over their counts
    assert 1440 * converters.dac_exponential_w(4, 5e9) == pytest.approx(3.214, rel=1e-3)
    assert 576 * converters.adc_linear_w(4, 5e9) == pytest.approx(2.131, rel=1e-3)
    # survey: best 6.9 fJ/step and median 55 fJ/step against 1.11 and 11.8 pJ per sample
    assert 7.2 < _enob(1.11e-12, converters.WALDEN_BEST_J) < 8.2
    assert 7.2 < _enob(11.8e-12, converters.WALDEN_MEDIAN_J) < 8.2
    # Anderson et al.'s 300 fJ/MAC; an H100 at peak takes 700 W / (989e12 / 2) = 1.42 pJ/MAC
    accelerator = machines.digital("h100-sxm")
    assert 2 * accelerator.power_w / accelerator.rate("bfloat16") == pytest.approx(
        1.42e-12, rel=0.01
    )


def _enob(energy, figure):
    return math.log2(energy / figure)
