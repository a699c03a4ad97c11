"""Perplexity of a text against an independent implementation, on the same weights and tokens.

Opt-in, like its neighbour: ``pytest -m parity tests/parity``. Both perplexities are printed (``-s``).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from photonjax import data
from photonjax.models import load_gguf, tokenizer_from_gguf

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.parity

WINDOWS, LENGTH = 8, 1024


def test_wikipedia_sample():
    """8 windows of 1,024 tokens: within 0.5 % of transformers on torch, on our tokenizer's ids."""
    gguf = data.fetch("smollm2-135m-instruct")
    corpus = data.load_corpus("wikipedia-sample")
    tokens = data.tokenize(corpus, tokenizer_from_gguf(gguf), limit=WINDOWS * LENGTH)
    windows = data.windows(tokens, LENGTH, count=WINDOWS)

    model = load_gguf(gguf, scan_layers=True)

    @nnx.jit
    def nll(model: nnx.Module, window: jax.Array) -> jax.Array:
        scores = jax.nn.log_softmax(model(window[None])[0, :-1])
        return -jnp.take_along_axis(scores, window[1:, None], 1).mean()

    ours = [float(nll(model, jnp.asarray(window))) for window in windows]

    peer = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    ).eval()
    theirs = []
    with torch.inference_mode():
        for window in windows.astype(np.int64):
            logits = peer(torch.tensor(window[None]), use_cache=False).logits[0, :-1]
            target = torch.tensor(window[1:])
            theirs.append(float(torch.nn.functional.cross_entropy(logits.float(), target)))

    perplexities = float(np.exp(np.mean(ours))), float(np.exp(np.mean(theirs)))
    print("\nperplexity: photonjax {:.4f}, transformers {:.4f}".format(*perplexities))
    assert perplexities[0] == pytest.approx(perplexities[1], rel=5e-3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)  # and no window hides behind another
