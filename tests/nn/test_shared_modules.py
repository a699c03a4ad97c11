"""Modules that are met twice: shared, or within themselves by a reference to their owner."""

import numpy as np
import pytest
from flax import nnx

import photonjax as pj
from photonjax.nn.convert import revert
from tests.nn.one_layer import IDEAL, KEY, normal
from tests.nn.one_layer import NOISY as CORE

pytestmark = pytest.mark.slow  # minutes together: on one Python


X = normal(5, 12)


class Shared(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(12, 12, use_bias=False, rngs=rngs)
        self.second = nnx.Dict(again=self.first)
        self.other = nnx.Linear(12, 12, rngs=rngs)

    def __call__(self, x):
        return self.first(x), self.second["again"](x)


def test_a_shared_module_is_one_site():
    model = Shared(nnx.Rngs(0))
    optical, report = pj.convert(model, [pj.Rule("second/*", CORE)], key=KEY)
    (site,) = report.optical
    assert (site.path, site.also) == ("first", ("second/again",))
    assert "shared with second/again" in str(report)
    assert optical.first is optical.second["again"]
    one, two = optical(X)
    assert (one != two).mean() > 0.9  # two uses, two draws of the noise
    stream = optical.first.dot_general.stream
    assert stream.count[...] == 2 and len(list(pj.nnx.optical_dots(optical))) == 1
    # one die: without dynamic noise both uses see the same errors
    pj.nnx.set_noise_key(optical, None)
    one, two = optical(X)
    np.testing.assert_array_equal(one, two)
    assert (one != model(X)[0]).any()
    assert nnx.graphdef(revert(optical)) == nnx.graphdef(model)


def test_rules_that_fight_over_a_shared_module():
    model = Shared(nnx.Rngs(0))
    rules = [pj.Rule("first", CORE), pj.Rule("second/*", IDEAL), pj.Rule("other", CORE)]
    text = "first and second/again are one module, and rule 'first' and rule 'second/\\*' decide"
    with pytest.raises(ValueError, match=text):
        pj.convert(model, rules)
    with pytest.raises(ValueError, match="decide differently"):
        pj.convert(model, [pj.Rule("second/*", None), pj.Rule("first", CORE)])
    _, report = pj.convert(model, [pj.Rule("first", CORE), pj.Rule("second/*", CORE)])
    assert [site.path for site in report.optical] == ["first"]
    sure = pj.Rule("*", IDEAL, where=lambda s: "first" in (s.path, *s.also))
    _, report = pj.convert(model, [sure, *rules[2:]])
    assert [site.core for site in report.sites] == [IDEAL, CORE]


class Cyclic(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(12, 12, rngs=rngs)
        self.child = nnx.Dict(linear=nnx.Linear(12, 12, rngs=rngs))
        self.child["parent"] = self

    def __call__(self, x):
        return self.child["linear"](self.linear(x))


def test_modules_may_refer_to_their_owner():
    model = Cyclic(nnx.Rngs(0))
    optical, report = pj.convert(model, [pj.Rule("*", IDEAL)])
    assert [site.path for site in report.sites] == ["child/linear", "linear"]
    np.testing.assert_allclose(optical(X), model(X), rtol=1e-4, atol=1e-5)
