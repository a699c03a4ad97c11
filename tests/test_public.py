"""The public face: what `import photonjax` offers, and what it does not bring along."""

import pathlib
import subprocess
import sys
import tomllib

import pytest

import photonjax as pj


@pytest.mark.parametrize("name", pj.__all__)
def test_every_public_name_is_there(name):
    assert getattr(pj, name) is not None


def test_names_are_listed_in_order():
    assert pj.__all__ == sorted(pj.__all__)
    assert set(dir(pj)) == {*pj.__all__, "__version__"}
    with pytest.raises(AttributeError, match="has no attribute 'no_such_thing'"):
        pj.no_such_thing  # noqa: B018


def test_heavy_libraries_come_when_they_are_used():
    heavy = [
        "datasets",
        "gguf",
        "hydra",
        "huggingface_hub",
        "matplotlib",
        "optax",
        "scipy",
        "tokenizers",
    ]
    own = ["data", "evaluation", "models", "nn.linen"]
    code = (
        "import sys; from flax import nnx; import jax.numpy; before = set(sys.modules)\n"
        "import photonjax; new = set(sys.modules) - before\n"
        f"names = {heavy + ['flax.linen', 'tqdm']} + ['photonjax.' + own for own in {own}]\n"
        "print([name for name in names if name in new])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_stands_in_one_place():
    root = pathlib.Path(__file__).resolve().parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"] and "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "photonjax.__version__"
    assert f"\nversion: {pj.__version__}\n" in (root / "CITATION.cff").read_text()
