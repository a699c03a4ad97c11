"""The real model on light: one window of 1,024 tokens of Wikipedia."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from photonjax import data
from photonjax.data.corpora.wikipedia import SAMPLE
from photonjax.models import load_gguf, load_tokenizer

pytestmark = pytest.mark.network
NO_ADC = dict(adc={"bits": None, "enob": None})
NOISE_FREE = dict(photons=None, receiver={"noise_a_per_rthz": None}, source={"rin_db_hz": None})


@nnx.jit
def _logits(model: nnx.Module, window: jax.Array) -> jax.Array:
    return model(window[None])[0]


def _perplexity(logits: jax.Array, window: jax.Array) -> float:
    scores = jax.nn.log_softmax(logits[:-1])
    return float(jnp.exp(-jnp.take_along_axis(scores, window[1:, None], 1).mean()))


@pytest.mark.slow
def test_one_window(real_artifact):
    """Digital, 16 bits, 8 bits, and 8 bits with noise: what each does to the perplexity."""
    gguf = real_artifact("smollm2-135m-instruct")
    real_artifact(SAMPLE)
    corpus = data.load_corpus("wikipedia-sample", progress=False)
    tokens = data.tokenize(corpus, load_tokenizer(gguf), limit=1024)
    window = jnp.asarray(data.windows(tokens, 1024)[0], jnp.int32)
    model = load_gguf(gguf, scan_layers=True)
    core = pj.machines.optical("display-1024").replace(**NO_ADC)

    def put_on_light(**fields: object) -> nnx.Module:
        optical, report = pj.convert(model, [pj.Rule("*", core.replace(**fields))])
        assert sum(site.layers for site in report.optical) == 30 * 7 + 1
        pj.program_weights(optical)
        return optical

    seen = SimpleNamespace()
    seen.digital = _perplexity(_logits(model, window), window)
    assert 18.5 < seen.digital < 23  # 20.70 seen

    wide = put_on_light(**NOISE_FREE, input={"bits": 16}, array={"bits": 16})
    seen.int16 = _perplexity(_logits(wide, window), window)
    assert seen.int16 == pytest.approx(seen.digital, rel=1e-3)
    del wide

    narrow = put_on_light(**NOISE_FREE)
    seen.int8 = _perplexity(_logits(narrow, window), window)
    assert 1 < seen.int8 / seen.digital < 1.10
    del narrow

    noisy = put_on_light(photons=1e5)

    def with_key(seed: int) -> np.ndarray:
        pj.nnx.set_noise_key(noisy, jax.random.key(seed))
        return np.asarray(_logits(noisy, window))

    first, other = with_key(0), with_key(1)
    assert (first != other).mean() > 0.9
    seen.noisy = _perplexity(jnp.asarray(first), window)
    assert seen.int8 < seen.noisy < 1.5 * seen.digital
    print(f"\n{vars(seen)}")
