"""Run by test_row_parallel.py in a process of its own with 8 virtual devices; prints one JSON object.

Products whose contracted axis is sharded over explicit axes of a mesh, against one device: largest
difference of the result, and of the gradients in units of their largest value.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import photonjax as pj
from photonjax.core import random
from photonjax.core.rounding import no_fma


def hum(core, p, key):
    return p if key is None else p + no_fma(0.1 * random.mixed_normal(key, *p.shape)[0])


# Three tiles whose boundaries are not the shards'; without the ADC, which would hide last bits.
CORE = pj.OpticalCore(
    custom={"detected": hum},
    rows=48,
    cols=24,
    photons=300.0,
    input={"noise": 0.01},
    array={"noise": 0.01},
    adc={"bits": None},
)
X = np.asarray(jax.random.normal(jax.random.key(1), (32, 128)))
W = np.asarray(jax.random.normal(jax.random.key(2), (128, 64)))
KEY = jax.random.key(3)
NUMBERS = (((1,), (0,)), ((), ()))
BATCHED = (((2,), (1,)), ((0,), (0,)))


def linear(x, w, out):
    model = nnx.Linear(128, 64, use_bias=False, rngs=nnx.Rngs(0))
    model.kernel.set_value(w)
    optical, _ = pj.convert(model, [pj.Rule("*", CORE)])
    return optical(x, out_sharding=out)


def function(x, w, out):
    f = lambda w, x: lax.dot_general(w, x, (((0,), (1,)), ((), ())), out_sharding=out)
    return pj.optical(f, [pj.Rule("*", CORE)])(KEY, w, x)


def convolution(x, w, out):
    """A window of one: the product itself."""
    numbers = ("NHWC", "HWIO", "NHWC")
    y = pj.optical_conv(
        x[:, None, None], w[None, None], (1, 1), "VALID", dimension_numbers=numbers,
        out_sharding=out and P(out[0], None, None, out[1]), **options,
    )  # fmt: skip
    return y.reshape(32, 64)


def transposed(x, w, out):
    """A zero between inputs: two phases of one tap each."""
    numbers = ("NHWC", "HWIO", "NHWC")
    y = pj.optical_conv(
        x[:, None, None], jnp.stack([w, 2 * w])[:, None], (1, 1), ((1, 1), (0, 0)), (2, 1),
        dimension_numbers=numbers, out_sharding=out and P(out[0], None, None, out[1]), **options,
    )  # fmt: skip
    return y[:, 0, 0] + y[:, 1, 0]


options = dict(core=CORE, key=KEY)
CASES = {
    "dot_general": lambda x, w, out: pj.optical_dot_general(x, w, NUMBERS, out_sharding=out, **options),
    "matmul": lambda x, w, out: pj.optical_matmul(x, w, out_sharding=out, **options),
    "einsum": lambda x, w, out: pj.optical_einsum("tk,kn->nt", x, w, out_sharding=out, **options),
    "batched": lambda x, w, out: pj.optical_dot_general(
        x.reshape(4, 8, 128), jnp.stack([w] * 4), BATCHED, out_sharding=out, **options
    ),
    "linear": linear,
    "function, weight first": function,
    "convolution": convolution,
    "transposed convolution": transposed,
}  # fmt: skip
ROWS = (P(None, "i"), P("i", "j"), P(None, "j"))
ALL = (P(None, ("i", "j")), P(("i", "j"), None), P("i", None))


def compare(case, x_spec, w_spec, out) -> list[float]:
    product = CASES[case]
    turned = case in ("einsum", "function, weight first")
    out = P(*reversed(out)) if turned else P(None, *out) if case == "batched" else out

    def loss(x, w, out):
        y = product(x, w, out)
        return (y * y).sum(), y

    run = jax.jit(jax.grad(loss, (0, 1), has_aux=True), static_argnums=2)
    slopes, one = run(X, W, None)
    with jax.set_mesh(MESH):
        x, w = jax.device_put(X, x_spec), jax.device_put(W, w_spec)
        found, y = run(x, w, out)
        assert y.sharding.spec == out, (case, y.sharding)
        assert [g.sharding.spec for g in found] == [x_spec, w_spec], case
    far = lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max())
    off = [far(a, b) / float(np.abs(b).max()) for a, b in zip(found, slopes, strict=True)]
    return [far(y, one), max(off)]


CONVERTED = CORE.replace(adc={"bits": 8})


def of_model(x, w, out):
    """Result, calibrated range and measured SNR of an NNX layer, its weights programmed."""
    model = nnx.Linear(128, 64, use_bias=False, rngs=nnx.Rngs(0))
    model.kernel.set_value(w)
    optical, _ = pj.convert(model, [pj.Rule("*", CONVERTED)])
    pj.calibrate(optical, x, out_sharding=out)
    pj.program_weights(optical)
    pj.nnx.start_measuring(optical)
    y = optical(x, out_sharding=out)
    (measured,) = pj.nnx.stop_measuring(optical).values()
    (dot,) = (dot for _, dot in pj.nnx.optical_dots(optical))
    return np.asarray(y), float(dot.adc_range[...]), float(measured.snr_db)


def of_function(x, w, out):
    """Likewise, of two layers that a function scans."""
    inner = out and P(None, "i")

    def f(w, x):
        step = lambda x, w: (lax.dot_general(x, w, NUMBERS, out_sharding=inner), None)
        return lax.scan(step, x, w)[0]

    g = pj.optical(f, [pj.Rule("*", CONVERTED)])
    square = jnp.concatenate([w, w[:, ::-1]], 1)
    stack = jnp.stack([square, -square])
    found = pj.calibrate(g, stack, x)
    y, measured = jax.jit(g.with_ranges(found).measured)(KEY, stack, x)
    values = [[found[path]["adc"], float(measured[path].snr_db)] for path in sorted(found)]
    return np.asarray(y), np.array(values)


def ranges(seen) -> float:
    """Calibrated and measured in shards: how far from one device."""
    one = seen(X, W, None)
    with jax.set_mesh(MESH):
        found = seen(jax.device_put(X, P(None, "i")), jax.device_put(W, P("i", None)), P(None, "j"))
    return max(float(np.abs(a - b).max()) for a, b in zip(one, found, strict=True))


if __name__ == "__main__":
    assert jax.device_count() == 8
    MESH = jax.make_mesh((4, 2), ("i", "j"), axis_types=(AxisType.Explicit,) * 2)
    found = {case: compare(case, *ROWS) for case in CASES}
    found["linear, one axis"] = compare("linear", *ALL)
    print(json.dumps({"products": found, "ranges": [ranges(of_model), ranges(of_function)]}))
