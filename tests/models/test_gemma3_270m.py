"""The real Gemma-3-270M, from its file of K-quants: what it knows, and where its text begins."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from photonjax import models

pytestmark = [pytest.mark.network, pytest.mark.slow]

TEXT = """The photoelectric effect is the emission of electrons from a material caused by \
electromagnetic radiation such as ultraviolet light. Electrons emitted in this manner are called \
photoelectrons. The phenomenon is studied in condensed matter physics, solid state, and quantum \
chemistry to draw inferences about the properties of atoms, molecules and solids."""


@pytest.fixture(scope="module")
def gemma():
    return models.load("gemma3-270m", progress=False)


def test_the_configuration_is_the_published_one(gemma):
    """But for an epsilon that the file keeps in float32."""
    config = gemma[0].config
    published = models.named("gemma-3-270m")
    assert dataclasses.replace(config, norm_eps=1e-6) == published
    assert config.norm_eps == pytest.approx(1e-6)


def test_perplexity_of_a_paragraph(gemma):
    """12.4 seen, and transformers' to 0.5 % on whole pages (see the parity tests). Without the <bos>
    that began every text in training it is far worse."""
    model, tokenizer = gemma

    @nnx.jit
    def perplexity(model, tokens):
        scores = jax.nn.log_softmax(model(tokens[None])[0, :-1])
        return jnp.exp(-jnp.take_along_axis(scores, tokens[1:, None], 1)[1:].mean())

    tokens = jnp.asarray(tokenizer.encode(TEXT).ids)
    found, without = perplexity(model, tokens), perplexity(model, tokens[1:])
    print(f"\n{len(tokens)} tokens: {found:.3f}, without <bos> {without:.3f}")
    assert 10 < found < 15
    assert without > 1.5 * found
