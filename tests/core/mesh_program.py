"""Run by test_mesh.py in a process of its own with 8 virtual devices; prints one JSON object.

For every encoding with every source on: is the sharded product the single-device one, bit for bit?
"""

import hashlib
import json

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import photonjax as pj

NUMBERS = (((1,), (0,)), ((), ()))
T, K, N = 32, 128, 64

EVERYTHING = pj.OpticalCore(
    rows=48,  # three tiles, the last one ragged, boundaries not those of the shards
    cols=24,
    photons=300.0,
    receiver={"noise_a_per_rthz": 1e-12},
    source={"rin_db_hz": -130.0},
    input={"noise": 0.01},
    array={"noise": 0.01},
    adc={"enob": 6.0},
)
LAYOUTS = {
    "data and columns": (P("i", None), P(None, "j")),
    "rows": (P(None, ("i", "j")), P(("i", "j"), None)),
    "data and rows": (P("i", "j"), P("j", None)),
}
# Without the ADC, whose rounding would hide a last-bit difference from all but a few outputs.
ANALOG = EVERYTHING.replace(adc={"bits": None, "enob": None})
CORES = {
    "differential": ANALOG,
    "offset": ANALOG.replace(encoding="offset"),
    "homodyne": ANALOG.replace(encoding="homodyne"),
    "homodyne on its grid": ANALOG.replace(
        encoding="homodyne", input={"noise": None}, array={"noise": None}
    ),
    "exact shot": ANALOG.replace(encoding={"shot_estimate": "exact"}),
    "threefry, 4 bits, ADC": EVERYTHING.replace(
        sampler="threefry", input={"bits": 4}, array={"bits": 4}
    ),
}


def operands():
    x = jax.random.normal(jax.random.key(1), (T, K))
    w = jax.random.normal(jax.random.key(2), (K, N))
    return np.asarray(x), np.asarray(w)


def compare(core, mesh, layouts=LAYOUTS) -> dict[str, float]:
    """Largest difference of each layout from one device, in units of the result's largest value."""
    x, w = operands()
    key = jax.random.key(3)
    run = jax.jit(lambda x, w, key: pj.optical_dot_general(x, w, NUMBERS, core=core, key=key))
    one = np.asarray(run(x, w, key))
    found = {}
    for name, (x_spec, w_spec) in layouts.items():
        sharded = [jax.device_put(a, NamedSharding(mesh, s)) for a, s in ((x, x_spec), (w, w_spec))]
        y = run(*sharded, key)
        assert len(y.sharding.device_set) == 8, name
        found[name] = float(np.abs(np.asarray(y) - one).max() / np.abs(one).max())
    return found


def explicit(core) -> dict[str, float]:
    """On a mesh of explicit axes: sharded operands, and the sharding asked of the result."""
    mesh = jax.make_mesh((4, 2), ("i", "j"), axis_types=(jax.sharding.AxisType.Explicit,) * 2)
    x, w = operands()
    key = jax.random.key(3)
    run = lambda x, w, out: pj.optical_dot_general(
        x, w, NUMBERS, core=core, key=key, out_sharding=out
    )
    one = np.asarray(jax.jit(lambda x, w: run(x, w, None))(x, w))
    with jax.set_mesh(mesh):
        out = NamedSharding(mesh, P("i", "j"))
        y = jax.jit(lambda x, w: run(x, w, out))(x, w)
        assert y.sharding == out, y.sharding
        return {"out_sharding": float(np.abs(np.asarray(y) - one).max())}


def fingerprint(core) -> str:
    """Of a product large enough to be done in row blocks, where there is one device."""
    x = np.asarray(jax.random.normal(jax.random.key(1), (1024, 64)))
    w = np.asarray(jax.random.normal(jax.random.key(2), (64, 2048)))
    run = jax.jit(lambda x, w, key: pj.optical_dot_general(x, w, NUMBERS, core=core, key=key))
    return hashlib.sha256(np.asarray(run(x, w, jax.random.key(3))).tobytes()).hexdigest()


if __name__ == "__main__":
    if jax.device_count() == 1:
        print(json.dumps(fingerprint(ANALOG)))
        raise SystemExit
    assert jax.device_count() == 8
    mesh = jax.make_mesh((4, 2), ("i", "j"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    # Every layout with one encoding; every encoding with the layout that splits rows and what is summed.
    some = {"data and rows": LAYOUTS["data and rows"]}
    found = {
        name: compare(core, mesh, LAYOUTS if core is ANALOG else some)
        for name, core in CORES.items()
    }
    found["explicit mesh"] = explicit(ANALOG)
    print(json.dumps({"fingerprint": fingerprint(ANALOG), "differences": found}))
