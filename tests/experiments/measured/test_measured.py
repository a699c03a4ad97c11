"""The measured machine: small files of a known one through the first stage; wrong files in one line."""

from __future__ import annotations

import csv
import functools
import hashlib
import http.server
import importlib
import json
import threading

import numpy as np
import pytest

from experiments import harness
from experiments.measured import inputs
from experiments.measured.config import Measured

SYMBOLS, COLUMNS = 400, 6
SETTINGS = [
    *("rows=16", "adc_bits=8", "cycle=2", "fixed_weight=false", "run=small"),
    "components=[gains,cycle,common]",
]


@pytest.fixture
def run(ours):
    return importlib.import_module("experiments.measured.run")


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    expected = rng.normal(0, 8, (SYMBOLS, COLUMNS)).astype(np.float32)
    own, shared = rng.normal(0, 1, expected.shape), rng.normal(0, 1, (SYMBOLS, 1))
    observed = 0.9 * expected + own + shared + np.where(np.arange(SYMBOLS) % 2, 1.0, -1.0)[:, None]
    observed[rng.random(expected.shape) < 0.09] = np.nan
    np.savez(tmp_path / "error_dists.npz", expected=expected, observed=observed)
    vectors = 4 * 0.5 * np.broadcast_to(np.arange(-32, 32.0), (COLUMNS, 2, 64)).copy()
    vectors[:, :, 0] = np.nan
    np.savez(tmp_path / "vector_sweeps.npz", arr_0=vectors)
    slopes = 10 + np.arange(5.0)
    weights = slopes[None, :, None] * np.arange(-7, 8.0) * np.ones((COLUMNS, 1, 1))
    np.save(tmp_path / "weight_sweeps.npy", weights.astype(np.int32))
    return tmp_path


def config(files, *more):
    overrides = [*SETTINGS, f"readings={files}", f"results_dir={files}", *more]
    return harness.load_config("measured", Measured, overrides)


@pytest.mark.slow  # draws figures, and compiles a fit and a product
def test_the_first_stage(run, files, capsys):
    run.measured(config(files))
    directory = files / "measured" / "small"
    metrics = json.loads((directory / "metrics.json").read_text())
    found = {row["statistic"]: row for row in metrics["statistics"]}
    assert found["gain"]["low"] < 0.9 < found["gain"]["high"]
    assert found["residual_cycle"]["machine"] == pytest.approx(2**0.5, rel=0.05)
    fields = {row["field"]: row for row in metrics["fields"]}
    common = fields["receiver.common_noise"]  # a code is an eighth of a product of full scale
    assert common["low"] < 1 / 0.9 / 8 < common["high"]
    assert fields["cycle_offsets"]["value"] == pytest.approx(1 / 0.9 / 8 * 2**0.5, rel=0.2)
    # The twin errs as the machine does, but for the offsets that take turns.
    for name in ("gain", "residual_cycle"):
        assert found[name]["twin"] == pytest.approx(found[name]["machine"], rel=0.1)
    assert metrics["excluded"]["readings"] > 100
    sweeps = {(row["sweep"], row["what"]): row["value"] for row in metrics["sweeps"]}
    assert sweeps["vectors", "gaps"] == pytest.approx(1 / 64)
    assert sweeps["vectors", "gain"] == pytest.approx(0.5)
    assert sweeps["weights", "... between inputs"] == pytest.approx(2**0.5 / 12)
    assert sweeps["weights", "... left to cells"] == pytest.approx(0, abs=1e-9)
    assert (directory / "report.txt").read_text().strip() in capsys.readouterr().out
    assert len(list(csv.DictReader((directory / "ladder.csv").open()))) == 4
    assert (directory / "errors.png").exists() and (directory / "ladder.png").exists()


def test_rungs_leave_one_error_out_each(run):
    import photonjax as pj

    twin = pj.OpticalCore(adc={"enob": 7.0}, receiver={"common_noise": 0.1})
    found = run.rungs(twin)
    assert list(found) == [
        "twin",
        "without adc.enob",
        "without receiver.common_noise",
        "converters alone",
    ]
    assert found["without adc.enob"].receiver.common_noise == 0.1
    alone = found["converters alone"]
    assert (alone.adc.enob, alone.receiver.common_noise) == (
        8.0,
        0.0,
    )  # as many as the converter has


