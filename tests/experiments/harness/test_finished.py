"""Results of finished runs, found by name, by directory, or as the newest."""

from __future__ import annotations

import json
import os
import pathlib

import pytest

from experiments.harness import UserError
from experiments.harness.finished import finished_run, read_metrics


@pytest.fixture
def results(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two finished runs, the older one named ``z``, and one that has only begun."""
    for age, name in enumerate(("y", "z")):
        run = tmp_path / "photons" / name
        run.mkdir(parents=True)
        (run / "metrics.json").write_text(json.dumps({"cores": [], "name": name}))
        os.utime(run / "metrics.json", (1e9 - age, 1e9 - age))
    (tmp_path / "photons" / "begun").mkdir()
    return tmp_path


def test_a_run_is_found_by_name_or_directory_or_as_the_newest(results):
    place = results / "photons"
    assert finished_run("photons", "z", str(results)) == place / "z"
    assert finished_run("photons", str(place / "z"), "elsewhere") == place / "z"
    assert finished_run("photons", None, str(results)) == place / "y"
    assert finished_run("photons", "begun", str(results)) is None
    assert finished_run("evaluate", None, str(results)) is None


@pytest.mark.parametrize("text", ["[]", "{", '{"cores": 3}', '{"name": "y"}'])
def test_what_is_no_such_result_is_refused_by_the_setting_that_names_it(results, text):
    run = results / "photons" / "y"
    assert read_metrics(run, {"cores": list}, "photons_run")["name"] == "y"
    (run / "metrics.json").write_text(text)
    with pytest.raises(
        UserError, match="^photons_run: .*/y does not hold a result with cores; name"
    ):
        read_metrics(run, {"cores": list}, "photons_run")
