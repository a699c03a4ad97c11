"""Run by test_mesh_model.py in a process of its own with 8 virtual devices; prints one JSON object.

A small decoder, every product on light: logits sharded and not, on the same key.
"""

import json

import jax
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import photonjax as pj
from photonjax.models import Decoder, DecoderConfig

CORE = pj.OpticalCore(
    rows=24,
    cols=24,
    photons=200.0,
    source={"rin_db_hz": -140.0},
    array={"noise": 0.01},
    adc={"enob": 7.0},
)
CONFIG = DecoderConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=8,
    num_kv_heads=8, tie_embeddings=True,
)  # fmt: skip


def tensor_sharding(path, value) -> P:
    """Columns of the first products and rows of the second ones over ``model``, as in Megatron."""
    name = "/".join(map(str, path))
    if name.endswith("kernel"):
        second = "o_proj" in name or "down_proj" in name
        return P(None, "model", None) if second else P(None, None, "model")
    return P("model", None) if name.endswith("embedding") else P()


def place(state, mesh, spec):
    flat = {
        path: v.replace(jax.device_put(v[...], NamedSharding(mesh, spec(path, v))))
        for path, v in nnx.to_flat_state(state)
    }
    return nnx.from_flat_state(flat)


if __name__ == "__main__":
    assert jax.device_count() == 8
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    model = Decoder(CONFIG, rngs=nnx.Rngs(0), scan_layers=True)
    model, report = pj.convert(model, [pj.Rule("*", CORE)], key=jax.random.key(4))
    assert len(report.optical) == 8
    tokens = np.asarray(jax.random.randint(jax.random.key(1), (8, 6), 0, 64))
    graph, state = nnx.split(model)
    run = jax.jit(lambda state, tokens: nnx.merge(graph, state)(tokens))
    one = np.asarray(run(state, tokens))
    assert np.isfinite(one).all()
    found = {}
    layouts = {
        "data": (lambda path, v: P(), P("data")),
        "tensor": (tensor_sharding, P()),
        "data and tensor": (tensor_sharding, P("data")),
    }
    for name, (spec, tokens_spec) in layouts.items():
        placed = jax.device_put(tokens, NamedSharding(mesh, tokens_spec))
        y = run(place(state, mesh, spec), placed)
        assert len(y.sharding.device_set) == 8
        found[name] = float((np.asarray(y) != one).mean())
    print(json.dumps(found))