def test_wrong_files_are_refused_in_one_line(run, files, tmp_path):
    def refused(match, *more):
        with pytest.raises(harness.UserError, match=match) as error:
            run.measured(config(files, *more))
        assert "\n" not in str(error.value)

    with np.load(files / "error_dists.npz") as good:
        expected, observed = good["expected"], good["observed"]
    np.savez(files / "error_dists.npz", expected=expected)
    refused("an array is missing")
    np.savez(files / "error_dists.npz", expected=expected, observed=observed[:, 1:])
    refused("readings: fit_core: observed .* is not of the shape", "run=shape")
    np.savez(files / "error_dists.npz", expected=expected, observed=observed * 10)
    refused("readings: fit_core: observed is 9", "run=unit")
    (files / "weight_sweeps.npy").unlink()
    refused("weight_sweeps.npy", "run=gone")
    with pytest.raises(harness.UserError, match="readings: '/nowhere' is not a directory"):
        config("/nowhere")
    with pytest.raises(harness.UserError, match=r"components\[0\]: 'x' is not one of gains"):
        config(files, "components=[x]")


def test_lines_for_the_fidelity_table():
    from experiments.measured.fidelity import measured_rows

    machine = {"statistic": "residual", "machine": 2.0, "low": 1.9, "high": 2.1}
    twins = (
        {"twin": 2.05, "twin low": 2.0, "twin high": 2.1},
        {"twin": 3.0, "twin low": 2.9, "twin high": 3.1},
    )
    rows = measured_rows({"statistics": [machine | twin for twin in twins]})
    assert [row["verdict"] for row in rows] == ["reproduced", "differs"]
    assert [row["deviation"] for row in rows] == pytest.approx([0.025, 0.5])
    assert "machine 1.9 ... 2.1, twin 2 ... 2.1" in rows[0]["note"]


@pytest.fixture
def owners(files, tmp_path, monkeypatch):
    """The directory that a web server of our own hands out in place of the owners' repository."""
    served = tmp_path / "web" / inputs._COMMIT / "figure_data"
    served.mkdir(parents=True)
    known = {}
    for name in inputs.FILES:
        payload = (files / name).read_bytes()
        (served / name).write_bytes(payload)
        known[name] = (len(payload), hashlib.sha256(payload).hexdigest())
    monkeypatch.setattr(inputs, "FILES", known)
    monkeypatch.setenv("PHOTONJAX_CACHE", str(tmp_path / "cache"))
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web")
    )
    handler.log_message = None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(inputs, "_OWNER", f"http://127.0.0.1:{server.server_port}")
        yield served
        server.shutdown()


def test_readings_are_fetched_from_their_owners(files, owners):
    fetched, read = inputs.load(None), inputs.load(str(files))
    for name in ("expected", "observed", "vectors", "weights"):
        np.testing.assert_array_equal(getattr(fetched, name), getattr(read, name))
    for name in inputs.FILES:  # from now on the cache has them
        (owners / name).unlink()
    np.testing.assert_array_equal(inputs.load(None).expected, read.expected)


@pytest.mark.parametrize("fault", ["another file", "no file"])
def test_readings_that_are_not_the_owners_are_refused(owners, tmp_path, fault):
    changed = owners / "vector_sweeps.npz"
    changed.write_bytes(b"x" + changed.read_bytes()[1:]) if fault == "another file" else (
        changed.unlink()
    )
    why = "does not match the known hash" if fault == "another file" else "404"
    with pytest.raises(harness.UserError, match=f"^readings: cannot fetch .*{why}") as error:
        inputs.load(None)
    assert "\n" not in str(error.value) and "vector_sweeps.npz" in str(error.value)
    assert not (tmp_path / "cache" / "vector_sweeps.npz").exists()
