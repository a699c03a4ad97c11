"""Every setting of every experiment against values that are none for it: one line that names it, at once."""

from __future__ import annotations

import collections
import copy
import dataclasses
import importlib
import math
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from experiments.digits import run as digits
from experiments.harness import ROOT, Parts, UserError, finished, inputs, load_config, settings
from experiments.harness.schema import check, check_given
from photonjax import data, models

EXPERIMENTS = [file.parent.name for file in sorted((ROOT / "experiments").glob("*/config.py"))]
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
    "seed warm_up distorted": {"zero"},
    "learning_rate momentum decay crest": {"zero", "fraction"},
    "snr_db photons_exponent": {"negative", "zero", "fraction"},
    "slack wanted strict_percent loose_percent factor corner_hz corner_enob tolerance same_within "
    "grid_within start input_rms": {"fraction"},
    "law.photons floors_percent targets_percent": {"[fraction]"},
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


def _schema(experiment: str) -> type:
    module = importlib.import_module(f"experiments.{experiment}.config")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, settings.Experiment)
        and value.__module__ == module.__name__
    )
    return found


def _settings(schema: type, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted path, type and rules of every setting, of sections and of lists of them as well."""
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        kind, where = hints[field.name], f"{path}.{field.name}" if path else field.name
        yield where, kind, field.metadata
        if dataclasses.is_dataclass(kind):
            yield from _settings(kind, where)
        elif typing.get_origin(kind) is list and dataclasses.is_dataclass(typing.get_args(kind)[0]):
            yield from _settings(typing.get_args(kind)[0], f"{where}[0]")


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
    schema = _schema(experiment)
    config = load_config(experiment, schema)
    counts: collections.Counter[str] = collections.Counter()
    for path, kind, _ in _settings(schema):
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
    for path, kind, rules in _settings(_schema(experiment)):
        if _numbers(kind):
            assert {"low", "above"} & set(rules) and {"high", "below"} & set(rules), path


# As written on the command line: what was a traceback, or an error after the model was loaded.
WRITTEN = {
    "design": {
        "corner_hz=null": "corner_hz: null is not a number above 0 and up to 1e+15",
        "photons=[1]": "photons: [1.0] is not [low, high] with low < high",
        "cells=9007199254740992": "cells: 9007199254740992 are 137,438,953,472 arrays of 256 x 256; ",
        "machine=ideal": "machine: 'ideal' has no adc.enob or no input.bits; take ",
        "model.name=llama": "model.name: model 'llama' is not known: ",
    },
    "energy": {
        "models=3": "models: 3 is not a list, each text",
        "contexts=[1e20]": "contexts[0]: 1e+20 is not an integer of 1 ... 2,147,483,647",
        "cores=[{name: display-1024, fields: 3}]": "cores[0] has no field 'fields'; known: rows",
        "cores=[{name: display-1024, adc: {bits: 99}}]": "cores[0].adc.bits: 99 is not an integer of 1 ...",
        "cores=[{name: display-1024, costs.load_time_s: -1}]": "cores[0].costs.load_time_s: -1 is not a ",
        "cores=[{name: display-1024, label: [1]}]": "cores[0].label: [1] is not a name",
        "cores=[3]": "cores[0]: 3 is not a machine's name, or a mapping of its name and fields",
        "samples=100000000000": "samples: 100000000000 is not an integer of 1 ... 1,000,000",
    },
    "scaling": {
        "machine={name: display-1024, input: {curve: zig}}": "machine.input.curve: 'zig'; choose one of",
        "matrix.array=[64,100000]": "matrix.array[1]: 100000 is not an integer of 1 ... 65,536",
    },
    "benchmark": {
        "product.shapes=[[1,2,3]]": "product.shapes[0]: [1, 2, 3] is not a pair [K, N]",
        "product.shapes=[[1,100000]]": "product.shapes[0][1]: 100000 is not an integer of 1 ... 32,768",
        "imports=on": "imports: 'on' is not true or false",
        "imports=true,2": "imports: 2 is not true or false",
        "modes.cores={a: 3}": "modes.cores.a: 3 is not a mapping of OpticalCore fields",
    },
    "photons": {
        "core.input.curve=zig": "core.input.curve: 'zig'; choose one of",
        "ladder={a: {input: {curve: zig}}}": "ladder.a.input.curve: 'zig'; choose one of",
        "model.path=/nope": "model.path: '/nope' does not exist; give a .gguf file, a directory or hub:",
        "data.corpus=nope": "data.corpus: no corpus is called 'nope'; there are ",
    },
    "evaluate": {
        "core.photons=-1": "core.photons: -1 is not a number above 0, or null",
        "core=3": "core: 3 is not a mapping, or one of coherent-crossbar, display-1024",
        "rules=[{pattern: [1], optical: true, dynamic: false}]": "rules[0].pattern: [1] is not text",
        "rules=[{pattern: x, optical: 1}]": "rules[0].optical: 1 is not true or false",
        "model.scan_layers=1": "model.scan_layers: 1 is not true or false",
        "core.input.lookup=1": "core.input.lookup: 1 is not true or false",
        "core.photons=true": "core.photons: true is not a number",
        "windows=true": "windows: true is not an integer of 1 ... 100,000",
        "windows=1000000": "windows: 1000000 is not an integer of 1 ... 100,000",
        "digital.name=300-fJ-per-MAC": "digital.name: '300-fJ-per-MAC' is an energy per ",
    },
    "digits": {
        "weights=nowhere.pt": "weights: nowhere.pt does not exist",
        "core.photons=[1]": "core.photons: [1] is not a number above 0, or null",
    },
    "overhead": {
        "core.adc.bits=many": "core.adc.bits: 'many' is not an integer of 1 ... 16, or null"
    },
    "claims": {
        "energy.accelerators.int8=3": "energy.accelerators.int8: 3 is not a mapping, each text",
        "array.sizes=[64,64]": "array.sizes: [64, 64]: an exponent takes two sizes or more",
        "context.contexts=[512,1024]": "context.contexts: [512, 1024] has fewer than two sizes within",
        "models=[gpt2]": "contexts: gpt2 has positions for 1024 tokens, not 2048",
    },
}


@pytest.fixture
def nothing_loaded(monkeypatch):
    """Models and texts, digits and downloads: whoever asks for one fails."""

    def loaded(*arguments, **keywords):
        raise AssertionError(f"loaded: {arguments}")

    for module, name in (
        (models, "load"),
        (data, "load_corpus"),
        (data, "fetch"),
        (inputs, "load_text"),
        (digits, "read_packaged"),
        (digits, "read_idx"),
        (Parts, "get"),
    ):
        monkeypatch.setattr(module, name, loaded)


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("experiment", WRITTEN)
def test_as_written_on_the_command_line(experiment):
    for override, message in WRITTEN[experiment].items():
        with pytest.raises(UserError) as error:
            load_config(experiment, _schema(experiment), [override])
        assert str(error.value).startswith(message), (override, str(error.value))
        assert "\n" not in str(error.value)


# What needs a look at other files: before anything is loaded, or any part of the work is done.
LEFT = {
    "claims": ("photons_run=broken", "photons_run: "),
    "design": ("quality.photons_run=broken", "quality.photons_run: "),
    "digits": ("weights=WEIGHTS", "weights: "),
}


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_nothing_is_loaded_for_a_run_that_cannot_be(experiment, tmp_path, monkeypatch):
    """Its directory holds a finished run, or what it builds on is none."""
    (tmp_path / "w.npz").write_bytes(b"no weights")
    monkeypatch.setattr(finished, "ROOT", tmp_path)
    broken = tmp_path / "results" / "photons" / "broken" / "metrics.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{}")
    run = getattr(importlib.import_module(f"experiments.{experiment}.run"), experiment)
    overrides = [f"results_dir={tmp_path / 'results'}", "run=done"]
    if experiment in LEFT:
        override, named = LEFT[experiment]
        override = override.replace("WEIGHTS", str(tmp_path / "w.npz"))
        with pytest.raises(UserError, match=f"^{named}"):
            run(load_config(experiment, _schema(experiment), [*overrides, override]))
    done = tmp_path / "results" / experiment / "done" / "metrics.json"
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text("{}")
    with pytest.raises(UserError, match=r"^run: .* already holds a finished run"):
        run(load_config(experiment, _schema(experiment), overrides))


@pytest.mark.slow  # Hydra composes a config for each
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_setting_through_hydra(experiment):
    schema = _schema(experiment)
    for path, kind, _ in _settings(schema):
        if "[" in path:
            continue  # elements of lists have no override of their own
        for value in ("[[1,2,3]]", "{a: {b: {c: 1}}}", "-1e300"):
            if value == "-1e300" and str in (kind, *typing.get_args(kind)):
                continue  # it is text then
            with pytest.raises(UserError) as error:
                load_config(experiment, schema, [f"{path}={value}"])
            text = str(error.value)
            assert path in text and "\n" not in text and len(text) < 500, (path, value, text)


LARGEST = {
    "energy": "models=[smollm2-135m] contexts=[2147483647] batch=2147483647 seed=4294967295 samples=4 "
    "cores=[display-1024] accelerators=[h100-sxm] dtypes=[int8] html=false",
    "claims": "which=[8] seed=4294967295 rack.samples=4 rack.cores=[1048576] rack.servers=[1048576]",
    "design": "model.name=smollm2-135m context=1 tokens_together=2147483647 sizes=[65536] bits=[16] "
    "floors_percent=[1e6] prices=[0] quality.photons_run=null cells=4503599627370496 "
    "grid={photons:2,clock:2,enob:2}",
}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", LARGEST)
def test_the_largest_that_is_accepted_can_be_done(experiment, tmp_path):
    overrides = [*LARGEST[experiment].split(), f"results_dir={tmp_path}", "run=largest"]
    config = load_config(experiment, _schema(experiment), overrides)
    getattr(importlib.import_module(f"experiments.{experiment}.run"), experiment)(config)
    assert (tmp_path / experiment / "largest" / "metrics.json").exists()


LADDERS = sorted(file.stem for file in (ROOT / "configs" / "ladder").glob("*.yaml"))


@pytest.mark.parametrize("name", LADDERS)
def test_every_ladder_that_comes_along_is_accepted(name):
    experiment = "photons" if name == "shot-noise" else "evaluate"
    load_config(experiment, _schema(experiment), [f"ladder={name}"])


@pytest.mark.parametrize("name", ["../x", "a/b", "/tmp/x", ".", "..", "", "x.", "a b", "a\nb"])
def test_a_run_is_named_by_a_name(name):
    with pytest.raises(UserError, match=r"^run: .* is not a name|^run: is empty"):
        check_given(_schema("evaluate"), "run", name)


@pytest.mark.parametrize("name", ["2026-11-28-001500", "a", "first_run.v2", "10"])
def test_names_of_runs(name):
    check_given(_schema("evaluate"), "run", name)


@pytest.mark.parametrize(
    "experiment, override, message",
    [
        ("design", "machine=nosuch", "machine: "),
        ("scaling", "machine=nosuch", "machine: "),
        ("energy", "cores=[nosuch]", r"cores\[0\]: "),
        ("energy", "cores=[{preset: display-1024}]", r"cores\[0\]: 'name' is missing"),
        ("energy", "models=[llama-3-8b,nosuch]", r"models\[1\]: "),
        (
            "evaluate",
            "ladder.a%.photons=1",
            r"config: 'ladder\.a%\.photons=1': cannot be read; write",
        ),
        ("scaling", "crossover.models=[nosuch]", r"crossover\.models\[0\]: "),
    ],
)
def test_the_path_is_that_of_the_setting(experiment, override, message):
    with pytest.raises(UserError, match=f"^{message}"):
        load_config(experiment, _schema(experiment), [override])


def test_a_rule_needs_no_word_about_dynamic_products():
    rules = 'rules=[{pattern: "*/up_proj", optical: true}]'
    (rule,) = load_config("evaluate", _schema("evaluate"), [rules]).rules
    assert rule.optical and not rule.dynamic
