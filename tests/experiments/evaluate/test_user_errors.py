"""What a user may get wrong: one line that names the culprit and the remedy, and no traceback."""

from __future__ import annotations

import json
import pathlib
import shutil

import gguf
import numpy as np
import pytest
from safetensors import numpy as safetensors

# Overrides, and what the error must name.
CONFIG = {
    "unknown key": (["windowz=3"], ["'windowz'", "--help"]),
    "unknown nested key": (["calibration.margins=2"], ["calibration.margins", "--help"]),
    "added key": (["+colour=red"], ["'+colour=red'", "ladder"]),
    "removed key": (["~windows"], ["'~windows'"]),
    "unknown option": (["--windows=3"], ["--windows=3", "key=value"]),
    "no value": (["windows"], ["'windows'", "key=value"]),
    "half a mapping": (["ladder={a: "], ["ladder={a: "]),
    "unknown group": (["data=novels"], ["data/novels", "wikipedia-sample"]),
    "group as a number": (["model=3"], ["model: 3 is not a mapping, or one of gemma3-270m"]),
    "section as a number": (
        ["calibration=3"],
        ["calibration: 3 is not a mapping of windows, margin"],
    ),
    "windows": (["windows=0"], ["windows: 0", "1 ... 100,000"]),
    "windows as text": (["windows=many"], ["windows: 'many'"]),
    "windows as a truth": (["windows=true"], ["windows: true", "1 ... 100,000"]),
    "measured windows": (["measure_windows=3"], ["measure_windows: 3", "windows = 2"]),
    "length": (["data.length=1"], ["data.length: 1", "2 ... 1,048,576"]),
    "seed": (["seed=-1"], ["seed: -1"]),
    "margin": (["calibration.margin=0.5"], ["calibration.margin: 0.5", "1 ... 1,000"]),
    "margin as text": (["calibration.margin=wide"], ["calibration.margin: 'wide'"]),
    "samples": (["cost.samples=0"], ["cost.samples: 0"]),
    "core name": (["core.name=display-1025"], ["'display-1025'", "did you mean display-1024"]),
    "digital name": (["digital.name=abacus"], ["'abacus'", "h100-sxm"]),
    "digital without power": (["digital.name=300-fJ-per-MAC"], ["300"]),
    "precision of the estimate": (["cost.dtype=int3"], ["int3"]),
    "scan": (["model.scan_layers=maybe"], ["model.scan_layers: 'maybe'"]),
    "no ladder": (["~ladder"], ["ladder is not set"]),
    "empty ladder": (["ladder={}"], ["ladder: is empty"]),
    "rung called digital": (["ladder={digital: {photons: 1}}"], ["'digital'", "baseline"]),
    "rung without fields": (["ladder={a: 3}"], ["ladder.a: 3", "mapping"]),
    "unknown field": (["ladder={a: {photon: 3}}"], ["ladder.a", "'photon'", "photons"]),
    "photons that every rung overrides": (
        ["core.photons=-1"],
        ["core.photons: -1 is not a number"],
    ),
    "no machine": (["~core.name"], ["core: 'name' is missing"]),
    "core that is no mapping": (["core.adc=3"], ["core.adc: 3; give an ADC or a mapping"]),
    "unknown core field": (["core.lasers=3"], ["core has no field 'lasers'", "known: rows"]),
    "bits": (
        ["ladder={a: {input: {bits: 0}}}"],
        ["ladder.a", "ladder.a.input.bits: 0", "2 ... 16"],
    ),
    "fractional bits": (["ladder={a: {adc: {bits: 7.5}}}"], ["ladder.a.adc.bits: 7.5", "integer"]),
    "no photons": (["ladder={a: {photons: 0}}"], ["ladder.a.photons: 0", "a number above 0"]),
    "negative photons": (
        ["ladder={a: {photons: -1}}"],
        ["ladder.a.photons: -1", "a number above 0"],
    ),
    "photons not a number": (
        ["ladder={a: {photons: nan}}"],
        ["ladder.a.photons: nan", "a number above 0"],
    ),
    "infinite photons": (["ladder={a: {photons: inf}}"], ["ladder.a.photons: inf"]),
    "photons as text": (
        ["ladder={a: {photons: many}}"],
        ["ladder.a.photons: 'many'", "not a number"],
    ),
    "rows": (["ladder={a: {rows: 0}}"], ["ladder.a.rows: 0", "1 ... 65,536"]),
    "encoding": (
        ["ladder={a: {encoding: morse}}"],
        ["ladder.a.encoding.kind: 'morse'", "homodyne"],
    ),
    "receiver in the dark": (
        ["ladder={a: {photons: null}}"],
        ["ladder.a.receiver.noise_a_per_rthz is set but photons is null", "photons too"],
    ),
    "costs": (["ladder={a: {costs: {coars: 2}}}"], ["ladder.a.costs has no field 'coars'"]),
    "cost": (["core.costs.load_time_s=-1"], ["core.costs.load_time_s: -1 is not a number"]),
    "only": (["ladder={a: {only: 3}}"], ["ladder.a.only: 3"]),
    "rules": (["rules=[]"], ["rules: is empty"]),
    "no light": (
        ["rules=[{pattern: '*', optical: false, dynamic: false}]"],
        ["rules: none has optical: true", "ladder.NAME.only"],
    ),
    "half a rule": (["rules=[{pattern: '*'}]"], ["rules[0].optical is not set"]),
    "rule that matches nothing": (
        ["ladder={a: {photons: 1e4, only: '*/q_prj'}}"],
        ["ladder.a", "'*/q_prj'", "matches no product", "q_proj"],
    ),
    "rule without effect": (
        [
            "rules=[{pattern: '*', optical: true, dynamic: false}, "
            "{pattern: head, optical: false, dynamic: false}]"
        ],
        ["'head'", "no effect"],
    ),
    "missing model": (
        ["model.path=nowhere/model.gguf"],
        ["model.path: 'nowhere/model.gguf' does not exist"],
    ),
    "unset model": (["model.path=???"], ["model.path is not set", "model.path=VALUE"]),
    "unknown corpus": (
        ["data.corpus=novels"],
        ["data.corpus: no corpus is called 'novels'", "file:PATH"],
    ),
    "missing corpus": (
        ["data.corpus=file:nowhere.txt"],
        ["data.corpus: nowhere.txt does not exist"],
    ),
    "text too short": (["windows=3"], ["text is too short", "lower windows"]),
    "length beyond the model": (
        ["data.length=50", "windows=1", "calibration.windows=1"],
        ["data.length: 50", "40 tokens", "data.length=40"],
    ),
}


