"""The decoder: configuration, paths, causality, scanned and unrolled forms, replaced products."""

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from photonjax.models import Decoder, DecoderConfig, stack_layers, unstack_layers
from photonjax.models.decoder import rotary_angles, rotate

pytestmark = pytest.mark.slow  # minutes together: on one Python

WIDTHS = dict(vocab_size=61, hidden_size=24, intermediate_size=40, head_dim=8)
CONFIG = DecoderConfig(**WIDTHS, num_layers=3, num_heads=4, num_kv_heads=2)
TIED = dataclasses.replace(CONFIG, tie_embeddings=True)
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 61, (2, 13)), jnp.int32)


forward = nnx.jit(lambda model, tokens: model(tokens))


def _paths(model):
    return {"/".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(model))}


def _pair(config=CONFIG, **kwargs):
    """The same weights unrolled and scanned."""
    unrolled = Decoder(config, rngs=nnx.Rngs(0), **kwargs)
    scanned = Decoder(config, rngs=nnx.Rngs(1), scan_layers=True, **kwargs)
    nnx.update(scanned, stack_layers(nnx.state(unrolled)))
    return unrolled, scanned


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab_size", 0),
        ("hidden_size", -1),
        ("num_layers", 2.0),
        ("num_layers", True),
        ("num_kv_heads", 3),
        ("head_dim", 7),
        ("head_dim", "8"),
        ("rope_theta", 0.0),
        ("norm_eps", math.nan),
        ("norm_eps", "1e-5"),
        ("tie_embeddings", 1),
        ("max_length", 0),
    ],
)
def test_config_refuses(field, value):
    with pytest.raises(ValueError, match=rf"DecoderConfig\.{field}=.*: must") as error:
        dataclasses.replace(CONFIG, **{field: value})
    assert repr(value) in str(error.value)
    assert "\n" not in str(error.value)


def test_config_derives_head_size_or_says_what_to_give():
    sizes = dict(vocab_size=8, hidden_size=12, intermediate_size=8, num_layers=1)
    config = DecoderConfig(**sizes, num_heads=3)
    assert (config.head_dim, config.num_kv_heads) == (4, 3)
    with pytest.raises(ValueError, match="give head_dim"):
        DecoderConfig(**sizes, num_heads=5)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_module_paths(scan_layers):
    paths = _paths(Decoder(CONFIG, rngs=nnx.Rngs(0), scan_layers=scan_layers))
    layer = "layers/block" if scan_layers else "layers/2"
    for name in ("attn/q_proj", "attn/o_proj", "mlp/gate_proj", "mlp/up_proj", "mlp/down_proj"):
        assert f"{layer}/{name}/kernel" in paths
    assert {"embed/embedding", "norm/scale", "head/kernel"} <= paths
    assert "head/kernel" not in _paths(Decoder(TIED, rngs=nnx.Rngs(0), scan_layers=scan_layers))


@pytest.mark.parametrize(
    ("config", "remat"), [(CONFIG, False), (TIED, True)], ids=["untied", "tied, remat"]
)
def test_scanned_equals_unrolled(config, remat):
    unrolled, scanned = _pair(config, remat=remat)
    expected = forward(unrolled, TOKENS)
    assert expected.shape == (2, 13, 61) and expected.dtype == jnp.float32
    np.testing.assert_allclose(forward(scanned, TOKENS), expected, rtol=1e-5, atol=1e-5)

    gradient = nnx.jit(nnx.grad(lambda model: jnp.mean(model(TOKENS) ** 2)))
    ours = stack_layers(gradient(unrolled))
    theirs = nnx.to_pure_dict(gradient(scanned))
    chex.assert_trees_all_close(nnx.to_pure_dict(ours), theirs, rtol=1e-3, atol=1e-6)


def test_stack_and_unstack_are_inverse():
    state = nnx.state(Decoder(CONFIG, rngs=nnx.Rngs(0)))
    back = unstack_layers(stack_layers(state))
    chex.assert_trees_all_equal(nnx.to_pure_dict(back), nnx.to_pure_dict(state))


def test_later_tokens_do_not_change_earlier_logits():
    model = Decoder(CONFIG, rngs=nnx.Rngs(0))
    logits = forward(model, TOKENS)
    changed = forward(model, TOKENS.at[:, 7:].add(1))
    np.testing.assert_allclose(changed[:, :7], logits[:, :7], atol=1e-6)
    assert np.abs(changed[:, 7:] - logits[:, 7:]).max() > 1e-3


def test_rotary_products_depend_on_distance_only():
    q, k = jax.random.normal(jax.random.key(0), (2, 8))
    cos, sin = rotary_angles(40, 8, 100.0)

    def at(x):
        return rotate(jnp.broadcast_to(x, (1, 40, 1, 8)), cos, sin)[0, :, 0]

    products = at(q) @ at(k).T
    for distance in (-7, 0, 5):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-5)
    np.testing.assert_allclose(products[0, 0], q @ k, rtol=1e-5)
    assert np.ptp(products[0]) > 0.1


