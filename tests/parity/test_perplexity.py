"""Perplexity of a text against an independent implementation, on the same weights and tokens.

Opt-in, like its neighbour: ``pytest -m parity tests/parity``. Both perplexities are printed (``-s``).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from photonjax import data, models

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.parity

WINDOWS = {"smollm2-135m-instruct": (8, 1024), "gemma3-270m": (3, 640)}
"""Number and length. Gemma's logits take a megabyte a token; 640 reach over its local layers' 512."""


@pytest.mark.parametrize("name", WINDOWS)
def test_wikipedia_sample(name):
    """Within 0.5 % of transformers on torch, on our tokenizer's ids."""
    count, length = WINDOWS[name]
    model, tokenizer = models.load(name)
    corpus = data.load_corpus("wikipedia-sample")
    windows, _ = data.document_windows(corpus, tokenizer, length, count=count)

    @nnx.jit
    def nll(model: nnx.Module, window: jax.Array) -> jax.Array:
        scores = jax.nn.log_softmax(model(window[None])[0, :-1])
        return -jnp.take_along_axis(scores, window[1:, None], 1).mean()

    ours = [float(nll(model, jnp.asarray(window))) for window in windows]

    path = data.fetch(name)
    peer = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    theirs = []
    with torch.inference_mode():
        for window in windows.astype(np.int64):
            logits = peer(torch.tensor(window[None]), use_cache=False).logits[0, :-1]
            target = torch.tensor(window[1:])
            theirs.append(float(torch.nn.functional.cross_entropy(logits.float(), target)))

    perplexities = float(np.exp(np.mean(ours))), float(np.exp(np.mean(theirs)))
    print("\n{}: perplexity photonjax {:.4f}, transformers {:.4f}".format(name, *perplexities))
    assert perplexities[0] == pytest.approx(perplexities[1], rel=5e-3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)  # and no window hides behind another
