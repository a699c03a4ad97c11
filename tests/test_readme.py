"""README and documentation: their Python runs, the commands they name exist, their links lead somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import re
import shlex

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
NEEDS_THE_MODEL = "<!-- needs the model -->"


def _blocks(page: pathlib.Path, language: str) -> list[tuple[str, bool]]:
    """Code of a language, and whether it needs the real model."""
    fence = re.compile(rf"^({NEEDS_THE_MODEL}\n)?```{language}\n(.*?)^```", re.M | re.S)
    return [(code, bool(mark)) for mark, code in fence.findall(page.read_text())]


def _run(page: pathlib.Path, with_the_model: bool) -> None:
    """A page's blocks one after the other, as a reader would type them."""
    namespace: dict[str, object] = {"__name__": page.stem}
    for code, needs_the_model in _blocks(page, "python"):
        if with_the_model or not needs_the_model:
            exec(compile(code, str(page), "exec", dont_inherit=True), namespace)


CODE = [page for page in PAGES if any(not needs for _, needs in _blocks(page, "python"))]
MODEL = [page for page in PAGES if any(needs for _, needs in _blocks(page, "python"))]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name, marks=[] if name == "README.md" else pytest.mark.slow)
        for page, name in ((page, str(page.relative_to(ROOT))) for page in CODE)
    ],
)
def test_python_runs(page):
    _run(page, with_the_model=False)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("page", MODEL, ids=[str(p.relative_to(ROOT)) for p in MODEL])
def test_python_with_the_model_runs(page, real_artifact):
    real_artifact("smollm2-135m-instruct")
    _run(page, with_the_model=True)


def _commands(page: pathlib.Path) -> list[list[str]]:
    """Words of each command: of shell blocks, and of code in the text."""
    text = page.read_text()
    lines = "\n".join(code for code, _ in _blocks(page, "bash")).splitlines()
    inline = re.findall(r"`((?:python -m experiments\.|photonjax )[^`]*)`", text)
    parts = [part for line in [*lines, *inline] for part in line.partition(" #")[0].split("&&")]
    return [shlex.split(part) for part in parts if part.strip()]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist(page):
    from photonjax.command import main

    for words in _commands(page):
        if "-m" in words and words[words.index("-m") + 1].startswith("experiments."):
            at = words.index("-m") + 1
            assert importlib.util.find_spec(f"{words[at]}.__main__"), words[at]
            experiment = words[at].partition(".")[2]
            for setting in words[at + 1 :]:
                _setting_exists(experiment, setting)
        elif words[0] == "photonjax":
            with pytest.raises(SystemExit) as end:
                main([words[1], "--help"])
            assert end.value.code == 0, words


def _setting_exists(experiment: str, setting: str) -> None:
    """The first key is in the experiment's config, and a value of a group is one of its files."""
    key, equals, value = setting.partition("=")
    if not equals or "hydra" in key:
        return
    config = (ROOT / "configs" / f"{experiment}.yaml").read_text()
    common = (ROOT / "configs" / "common.yaml").read_text()
    first = key.partition(".")[0]
    assert re.search(rf"^(  - )?{first}:", config + common, re.M), f"{experiment} has no {first}"
    group = ROOT / "configs" / key
    if group.is_dir():
        missing = [name for name in value.split(",") if not (group / f"{name}.yaml").exists()]
        assert not missing, f"{setting}: no such file"


PLACEHOLDERS = re.compile(r"NAME|DIR|RUN|PATH|FILE|VALUE|\.\.\.|<|--|/|file:")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_settings_of_commands_are_accepted(page):
    """Composed and checked as the command itself would; but for sweeps and what stands for something else."""
    from experiments.harness import load_config

    for words in _commands(page):
        found = [word for word in words if word.startswith("experiments.")]
        if not found or any(PLACEHOLDERS.search(word) for word in words[words.index(found[0]) :]):
            continue
        experiment = found[0].partition(".")[2]
        if not (ROOT / "experiments" / experiment / "config.py").exists():
            continue
        config = importlib.import_module(f"experiments.{experiment}.config")
        schema = next(
            value for name, value in vars(config).items() if name.lower() == experiment.lower()
        )
        load_config(experiment, schema, words[words.index(found[0]) + 1 :])


def test_experiments_that_code_and_configs_name_exist():
    named = set()
    for folder in ("photonjax", "experiments", "configs", "tests"):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".py", ".yaml", ".toml", ".ipynb"):
                named |= set(re.findall(r"-m (experiments\.[a-z_]+)", file.read_text()))
    named.discard("experiments.colours")  # the example of how to add one
    assert {"experiments.evaluate", "experiments.photons"} <= named
    missing = [name for name in named if not importlib.util.find_spec(f"{name}.__main__")]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    """Between files of the repository; MkDocs checks anchors within the documentation too."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" in target or not file:
            continue
        found = page.parent / file
        assert found.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", found.read_text(), re.M)
            slugs = [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]
            assert anchor in slugs, target