# What only the model or its text shows; all else is refused before there is a directory.
WITH_THE_MODEL = {
    "rule that matches nothing",
    "rule without effect",
    "text too short",
    "length beyond the model",
}


@pytest.mark.parametrize("case", CONFIG)
def test_config(evaluate, results, checkpoint, tmp_path, case):
    overrides, named = CONFIG[case]
    if case == "length beyond the model":
        short = shutil.copytree(checkpoint, tmp_path / "short")
        _edit_config(short, max_position_embeddings=40)
        overrides = [*overrides, f"model.path={short}"]
    run = f"refused-{case.replace(' ', '-')}"
    error = evaluate(*overrides, f"run={run}").error
    for part in named:
        assert part in error
    assert not list((results / run).glob("*.csv"))
    assert (results / run).exists() == (case in WITH_THE_MODEL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["windowz=3"], "'windowz'"),
        (["ladder={a: {input: {bits: 0}}}"], "ladder.a.input.bits: 0"),
        (["model.path=nowhere"], "nowhere"),
    ],
    ids=["config", "core", "model"],
)
def test_as_a_process(evaluate_process, overrides, named):
    outcome = evaluate_process(*overrides)
    assert outcome.status == 1
    assert outcome.out == ""
    assert named in outcome.error


@pytest.mark.slow
def test_arithmetic(evaluate_process, monkeypatch):
    monkeypatch.setenv("PHOTONJAX_ARITHMETIC", "abacus")
    error = evaluate_process().error
    assert "PHOTONJAX_ARITHMETIC = 'abacus'" in error
    assert "int8" in error


def _edit_config(directory: pathlib.Path, **changes: object) -> None:
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_weights_that_are_not_numbers(evaluate, checkpoint, tmp_path):
    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    tensors = safetensors.load_file(broken / "model.safetensors")
    weight = tensors["model.layers.1.mlp.up_proj.weight"].copy()
    weight[3, 5] = np.nan
    tensors["model.layers.1.mlp.up_proj.weight"] = weight
    safetensors.save_file(tensors, broken / "model.safetensors")
    error = evaluate(f"model.path={broken}").error
    assert "mlp/up_proj/kernel" in error
    assert "NaN or infinity" in error
    assert str(broken) in error


def test_another_architecture(evaluate, checkpoint, tmp_path):
    other = shutil.copytree(checkpoint, tmp_path / "other")
    _edit_config(other, architectures=["MixtralForCausalLM"])
    error = evaluate(f"model.path={other}").error
    assert "'MixtralForCausalLM' is not supported" in error
    assert "LlamaForCausalLM" in error


def test_no_tokenizer(evaluate, checkpoint, tmp_path):
    bare = shutil.copytree(checkpoint, tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    assert "tokenizer.json" in evaluate(f"model.path={bare}").error


def test_anothers_tokenizer(evaluate, checkpoint, tmp_path):
    foreign = shutil.copytree(checkpoint, tmp_path / "foreign")
    raw = json.loads((foreign / "tokenizer.json").read_text())
    raw["model"]["vocab"] = {k: v + 200 for k, v in raw["model"]["vocab"].items()}
    (foreign / "tokenizer.json").write_text(json.dumps(raw))
    error = evaluate(f"model.path={foreign}").error
    assert "knows only 256" in error
    assert "tokenizer" in error


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_truncated_gguf(evaluate, tmp_path, share):
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_tensor("token_embd.weight", np.zeros((64, 32), np.float32))
    writer.add_tensor("output_norm.weight", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    error = evaluate(f"model.path={path}").error
    assert str(path) in error
    assert "again" in error


def test_empty_text(evaluate, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    assert "empty.txt" in evaluate(f"data.corpus=file:{tmp_path / 'empty.txt'}").error
