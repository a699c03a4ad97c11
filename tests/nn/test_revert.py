"""And back: what convert did is undone, done again, and told as data."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import photonjax as pj
from tests.nn.one_layer import IDEAL, LAYERS, NOISY, attention, close, normal

pytestmark = pytest.mark.slow  # minutes together: on one Python


class CountingDot(nnx.Module):
    """A user's own hook, with state."""

    def __init__(self):
        self.calls = nnx.Variable(jnp.zeros((), jnp.int32))

    def __call__(self, *args, **kwargs):
        self.calls[...] += 1
        return lax.dot_general(*args, **kwargs)


def own_dot(*args, **kwargs):
    return lax.dot_general(*args, **kwargs)


class Zoo(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.layers = nnx.List([layer for layer, _ in LAYERS.values()])
        self.conv = nnx.Conv(3, 4, (3,), rngs=rngs)
        self.embed = nnx.Embed(5, 4, rngs=rngs)
        self.lora = nnx.LoRALinear(4, 4, lora_rank=2, rngs=rngs)
        self.attention = attention(dropout_rate=0.1)
        self.own = nnx.Linear(4, 4, dot_general=own_dot, rngs=rngs)
        self.counted = nnx.Linear(4, 4, dot_general=nnx.data(CountingDot()), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)


def test_revert_gives_the_digital_model_back():
    model = Zoo()
    optical, report = pj.convert(model, [pj.Rule("*", IDEAL, dynamic=True)])
    assert [site.path for site in report.digital] == ["counted"]  # it has variables of its own
    pj.program_weights(optical)
    pj.nnx.start_measuring(optical)
    assert isinstance(optical.own.dot_general.dot_general, pj.nnx.OpticalDot)
    back = pj.revert(optical)
    assert nnx.graphdef(back) == nnx.graphdef(model)  # so that jit knows it again
    one, two = nnx.state(model), nnx.state(back)
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(*(
            jax.random.key_data(v) if jnp.issubdtype(v.dtype, jax.dtypes.prng_key) else v
            for v in (a, b)
        ))  # fmt: skip
    assert back.own.dot_general is own_dot and isinstance(back.counted.dot_general, CountingDot)
    assert list(pj.nnx.optical_dots(optical)) and not list(pj.nnx.optical_dots(back))
    assert nnx.graphdef(pj.revert(back)) == nnx.graphdef(model)
    again, _ = pj.convert(optical, [pj.Rule("*", None)])  # a rule can do the same
    assert nnx.graphdef(again) == nnx.graphdef(model)


def test_converting_again_keeps_or_replaces():
    model = Zoo()
    once, _ = pj.convert(model, [pj.Rule("*", NOISY, dynamic=True)])
    twice, report = pj.convert(once, [pj.Rule("own", IDEAL), pj.Rule("conv", None)])
    by_path = {site.path: site for site in report.sites}
    assert by_path["own"].core is IDEAL and by_path["conv"].status == "digital"
    assert "optical before" in by_path["embed"].reason
    close(twice.own(normal(2, 4)), model.own(normal(2, 4)))
    assert nnx.graphdef(pj.revert(twice)) == nnx.graphdef(model)


def test_optical_layers_revert_to_flax():
    layer = pj.nnx.OpticalLinear(4, 3, core=NOISY, rngs=nnx.Rngs(0))
    back = pj.revert(layer)
    assert type(back) is nnx.Linear and back.dot_general is lax.dot_general
    assert nnx.graphdef(back) == nnx.graphdef(nnx.Linear(4, 3, rngs=nnx.Rngs(0)))


def test_report_is_data():
    _, report = pj.convert(
        Zoo(),
        [
            pj.Rule("*", NOISY),
        ],
    )
    data = json.loads(report.to_json())
    assert data == report.to_dict()
    assert [s["path"] for s in data["sites"]] == [s.path for s in report.sites]
    for entry, site in zip(data["sites"], report.sites, strict=True):
        assert entry["core"] == (None if site.core is None else 0)
        assert entry["shape"] == (list(site.shape) if site.stationary else None)
        assert entry["dtype"] == ("float32" if site.stationary else None)
    assert len(data["cores"]) == 1 and data["cores"][0]["photons"] == NOISY.photons
    rows = str(report).splitlines()
    assert len(rows) == 1 + len(report.sites)
    for row, site in itertools.zip_longest(rows[1:], report.sites):
        assert row.startswith(site.path) and site.status in row
