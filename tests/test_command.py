"""The command line: costs side by side, lists, JSON, and errors of one line."""

import errno
import json
import math
import os
import subprocess
import sys

import pytest

from photonjax import machines
from photonjax.command import main
from photonjax.core import set_fields
from photonjax.cost import estimate
from photonjax.models import prefill_workload

SMALL = ["cost", "--model", "smollm2-135m", "--context", "256", "--samples", "16"]


def run(capsys, *arguments):
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.slow
def test_costs_side_by_side_and_its_picture(capsys, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    file = tmp_path / "cost.png"
    asked = ("--core", "display-1024", "--baseline", "h100-sxm", "--plot", str(file))
    status, out, err = run(capsys, *SMALL, *asked)
    assert (status, err) == (0, f"picture: {file}\n")
    assert out.startswith("smollm2-135m, prefill of 256 tokens: 256 tokens")
    for word in ("laser", "weight hold", "display-1024", "h100-sxm bfloat16", "h100-sxm int8"):
        assert word in out
    assert "elasticity" in out and "costs.load_time_s" in out and "median" in out
    assert file.read_bytes().startswith(b"\x89PNG")


def test_json_carries_costs_numbers_and_versions(capsys):
    status, out, _ = run(capsys, *SMALL, "--baseline", "300-fJ-per-MAC", "--json")
    data = json.loads(out)
    assert status == 0 and data["command"]["model"] == "smollm2-135m"
    costs = data["costs"]
    for cost in costs.values():
        assert sum(cost["joules_by_component"].values()) == pytest.approx(cost["joules"])
        assert sum(sum(s["joules"].values()) for s in cost["sites"]) == pytest.approx(
            cost["joules"]
        )
    reference = costs["300-fJ-per-MAC"]
    assert reference["joules"] == pytest.approx(0.3e-12 * data["macs"])
    assert reference["seconds"] is None
    ratio = data["ratios"]["300-fJ-per-MAC"]["energy"]
    assert ratio["value"] == pytest.approx(costs["display-1024"]["joules"] / reference["joules"])
    assert ratio["p5"] < ratio["p95"]
    for name in ("display-1024", "h100-sxm"):  # the digital side is part of what is assumed
        table = machines.sources(name)
        assert set(data["numbers"][name]) == set(table)
        for field, number in data["numbers"][name].items():
            assert (number["low"], number["high"]) == (table[field].low, table[field].high)
            assert number["source"]
    assert {"photonjax", "jax", "numpy", "python"} <= set(data["versions"])
    assert math.isfinite(sum(data["elasticities"].values()))
    assert "scores" in " ".join(s["path"] for s in data["sites"])


@pytest.mark.slow
def test_settings_change_the_core_and_are_not_varied(capsys):
    """Bits change what converters take, too, but for the DAC's energy, which is set."""
    settings = ("costs.load_time_s=1e-9", "costs.cores=4", "photons=2e4")
    settings += ("input.bits=4", "adc.bits=6", "costs.dac_energy_j=1e-11")
    asked = [word for setting in settings for word in ("--set", setting)]
    quick = json.loads(run(capsys, *SMALL, *asked, "--optical", "all", "--json")[1])
    cost = quick["costs"]["display-1024"]
    table = machines.sources("display-1024")["costs.adc_energy_j"]
    less = 2**-2.5  # of 8.5 effective bits, 6 are left
    changes = {"costs.load_time_s": 1e-9, "costs.cores": 4, "photons": 2e4, "input.bits": 4}
    changes |= {"adc.bits": 6, "costs.adc_energy_j": table.value * less}
    core = set_fields(machines.optical("display-1024"), changes)
    exact = estimate(
        prefill_workload("smollm2-135m", tokens=256),
        core,
        where=lambda site: True,
        digital=machines.digital("h100-sxm"),
    )
    assert cost["joules"] == pytest.approx(exact.joules)
    assert cost["seconds"] == pytest.approx(exact.seconds)
    number = quick["numbers"]["display-1024"]["costs.load_time_s"]
    assert (number["value"], number["source"], number["low"]) == (1e-9, "set", None)
    adc = quick["numbers"]["display-1024"]["costs.adc_energy_j"]
    assert (adc["low"], adc["high"]) == pytest.approx((table.low * less, table.high * less))
    (note,) = quick["notes"]["display-1024"]
    assert note.startswith("costs.adc_energy_j x 0.1768")
    varied = {s["number"] for s in quick["swings"]}
    assert "display-1024/costs.load_time_s" not in varied and "display-1024/adc.enob" in varied
    # attention is on light too: nothing is left to the accelerator but what is no product
    digital = [s["path"] for s in cost["sites"] if s["where"] == "digital"]
    assert digital and all(path.startswith("(") for path in digital)


def test_csv_without_a_digital_side(capsys):
    asked = ("--csv", "--dtype", "int8", "--digital", "none", "--batch", "2")
    status, out, _ = run(capsys, *SMALL, *asked)
    lines = out.splitlines()
    assert status == 0 and lines[0] == "machine,path,where,quantity,component,value"
    assert {line.split(",")[0] for line in lines[1:]} == {"display-1024", "h100-sxm int8"}
    assert not [line for line in lines if line.startswith("display-1024") and ",digital," in line]


def test_list_and_describe(capsys):
    _, out, _ = run(capsys, "cost", "--list")
    for name in ("llama-3-8b", "display-1024", "lightening-transformer", "h100-sxm", "tpu-v6e"):
        assert name in out.split()
    assert "mzi-mesh" not in out.split()  # its costs are not published
    _, out, _ = run(capsys, "describe", "h100-sxm")
    assert "9.89e+14" in out and "data sheet" in out


def test_describe_a_file(capsys, tmp_path):
    """What it changes has the file as its source, and energies follow the bits as in `cost`."""
    (tmp_path / "mine.json").write_text('{"name": "display-1024", "photons": 2e4, "input.bits": 6}')
    status, out, _ = run(capsys, "describe", str(tmp_path / "mine.json"))
    assert status == 0 and out.startswith("display-1024, with what mine.json changes. ")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert "20000" in lines["photons"] and lines["photons"].endswith("mine.json")
    assert "costs.dac_energy_j x 0.3333" in lines["note:"]
    (tmp_path / "mine.toml").write_text("ops_per_s.int8 = 4e14\nmac_energy_j.int8 = 1e-13\n")
    status, out, _ = run(capsys, "describe", str(tmp_path / "mine.toml"))
    assert status == 0 and "DigitalAccelerator" in out and "4e+14" in out
    (tmp_path / "mine.json").write_text('{"name": "mzi-mesh", "photons": 2e4}')  # without costs
    assert run(capsys, "describe", str(tmp_path / "mine.json"))[0] == 0


WRONG = {
    "describe no file": (["describe", "nowhere/my.yaml"], "nowhere/my.yaml: there is no such file"),
    "command": (["price"], "invalid choice: 'price'"),
    "no command": ([], "COMMAND"),
    "no model": (["cost"], "--model is missing"),
    "model": (["cost", "--model", "llama-4"], "'llama-4' is not known"),
    "core": ([*SMALL, "--core", "display"], "unknown optical machine 'display'"),
    "core without costs": ([*SMALL, "--core", "mzi-mesh"], "'mzi-mesh' has no published costs"),
    "no file": ([*SMALL, "--core", "nowhere/my.yaml"], "nowhere/my.yaml: there is no such file"),
    "ending": ([*SMALL, "--digital", "gpu.ini"], "gpu.ini: end the name of the file in .yaml"),
    "baseline": (
        [*SMALL, "--baseline", "h100"],
        "unknown digital machine 'h100' (did you mean h100-sxm?)",
    ),
    "beside": ([*SMALL, "--digital", "300-fJ-per-MAC"], "has no power_w or ops_per_s"),
    "context": (["cost", "--model", "gpt2", "--context", "0"], "'0' is not an integer of 1 ..."),
    "far too much": ([*SMALL, "--context", "1e20"], "'1e20' is not an integer of 1 ..."),
    "seed": ([*SMALL, "--seed", "-1"], "'-1' is not an integer of 0 ... 4,294,967,295"),
    "samples": (
        [*SMALL, "--samples", "100000000000"],
        "--samples: '100000000000' is not an integer of 1 ... 1,000,000",
    ),
    "dtype": ([*SMALL, "--dtype", "int9"], "h100-sxm has bfloat16"),
    "attention": ([*SMALL, "--attention-dtype", "int9"], "h100-sxm has bfloat16"),
    "setting": ([*SMALL, "--set", "photons"], "write FIELD=VALUE"),
    "field": ([*SMALL, "--set", "costs.dac=1"], "has no field 'dac'"),
    "value": ([*SMALL, "--set", "photons=-1"], "OpticalCore.photons = -1.0 is not a number"),
    "kind": ([*SMALL, "--set", "photons=many"], "OpticalCore.photons = 'many' is not a number"),
    "resident": ([*SMALL, "--set", "costs.resident=true"], "give cores="),
    "plot": ([*SMALL, "--plot", "cost.gif"], "end the name in .png"),
    "directory": ([*SMALL, "--plot", "/nowhere/cost.png"], "there is no directory /nowhere"),
    "unwritable": (
        [*SMALL, "--plot", "/proc/self/cost.png"],
        "/proc/self/cost.png: cannot be written",
    ),
    "both": ([*SMALL, "--json", "--csv"], "choose one"),
    "machine": (["describe", "abacus"], "unknown machine 'abacus'"),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_what_the_user_can_mend_is_one_line_and_status_2(case, capsys):
    arguments, message = WRONG[case]
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1 and message in err, err


@pytest.mark.slow
def test_machines_of_ones_own(capsys, tmp_path):
    core, chip = tmp_path / "my_core.yaml", tmp_path / "my_gpu.toml"
    core.write_text("name: display-1024\nphotons: 2e4\ncosts: {static_power_w: 7}\n")
    chip.write_text('name = "h100-sxm"\npower_w = 400.0\n')
    asked = ("--core", str(core), "--digital", str(chip), "--set", "adc.bits=6", "--json")
    status, out, err = run(capsys, *SMALL, *asked)
    assert (status, err) == (0, "")
    found = json.loads(out)
    table = machines.sources("display-1024")
    changes = {"photons": 2e4, "costs.static_power_w": 7.0, "adc.bits": 6}
    changes["costs.adc_energy_j"] = table["costs.adc_energy_j"].value * 2**-2.5
    exact = estimate(
        prefill_workload("smollm2-135m", tokens=256),
        set_fields(machines.optical("display-1024"), changes),
        digital=set_fields(machines.digital("h100-sxm"), {"power_w": 400.0}),
        dtype="bfloat16",
    )
    assert found["costs"]["my_core"]["joules"] == pytest.approx(exact.joules)
    photons = found["numbers"]["my_core"]["photons"]
    assert (photons["value"], photons["source"], photons["low"]) == (2e4, str(core), None)
    assert found["numbers"]["my_gpu"]["power_w"]["source"] == str(chip)
    varied = {s["number"] for s in found["swings"]}
    assert "my_core/costs.load_time_s" in varied and "my_core/photons" not in varied


@pytest.mark.parametrize(
    ("core", "chip", "message"),
    [
        ("display-1024", "mine", "display-1024 is a machine's name already"),
        ("mine", "h100-sxm", "h100-sxm is a machine's name already"),
        ("mine", "mine", "two machines are called mine"),
    ],
)
def test_columns_have_names_of_their_own(capsys, tmp_path, core, chip, message):
    (tmp_path / f"{core}.yaml").write_text("name: display-1024\nphotons: 2e4\n")
    (tmp_path / f"{chip}.toml").write_text('name = "h100-sxm"\npower_w = 400.0\n')
    files = str(tmp_path / f"{core}.yaml"), str(tmp_path / f"{chip}.toml")
    status, out, err = run(capsys, *SMALL, "--core", files[0], "--baseline", files[1])
    assert (status, out) == (2, "") and message in err and err.count("\n") == 1


def test_a_full_disk_takes_the_picture_alone(capsys, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    status, out, err = run(capsys, *SMALL, "--plot", str(tmp_path / "cost.png"))
    assert status == 2 and "elasticity" in out
    assert err.endswith("(No space left on device); free space, or choose another place\n")
    assert err.count("\n") == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_output_to_a_full_disk():
    with open("/dev/full", "w") as disk:
        done = subprocess.run(
            [sys.executable, "-m", "photonjax", "cost", "--list"],
            stdout=disk,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr == "photonjax: error: cannot write the output (No space left on device)\n"


def test_without_matplotlib_a_plot_is_refused_before_computing(capsys, monkeypatch):
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    status, _, err = run(capsys, *SMALL, "--plot", "cost.png")
    assert status == 2 and "pip install" in err and err.count("\n") == 1


@pytest.mark.slow
def test_the_package_alone_prints_a_cost(tmp_path):
    """As a module, elsewhere, without what only experiments need."""
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'hydra', 'datasets', 'gguf', 'tokenizers', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "from photonjax.command import main\n"
        f"sys.exit(main({SMALL!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "energy per token" in done.stdout
