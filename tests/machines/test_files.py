"""Machines out of files: what they say is what is built, and what is no machine is refused in one line."""

import json

import pytest

from photonjax import OpticalCore, machines
from photonjax.machines import read_machine

CORE = {
    ".json": '{"name": "display-1024", "photons": 2e4, "adc": {"bits": 9}, "costs.cores": 2}',
    ".toml": 'name = "display-1024"\nphotons = 2e4\ncosts.cores = 2\n[adc]\nbits = 9\n',
    ".yaml": "name: display-1024\nphotons: 2e4\nadc: {bits: 9}\ncosts.cores: 2\n",
}


def write(place, name, text):
    file = place / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("suffix", CORE)
def test_a_core_that_differs_from_a_named_one(tmp_path, suffix):
    found = read_machine(write(tmp_path, f"mine{suffix}", CORE[suffix]), "optical")
    changes = {"photons": 2e4, "adc.bits": 9, "costs.cores": 2}
    assert found.machine == machines.optical("display-1024").replace(**changes)
    assert (found.base, found.fields) == ("display-1024", changes)


def test_a_core_of_its_own(tmp_path):
    text = json.dumps({"rows": 64, "cols": 32, "encoding": "homodyne", "costs": {"cores": 3}})
    found = read_machine(write(tmp_path, "mine.json", text), "optical")
    core = found.machine
    assert (core.rows, core.cols, core.encoding.kind, core.costs.cores) == (64, 32, "homodyne", 3)
    assert found.base is None and core.costs.dac_energy_j == 0.0


def test_accelerators(tmp_path):
    text = 'name = "h100-sxm"\npower_w = 400.0\nops_per_s.int4 = 4e15\nmac_energy_j.int4 = 5e-14\n'
    found = read_machine(write(tmp_path, "mine.toml", text), "digital").machine
    h100 = machines.digital("h100-sxm")
    assert found.power_w == 400.0 and found.rate("int4") == 4e15
    assert found.rate("int8") == h100.rate("int8")
    own = {"ops_per_s": {"int8": 4e14}, "mac_energy_j": {"int8": 1e-13}, "power_w": 200}
    found = read_machine(write(tmp_path, "mine.json", json.dumps(own)), "digital")
    assert found.machine == machines.DigitalAccelerator(**own) and found.base is None


def test_the_kind_follows_from_what_the_file_says(tmp_path):
    for text, kind in (
        ('{"name": "h100-sxm", "power_w": 400}', machines.DigitalAccelerator),
        ('{"ops_per_s.int8": 1, "mac_energy_j.int8": 1}', machines.DigitalAccelerator),
        ('{"name": "ideal", "rows": 4}', OpticalCore),
        ('{"rows": 4}', OpticalCore),
    ):
        file = write(tmp_path, "mine.json", text)
        assert isinstance(read_machine(file).machine, kind)
        assert machines.describe(file) == machines.describe(str(file))
    file = write(tmp_path, "mine.json", '{"name": "h100", "power_w": 400}')
    with pytest.raises(
        ValueError, match=r"mine.json: unknown machine 'h100' \(did you mean h100-sxm"
    ):
        machines.describe(file)


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("a.ini", "x", "optical", "end the name of the file in .yaml, .yml, .toml, .json"),
        ("a.json", "", "optical", "Expecting value"),
        ("a.json", "[1]", "optical", "holds no fields"),
        ("a.json", "{" * 5000, "optical", "Expecting property name"),
        ("a.json", '{"a":' * 100_000 + "1" + "}" * 100_000, "optical", "recursion"),
        ("a.toml", "rows = ", "optical", "Invalid value (at end of document)"),
        ("a.yaml", "rows: [1", "optical", "is not YAML"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", "optical", "is not YAML"),
        ("a.yaml", "name: display-1024", "optical", "sets no field"),
        ("a.yaml", "name: 3\nrows: 4", "optical", "name: 3 is not the name of a machine"),
        ("a.yaml", "name: nobody\nrows: 4", "optical", "unknown optical machine 'nobody'"),
        ("a.yaml", "row: 4", "optical", "OpticalCore has no field 'row'"),
        ("a.yaml", "adc: {bit: 4}", "optical", "has no field 'bit'"),
        ("a.yaml", "adc: {bits: 4}\nadc.bits: 5", "optical", "adc.bits stands there twice"),
        ("a.yaml", "rows: many", "optical", "OpticalCore.rows = 'many'"),
        ("a.yaml", "photons: [1]", "optical", "OpticalCore.photons = [1]"),
        ("a.yaml", "photons: -1", "optical", "OpticalCore.photons = -1"),
        ("a.yaml", "power_w: 3", "digital", "ops_per_s is missing"),
        ("a.yaml", "ops_per_s.int8: 1e14", "digital", "mac_energy_j is missing"),
        ("a.yaml", "name: h100-sxm\nwatts: 3", "digital", "has no field 'watts'"),
        ("a.yaml", "name: h100-sxm\nops_per_s: {int3: 3}", "digital", "unknown precision"),
        (
            "a.yaml",
            "watts: 3\nops_per_s: {int8: 1}\nmac_energy_j: {int8: 1}",
            "digital",
            "has no field 'watts'",
        ),
    ],
)
def test_what_is_no_machine(tmp_path, name, text, kind, message):
    file = write(tmp_path, name, text)
    with pytest.raises(ValueError) as error:
        read_machine(file, kind)
    told = str(error.value)
    assert told.startswith(f"{file}: ") and message in told and "\n" not in told


def test_files_that_cannot_be_read(tmp_path):
    for name, what in (("no.yaml", "there is no such file"), ("", "end the name")):
        with pytest.raises(ValueError, match=what):
            read_machine(tmp_path / name, "optical")
    file = tmp_path / "big.json"
    file.write_bytes(b" " * (2 << 20))
    with pytest.raises(ValueError, match="more than 1,048,576 bytes"):
        read_machine(file, "optical")
    file.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match="not a text in UTF-8"):
        read_machine(file, "optical")
