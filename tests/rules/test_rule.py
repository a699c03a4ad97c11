"""Rules and sites by themselves: names that a pattern is held against, and what a rule cannot be."""

import pytest

import photonjax as pj
from photonjax.rules import Site

A = pj.OpticalCore(rows=16, cols=16, adc={"bits": None})


def test_a_site_is_known_by_several_names():
    site = Site("a", "a/kernel", (2, 3), also=("b/c",))
    assert all(pj.Rule(pattern, A).takes(site) for pattern in ("a", "a/kernel"))
    assert not pj.Rule("b/*", A).takes(site)
    other = site.under("b/c")
    assert (other.parameter, other.also) == ("b/c/kernel", ("a",)) and pj.Rule("b/c", A).takes(
        other
    )
    assert (
        site.under("a") == site
        and Site("head", "embed/table").under("x").parameter == "embed/table"
    )
    bare = Site("mlp/up", "mlp/up")  # of a program without modules
    assert pj.Rule("mlp", A).takes(bare) and not pj.Rule("mlp", A).takes(Site("mlp/scores"))


def test_a_condition_is_a_function():
    with pytest.raises(TypeError, match="Rule.where = 512 is neither"):
        pj.Rule("*", A, where=512)
