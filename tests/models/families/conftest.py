"""A family's model written twice, as a Hugging Face directory and as the GGUF file that llama.cpp's
converter would make of it, by the table of names of the `gguf` package."""

import json
import re

import gguf
import numpy as np
import pytest
from flax import nnx
from safetensors import numpy as safetensors

from photonjax.models.config_json import read_config
from photonjax.models.weights import Layout, parameter_shapes
from tests.models.gguf_files import finish

COUNTS = dict(num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
SIZES = COUNTS | dict(vocab_size=24, hidden_size=32, intermediate_size=64)
SIZES |= dict(max_position_embeddings=48, rms_norm_eps=2.0**-20, rope_theta=1e4)
SIZES |= dict(tie_word_embeddings=True)
_ADD = {
    str: "add_string",
    float: "add_float32",
    int: "add_uint32",
    bool: "add_bool",
    list: "add_array",
}


@pytest.fixture
def sizes():
    """config.json's sizes of a small decoder."""
    return dict(SIZES)


@pytest.fixture
def huggingface(tmp_path):
    """Writes a directory with random weights: huggingface(raw) -> (path, tensors by name)."""

    def write(raw):
        folder = tmp_path / "hf"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(raw))
        family, config = read_config(folder / "config.json", raw)
        form = family.huggingface
        layout = Layout(form.names, form.transposed, form.groups(config), config)
        random = np.random.default_rng(0)
        tensors = {
            name: random.standard_normal(stored).astype(np.float32)
            for path, shape in parameter_shapes(config).items()
            for name, stored, _ in layout.tensors(path, shape)
        }
        safetensors.save_file(tensors, folder / "model.safetensors")
        return folder, tensors

    return write


@pytest.fixture
def as_gguf(tmp_path):
    """Writes tensors as a GGUF file: as_gguf(arch, tensors, metadata, convert=..., extra=...) -> path.

    Metadata keys are given without the architecture; ``convert(name, weight)``, by names of Hugging
    Face, is what llama.cpp's converter does to this family's tensors; ``extra`` goes in as it is.
    """

    def write(arch, tensors, metadata, *, convert=lambda name, weight: weight, extra=None):
        path = tmp_path / f"{arch}.gguf"
        writer = gguf.GGUFWriter(path, arch)
        for key, value in metadata.items():
            getattr(writer, _ADD[type(value)])(f"{arch}.{key}", value)
        kind = next(k for k, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
        table = gguf.get_tensor_name_map(kind, 9)
        for name, weight in _stacked(tensors).items():
            found = table.get_name(name, try_suffixes=(".weight", ".bias"))
            assert found, name
            writer.add_tensor(found, np.ascontiguousarray(convert(name, weight)))
        for name, weight in (extra or {}).items():
            writer.add_tensor(name, weight)
        finish(writer)
        return path

    return write


def _stacked(tensors):
    """Experts as the converter stacks them, under one name for all families' files."""
    found, experts = {}, {}
    for name, weight in tensors.items():
        expert = re.match(r"model\.layers\.(\d+)\..*experts\.(\d+)\.(\w+)\.weight", name)
        if expert is None:
            found[name] = weight
            continue
        layer, number, part = expert.groups()
        style = "layers.{}.feed_forward.experts.{}.weight" if part[0] == "w" else None
        stacked = (style or "model.layers.{}.mlp.experts.{}.weight").format(layer, part)
        experts.setdefault(stacked, {})[int(number)] = weight
    return found | {name: np.stack([w[i] for i in sorted(w)]) for name, w in experts.items()}


@pytest.fixture
def metadata():
    """The GGUF metadata that llama.cpp's converter makes of config.json's keys."""

    def of(raw, **more):
        return {
            "block_count": raw["num_hidden_layers"],
            "context_length": raw["max_position_embeddings"],
            "embedding_length": raw["hidden_size"],
            "feed_forward_length": raw["intermediate_size"],
            "attention.head_count": raw["num_attention_heads"],
            "attention.head_count_kv": raw["num_key_value_heads"],
            "attention.layer_norm_rms_epsilon": raw["rms_norm_eps"],
            **more,
        }

    return of


@pytest.fixture
def assert_same():
    """Two models have the same configuration and parameters."""

    def check(model, other, rtol=0.0):
        assert model.config == other.config
        pairs = zip(
            *(nnx.to_flat_state(nnx.state(m, nnx.Param)) for m in (model, other)), strict=True
        )
        for (path, ours), (_, theirs) in pairs:
            np.testing.assert_allclose(ours[...], theirs[...], rtol, rtol, err_msg=str(path))

    return check


@pytest.fixture
def permuted():
    """What llama.cpp's converter does to the rows of Q and K in Llama's family: permuted(name, weight).

    A head's rows here are 8, of which it turns the neighbours and `Decoder` the halves.
    """

    def convert(name, weight):
        if not re.search(r"[qk]_proj\.(weight|bias)$", name):
            return weight
        halves = weight.reshape(len(weight) // 8, 2, 4, *weight.shape[1:])
        return halves.swapaxes(1, 2).reshape(weight.shape)

    return convert
