"""A decoder's workload equals the closed form to the digit."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import photonjax as pj
from photonjax.models import named, prefill_workload
from photonjax.models.abstract import abstract_model
from photonjax.models.decoder import Decoder, DecoderConfig
from photonjax.workload import trace_workload

WIDTHS = dict(vocab_size=96, hidden_size=48, intermediate_size=80, head_dim=16)
SMALL = DecoderConfig(**WIDTHS, num_layers=3, num_heads=6, num_kv_heads=2)


def stationary_macs(c, tokens):
    attention = c.hidden_size * c.head_dim * (2 * c.num_heads + 2 * c.num_kv_heads)
    mlp = 3 * c.hidden_size * c.intermediate_size
    return tokens * (c.num_layers * (attention + mlp) + c.hidden_size * c.vocab_size)


def workload(config, batch, length, **kwargs):
    model = nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0), **kwargs))
    graphdef, state = nnx.split(model)
    tokens = jax.ShapeDtypeStruct((batch, length), jnp.int32)
    return trace_workload(lambda state, t: nnx.merge(graphdef, state)(t), state, tokens)


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_macs_equal_the_closed_form(scan_layers, tied):
    config = DecoderConfig(**{**vars(SMALL), "tie_embeddings": tied})
    inv = workload(config, 2, 37, scan_layers=scan_layers, remat=scan_layers)
    weights = [s for s in inv.matmuls if s.stationary]
    assert sum(s.macs for s in weights) == stationary_macs(config, 2 * 37)
    layers = ["layers/block"] if scan_layers else [f"layers/{i}" for i in range(3)]
    names = [f"attn/{p}_proj" for p in "qkvo"] + [f"mlp/{p}_proj" for p in ("gate", "up", "down")]
    expected = {f"{layer}/{name}/kernel" for layer in layers for name in names}
    assert {s.path for s in weights} == expected | {"embed/embedding" if tied else "head/kernel"}
    assert inv.unsupported == [] and inv.notes == []
    head = weights[-1]
    assert (head.M, head.K, head.N) == (74, 48, 96)


def test_scanned_and_unrolled_layers_do_the_same_work():
    unrolled, scanned = (workload(SMALL, 1, 130, scan_layers=s) for s in (False, True))
    assert unrolled.macs == scanned.macs
    for kind in ("elementwise", "transcendental", "reduction"):
        assert unrolled.elements(kind) == pytest.approx(scanned.elements(kind), rel=0.01)


def test_attention_computes_at_least_the_causal_half_and_less_than_the_square():
    length = 512
    inv = workload(SMALL, 1, length)
    dynamic = sum(s.macs for s in inv.matmuls if not s.stationary)
    square = 2 * SMALL.num_layers * SMALL.num_heads * SMALL.head_dim * length**2
    assert square / 2 < dynamic < 0.7 * square
    assert all(s.path for s in inv.matmuls)


def test_module_as_argument_gives_the_same():
    model = nnx.eval_shape(lambda: Decoder(SMALL, rngs=nnx.Rngs(0)))
    tokens = jax.ShapeDtypeStruct((1, 9), jnp.int32)
    assert trace_workload(lambda m, t: m(t), model, tokens) == workload(SMALL, 1, 9)


RULES = [
    pj.Rule("*/mlp/*", pj.OpticalCore()),
    pj.Rule("*/attn/scores", pj.OpticalCore(), dynamic=True),
    pj.Rule("*/attn/*_proj", pj.OpticalCore()),
]


@pytest.mark.parametrize("name", ["smollm2-135m", "gpt2"])
def test_converted_and_left_digital_make_the_inventory(name):
    """Every product of the workload is one site of the report, and the shares add up."""
    reports = []

    def convert():
        model = abstract_model(named(name), dtype=jnp.float32)
        model = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), model)
        reports.append(pj.convert(model, RULES)[1])
        return jnp.zeros(())

    jax.eval_shape(convert)  # so that no weights are made
    (report,) = reports
    inv = prefill_workload(name, tokens=640, dtype=jnp.float32, last_only=False)
    site_of = {site.parameter or site.path: site for site in report.sites}
    assert len(site_of) == len(report.sites)
    assert {s.path for s in inv.matmuls} == set(site_of)
    macs = {"optical": 0, "digital": 0}
    for product in inv.matmuls:
        site = site_of[product.path]
        macs[site.status] += product.macs
        assert site.stationary == product.stationary
        if product.stationary:
            shape = (product.N, product.K) if "embed" in product.path else (product.K, product.N)
            assert (site.layers, site.shape) == (product.count, shape)
    assert macs["optical"] + macs["digital"] == inv.macs

    c = named(name)
    head = 640 * c.hidden_size * c.vocab_size
    values = sum(s.macs for s in inv.matmuls if s.path == "layers/block/attn/values")
    scores = sum(s.macs for s in inv.matmuls if s.path == "layers/block/attn/scores")
    assert values == scores > 0
    assert macs["digital"] == head + values  # what no rule takes


def test_dynamic_products_are_named_after_their_layer():
    paths = {s.path for s in workload(SMALL, 1, 100).matmuls if not s.stationary}
    assert paths == {f"layers/{i}/attn/{name}" for i in range(3) for name in ("scores", "values")}