def test_tied_head_is_the_embedding_table():
    tied = Decoder(TIED, rngs=nnx.Rngs(0))
    untied = Decoder(CONFIG, rngs=nnx.Rngs(0))
    state = nnx.state(tied)
    state["head"] = {"kernel": nnx.Param(state["embed"]["embedding"][...].T)}
    nnx.update(untied, state)
    np.testing.assert_allclose(forward(tied, TOKENS), forward(untied, TOKENS), rtol=1e-5, atol=1e-5)


def test_bfloat16_is_close_and_logits_stay_float32():
    model = Decoder(CONFIG, rngs=nnx.Rngs(0))
    low = Decoder(CONFIG, rngs=nnx.Rngs(0), dtype=jnp.bfloat16)
    logits = forward(low, TOKENS)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, forward(model, TOKENS), atol=0.1)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_jit_eager_and_abstract(scan_layers):
    model = Decoder(CONFIG, rngs=nnx.Rngs(0), scan_layers=scan_layers)
    np.testing.assert_allclose(forward(model, TOKENS), model(TOKENS), rtol=1e-5, atol=1e-5)
    abstract = nnx.eval_shape(lambda: Decoder(CONFIG, rngs=nnx.Rngs(0), scan_layers=scan_layers))
    out = nnx.eval_shape(lambda m, t: m(t), abstract, TOKENS)
    assert out.shape == (2, 13, 61)


@pytest.mark.parametrize(
    "tokens",
    [TOKENS[0], TOKENS.astype(jnp.float32), TOKENS[:, :0]],
    ids=["1-d", "float", "empty"],
)
def test_refuses_tokens(tokens):
    with pytest.raises(ValueError, match=r"^tokens: "):
        Decoder(CONFIG, rngs=nnx.Rngs(0))(tokens)


def test_refuses_too_long_and_unknown_dtype():
    model = Decoder(dataclasses.replace(CONFIG, max_length=12), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="max_length=12"):
        model(TOKENS)
    with pytest.raises(ValueError, match=r"dtype=.*must be one of"):
        Decoder(CONFIG, rngs=nnx.Rngs(0), dtype=jnp.int8)


class Counting(nnx.Module):
    """A product with a state of its own: a gain per layer, a count of calls, random numbers."""

    def __init__(self, *shape, gain=None):
        self.gain = nnx.Variable(jnp.ones(shape) if gain is None else gain)
        self.calls = nnx.Variable(jnp.zeros(shape))
        self.stream = nnx.Rngs(0).noise

    def __call__(
        self,
        x,
        w,
        dimension_numbers,
        precision=None,
        preferred_element_type=None,
        out_sharding=None,
    ):
        self.calls[...] = self.calls[...] + 1
        y = lax.dot_general(x, w, dimension_numbers, preferred_element_type=preferred_element_type)
        return y * self.gain[...] + 0 * jax.random.normal(self.stream(), y.shape)


PLACES = ["attn/q_proj", "attn/scores", "attn/values", "attn/o_proj", "mlp/down_proj"]


def _at(block, place):
    for name in place.split("/"):
        block = getattr(block, name)
    return block


@pytest.mark.parametrize(("place", "remat"), [(place, place == "attn/scores") for place in PLACES])
def test_a_stateful_product_in_the_layers(place, remat):
    """Sliced per layer when scanned, as if each unrolled layer had its own."""
    gains = jnp.asarray([1.0, 1.5, 0.5])
    unrolled, scanned = _pair(remat=remat)
    plain = forward(unrolled, TOKENS)
    for i, block in enumerate(unrolled.layers):
        _at(block, place).dot_general = nnx.data(Counting(gain=gains[i]))
    _at(scanned.layers.block, place).dot_general = nnx.data(Counting(3, gain=gains))
    expected = forward(unrolled, TOKENS)
    assert np.abs(expected - plain).max() > 1e-4
    for call in (1, 2):
        np.testing.assert_allclose(forward(scanned, TOKENS), expected, rtol=1e-4, atol=1e-5)
        dot = _at(scanned.layers.block, place).dot_general
        np.testing.assert_array_equal(dot.calls[...], [call] * 3)
        assert dot.stream.count[...] == 3 * call


@pytest.mark.parametrize("config", [CONFIG, TIED], ids=["untied", "tied"])
def test_a_stateful_product_at_the_head(config):
    model = Decoder(config, rngs=nnx.Rngs(0))
    plain = forward(model, TOKENS)
    model.head.dot_general = nnx.data(Counting(gain=jnp.asarray(2.0)))
    np.testing.assert_allclose(forward(model, TOKENS), 2 * plain, rtol=1e-5)
    assert model.head.dot_general.calls[...] == 1


def test_unchanged_state_is_not_written_again_by_the_scan():
    """A large constant of a layer (quantized weights) must not be copied at every call."""
    _, scanned = _pair()
    scanned.layers.block.mlp.up_proj.dot_general = nnx.data(Counting(3))
    graph, state = nnx.split(scanned)
    jaxpr = jax.make_jaxpr(lambda s, t: nnx.merge(graph, s)(t))(state, TOKENS)
    (scan,) = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "scan"]
    stacked = [v.aval.shape for v in scan.outvars if v.aval.shape[:1] == (3,)]
    assert stacked == [(3,)]  # calls; neither gain nor any kernel
