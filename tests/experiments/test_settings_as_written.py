"""Settings as written on the command line: refused in one line, before anything is loaded, or done."""

from __future__ import annotations

import importlib

import pytest

from experiments.digits import run as digits
from experiments.harness import ROOT, Parts, UserError, finished, inputs, load_config
from photonjax import data, models
from tests.experiments.schemas import EXPERIMENTS, schema_of

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
    "width": {
        "grid.widths=[48]": "grid.widths: 48 is not a multiple of shape.head_size = 32",
        "grid.widths=[64,64]": "grid.widths: [64, 64] has one twice",
        "grid.steps=30": "grid.steps: 30 is not a multiple of training.keep_every = 20",
        "core.rows=128": "core.rows: 128 rows are fewer than the largest fan-in, 768",
        "encodings={a: {photons: 2}}": "encodings.a: photons must stay 1.0",
        "encodings={a: {array: {bits: 8}}}": "encodings.a: photons must stay 1.0",
        "encodings={a: {encoding: {kind: quadrature}}}": "encodings.a: the light of quadrature's local ",
        "text.corpora=[nope]": "text.corpora[0]: no corpus is called 'nope'; there are ",
        "grid.operands=[turned]": "grid.operands[0]: 'turned' is not one of plain, smoothed, hadamard",
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
            load_config(experiment, schema_of(experiment), [override])
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
            run(load_config(experiment, schema_of(experiment), [*overrides, override]))
    done = tmp_path / "results" / experiment / "done" / "metrics.json"
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text("{}")
    with pytest.raises(UserError, match=r"^run: .* already holds a finished run"):
        run(load_config(experiment, schema_of(experiment), overrides))


LARGEST = {
    "energy": "models=[smollm2-135m] contexts=[2147483647] batch=2147483647 seed=4294967295 samples=4 "
    "cores=[display-1024] accelerators=[h100-sxm] dtypes=[int8] html=false",
    "claims": "which=[8] seed=4294967295 rack.samples=4 rack.cores=[1048576] rack.servers=[1048576]",
    "design": "model.name=smollm2-135m context=1 tokens_together=2147483647 sizes=[65536] bits=[16] "
    "floors_percent=[1e6] prices=[0] quality.photons_run=null cells=4503599627370496 "
    "grid={photons:2,clock:2,enob:2}",
}


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_home_directory_that_is_not_there(experiment):
    run = getattr(importlib.import_module(f"experiments.{experiment}.run"), experiment)
    config = load_config(experiment, schema_of(experiment), ["results_dir='~nobody-here/x'"])
    with pytest.raises(UserError, match=r"^results_dir: ~nobody-here/x has no home directory to"):
        run(config)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", LARGEST)
def test_the_largest_that_is_accepted_can_be_done(experiment, tmp_path):
    overrides = [*LARGEST[experiment].split(), f"results_dir={tmp_path}", "run=largest"]
    config = load_config(experiment, schema_of(experiment), overrides)
    getattr(importlib.import_module(f"experiments.{experiment}.run"), experiment)(config)
    assert (tmp_path / experiment / "largest" / "metrics.json").exists()


LADDERS = sorted(file.stem for file in (ROOT / "configs" / "ladder").glob("*.yaml"))


@pytest.mark.parametrize("name", LADDERS)
def test_every_ladder_that_comes_along_is_accepted(name):
    experiment = "photons" if name in ("encodings", "shot-noise") else "evaluate"
    load_config(experiment, schema_of(experiment), [f"ladder={name}"])


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
        load_config(experiment, schema_of(experiment), [override])


def test_a_rule_needs_no_word_about_dynamic_products():
    rules = 'rules=[{pattern: "*/up_proj", optical: true}]'
    (rule,) = load_config("evaluate", schema_of("evaluate"), [rules]).rules
    assert rule.optical and not rule.dynamic
