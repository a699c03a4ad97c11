"""Every setting of every experiment against values that are none for it: one line that names it, at once."""

from __future__ import annotations

import collections
import copy
import dataclasses
import itertools
import math
import typing
from typing import Any

import pytest

from experiments.harness import UserError, load_config
from experiments.harness.schema import check, check_given
from tests.experiments.schemas import EXPERIMENTS, schema_of, settings_of

PLAIN: dict[str, Any] = {
    "null": None,
    "text": "x",
    "empty text": "",
    "truth": True,
    "negative": -1,
    "zero": 0,
    "fraction": 0.5,
    "huge integer": 10**20,
    "huge number": 1e300,
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "complex": 1j,
    "bytes": b"x",
    "object": object(),
    "empty list": [],
    "empty mapping": {},
    "mapping": {"a": 1},
    "mapping by number": {3: 4},
    "mapping of text": {"a": "x"},
    "mapping of null": {"a": None},
    "mapping of lists": {"a": [1]},
    "deep mapping": {"a": {"b": {"c": 1}}},
}
VALUES = (
    PLAIN | {f"[{name}]": [value] for name, value in PLAIN.items()} | {"[[1, 2, 3]]": [[1, 2, 3]]}
)
# Where a value above is meant to pass: settings by their last names, the values that they take.
MEANT = {
    "seed warm_up distorted evaluate.calibration.windows": {"zero"},
    "learning_rate momentum decay crest": {"zero", "fraction"},
    "warm_up_fraction last_fraction weight_decay smoothing": {"zero", "fraction"},
    "snr_db photons_exponent": {"negative", "zero", "fraction"},
    "slack wanted strict_percent loose_percent factor corner_hz corner_enob tolerance same_within "
    "grid_within start input_rms": {"fraction"},
    "law.photons floors_percent targets_percent": {"[fraction]"},
    "rates": {"[fraction]"},
    "prices": {"[zero]", "[fraction]"},
    "documents model.path prefill.tokens modes.tokens trace.layers training.digits": {"null"},
    "digits.digits weights measured.readings": {"null"},
    "run results_dir label pattern": {"text"},
    "photons_run precision.run": {"null", "text"},
    "imports train_digits html fixed_weight language_model.run scan_layers optical dynamic": {
        "truth"
    },
    "rungs": {"empty mapping", "mapping of text"},
    "load_times_s": {"mapping"},
    "crossover.models": {"empty list"},
}


def _numbers(kind: Any) -> set[type]:
    """The numeric types among what a setting holds."""
    parts = [part for inner in typing.get_args(kind) for part in _numbers(inner)]
    return {kind} & {int, float} | set(parts)


def _put(config: Any, path: str, value: Any) -> None:
    *parents, last = path.replace("[0]", ".0").split(".")
    for name in parents:
        config = config[int(name)] if name.isdigit() else getattr(config, name)
    setattr(config, last, value)


def _meant(experiment: str, path: str, label: str) -> bool:
    names = f"{experiment}.{path}"
    return any(
        label in labels and any(f".{names}".endswith(f".{key}") for key in keys.split())
        for keys, labels in MEANT.items()
    )


def _named(path: str, text: str) -> bool:
    """Whether an error is about a setting, on one line that can be read."""
    section = path.partition("[")[0].rpartition(".")[0] or path
    return text.startswith((path, f"{section}:")) and "\n" not in text and len(text) < 500


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_wrong_value_is_refused(experiment):
    schema = schema_of(experiment)
    config = load_config(experiment, schema)
    counts: collections.Counter[str] = collections.Counter()
    for path, kind, _ in settings_of(schema):
        for label, value in VALUES.items():
            try:
                check_given(schema, path, value)
                if not dataclasses.is_dataclass(kind):  # a mapping for a section is merged into it
                    changed = copy.deepcopy(config)
                    _put(changed, path, copy.copy(value))
                    check(changed)
            except UserError as error:
                assert _named(path, str(error)), (path, label, str(error))
                counts["refused"] += 1
            else:
                section = dataclasses.is_dataclass(kind) and label == "empty mapping"
                assert section or _meant(experiment, path, label), (path, label)
                counts["meant"] += 1
    print(experiment, dict(counts))
    assert counts["refused"] > 300 and counts["meant"] < counts["refused"] / 10


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_number_has_bounds(experiment):
    for path, kind, rules in settings_of(schema_of(experiment)):
        if _numbers(kind):
            assert {"low", "above"} & set(rules) and {"high", "below"} & set(rules), path


@pytest.mark.slow  # Hydra composes a config for each
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_setting_through_hydra(experiment):
    """One wrong value each; all of them are tried above, without Hydra."""
    schema = schema_of(experiment)
    values = itertools.cycle(("[[1,2,3]]", "{a: {b: {c: 1}}}", "-1e300"))
    for path, kind, _ in settings_of(schema):
        if "[" in path:
            continue  # elements of lists have no override of their own
        value = next(values)
        if value == "-1e300" and str in (kind, *typing.get_args(kind)):
            value = next(values)  # it is text then
        with pytest.raises(UserError) as error:
            load_config(experiment, schema, [f"{path}={value}"])
        text = str(error.value)
        assert path in text and "\n" not in text and len(text) < 500, (path, value, text)


@pytest.mark.parametrize("name", ["../x", "a/b", "/tmp/x", ".", "..", "", "x.", "a b", "a\nb"])
def test_a_run_is_named_by_a_name(name):
    with pytest.raises(UserError, match=r"^run: .* is not a name|^run: is empty"):
        check_given(schema_of("evaluate"), "run", name)


@pytest.mark.parametrize("name", ["2026-11-28-001500", "a", "first_run.v2", "10"])
def test_names_of_runs(name):
    check_given(schema_of("evaluate"), "run", name)
