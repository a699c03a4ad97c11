"""A language model and a text small enough to evaluate in seconds, and ways to run the experiments."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from flax import nnx
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from experiments.evaluate.config import Evaluate
from photonjax.models import Decoder, save_huggingface
from tests.experiments.interrupted import resumes, writes  # noqa: F401, fixtures
from tests.tiny import tiny_decoder

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOISE_FREE = "photons: null, receiver: {noise_a_per_rthz: null}, source: {rin_db_hz: null}"
LADDER = (
    f"ladder={{int16-no-adc: {{{NOISE_FREE}, "
    "adc: {enob: null, bits: null}, input: {bits: 16}, array: {bits: 16}}, "
    "noisy: {photons: 3e4}}"
)


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed arithmetic, not a measured one."""
    monkeypatch.setenv("PHOTONJAX_ARITHMETIC", "float32")


@pytest.fixture
def harness(ours: None) -> ModuleType:
    """experiments.harness as a module."""
    return importlib.import_module("experiments.harness")


@pytest.fixture
def load(harness: ModuleType) -> Callable[..., Any]:
    """A config of these settings; later ones stand in for earlier ones of the same key."""

    def with_overrides(experiment: str, schema: type, settings: list[str], *overrides: str) -> Any:
        keys = {o.partition("=")[0] for o in overrides}
        kept = [s for s in settings if s.partition("=")[0] not in keys]
        return harness.load_config(experiment, schema, [*kept, *overrides])

    return with_overrides


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A Hugging Face directory of a random two-layer decoder whose tokens are bytes."""
    directory = tmp_path_factory.mktemp("tiny")
    config = tiny_decoder(
        vocab_size=256, hidden_size=32, intermediate_size=64, num_heads=4, max_length=128
    )
    save_huggingface(Decoder(config, rngs=nnx.Rngs(0)), directory)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A text file of 120 characters, so of as many tokens."""
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    text = (
        "The lamp was lit at nine, and its light fell on the page before her. She counted photons."
    )
    path.write_text((text + " Then she slept, and the lamp went on without her.")[:120])
    return path


@pytest.fixture(scope="session")
def arguments(
    checkpoint: pathlib.Path, corpus: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Overrides that evaluate the tiny model in seconds; its results go to one directory."""
    return [
        "model=local",
        f"model.path={checkpoint}",
        f"data.corpus=file:{corpus}",
        "data.length=32",
        "data.documents=null",
        "windows=2",
        "cost.samples=20",
        f"results_dir={tmp_path_factory.mktemp('results')}",
        LADDER,
    ]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run of an experiment ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a user error; asserts that there is exactly one, and no traceback."""
        assert self.status != 0, self.out
        assert "Traceback" not in self.out + self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error:")]
        kinds = ("results:", "model:", "text:")
        ends = (" left", " so far")  # of progress, where ten seconds had passed
        shown = self.err.strip().splitlines()
        notes = [line for line in shown if line.startswith(kinds) or line.endswith(ends)]
        assert len(lines) == 1, self.err
        assert len(shown) == len(notes) + 1, self.err
        return lines[0]


Run = Callable[..., Outcome]


@pytest.fixture
def evaluate_module(ours: None) -> ModuleType:
    """experiments.evaluate as a module."""
    return importlib.import_module("experiments.evaluate.run")


@pytest.fixture
def in_process(harness: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run an experiment in this process, as its command line would.

    Takes its name, schema and function, settings, and overrides, which stand in for settings of the
    same key.
    """

    def run(
        name: str, schema: type, experiment: Callable, settings: list[str], *overrides: str
    ) -> Outcome:
        out, err, status = io.StringIO(), io.StringIO(), 0
        keys = {override.partition("=")[0].lstrip("~") for override in overrides}
        kept = [s for s in settings if s.partition("=")[0] not in keys]
        monkeypatch.setattr(sys, "argv", [name, *kept, *overrides])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                harness.main(name, schema, experiment)
            except SystemExit as end:  # as the interpreter does with it
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
                if isinstance(end.code, str):
                    print(end.code, file=sys.stderr)
        return Outcome(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def evaluate(
    evaluate_module: ModuleType, arguments: list[str], in_process: Callable[..., Outcome]
) -> Run:
    """Run experiments.evaluate on the tiny model in this process; later overrides win."""
    return lambda *overrides: in_process(
        "evaluate", Evaluate, evaluate_module.evaluate, arguments, *overrides
    )


@pytest.fixture
def evaluate_process(arguments: list[str]) -> Run:
    """The same as a process of its own; ``watch`` is given it while it runs."""

    def run(
        *overrides: str, base: bool = True, watch: Callable[[subprocess.Popen], None] | None = None
    ) -> Outcome:
        keys = {override.partition("=")[0] for override in overrides}
        chosen = [a for a in arguments if base and a.partition("=")[0] not in keys]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.evaluate", *chosen, *overrides],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if watch is not None:
                watch(process)
            out, err = process.communicate(timeout=600)
        finally:
            process.kill()
        return Outcome(process.returncode, out, err)

    return run


@pytest.fixture
def results(arguments: list[str]) -> pathlib.Path:
    """Where runs of the tiny model go."""
    (place,) = (a.partition("=")[2] for a in arguments if a.startswith("results_dir="))
    return pathlib.Path(place) / "evaluate"
