"""From the plain wheel: what needs an extra says which, in one line, and nothing else fails."""

import subprocess
import sys
import textwrap

import pytest

OPTIONAL = (
    "datasets gguf huggingface_hub hydra matplotlib mwparserfromhell omegaconf pooch requests "
    "safetensors tokenizers tqdm"
).split()
CALLS = {
    "pj.models.load_gguf('m.gguf')": "gguf is not installed: pip install 'photonjax[models]'",
    "pj.models.load_config('m.gguf')": "gguf is not installed: pip install 'photonjax[models]'",
    "pj.models.load_tokenizer('m.gguf')": "tokenizers is not installed: pip install 'photonjax[models]'",
    "pj.models.load('m.gguf')": "tokenizers is not installed: pip install 'photonjax[models]'",
    "pj.models.load('hub:a/b')": "huggingface_hub is not installed: pip install 'photonjax[models]'",
    "pj.data.fetch('hub:a/b')": "huggingface_hub is not installed: pip install 'photonjax[models]'",
    "pj.data.load_corpus('hub:a/b')": "datasets is not installed: pip install 'photonjax[data]'",
    "pj.data.load_corpus('wikitext-2')": "datasets is not installed: pip install 'photonjax[data]'",
    "pj.data.load_corpus('file:a.txt')": "datasets is not installed: pip install 'photonjax[data]'",
    "pj.data.load_corpus('wikipedia-sample')": "pip install 'photonjax[data]'",
    "main(['cost', '--model', 'gpt2', '--plot', 'a.png'])": (
        "--plot: matplotlib.pyplot is not installed: pip install 'photonjax[experiments]'"
    ),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each call says where no optional package can be imported, in one process."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "m.gguf").write_bytes(b"GGUF" + bytes(64))
    (folder / "a.txt").write_text("a")
    program = f"""
        import sys
        sys.modules.update(dict.fromkeys({OPTIONAL!r}))
        import photonjax as pj
        from photonjax.command import main

        for module in (pj.data, pj.models, pj.plotting, pj.cost, pj.machines):
            assert [getattr(module, name) for name in getattr(module, "__all__", ())] is not None
        for call in {list(CALLS)!r}:
            print(call, end=" -> ", flush=True)
            try:
                code = eval(call)
                print("returned", code, flush=True)
            except ImportError as error:
                print(error, flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("call", CALLS)
def test_the_extra_is_named(said, call):
    (_, _, rest) = said.partition(f"{call} -> ")
    first = rest.splitlines()[0]
    assert CALLS[call] in first and "Traceback" not in said, said
