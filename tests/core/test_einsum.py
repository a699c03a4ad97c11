"""optical_einsum on an ideal core against jnp.einsum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj

IDEAL = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
SIZES = dict(zip("abcdknt", (2, 3, 4, 5, 6, 7, 8), strict=True))


def operands(subscripts, dots=()):
    shapes = []
    for text in subscripts.replace(" ", "").split("->")[0].split(","):
        head, _, tail = text.partition("...")
        middle = dots if "..." in text else ()
        shapes.append([*(SIZES[a] for a in head), *middle, *(SIZES[a] for a in tail)])
    keys = jax.random.split(jax.random.key(0))
    return [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]


@pytest.mark.parametrize(
    "subscripts, dots",
    [
        ("tk,kn->tn", ()), ("tk,kn->nt", ()), ("tk,nk->tn", ()), ("kt,nk->nt", ()),
        ("abk,kcd->abcd", ()), ("abk,kcd->dbca", ()), ("akb,bkn->an", ()), ("abk,akn->abn", ()),
        ("abk,nkb->nab", ()), ("bak,akbn->nba", ()), ("k,k->", ()), ("a,b->ab", ()), ("a,b->ba", ()),
        ("a,a->a", ()), ("...k,kn->...n", (2, 3)), ("...k,kn->n...", (2, 3)), ("a...k,nk->...an", (2,)),
        ("k...,kn->n...", ()), (" t k , k n -> t n ", ()),
    ],
)  # fmt: skip
def test_against_jnp(subscripts, dots):
    x, w = operands(subscripts, dots)
    y = pj.optical_einsum(subscripts, x, w, core=IDEAL)
    expected = jnp.einsum(subscripts, x, w, precision="highest")
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)  # float32, <= 42 terms


@pytest.mark.parametrize(
    "subscripts, message",
    [
        ("tk,kn", "explicit output"), ("tk->kt", "two operands"), ("tk,kn,n->t", "two operands"),
        ("tk,...n->t...n", "ellipsis in w"), ("tkk,kn->tn", "does not fit x"),
        ("tk,k->tk", "does not fit w"), ("tt,tn->n", "repeats a letter"), ("tk,kn->tnz", "no operand"),
        ("tk,nb->tn", "within one operand"), ("t1,1n->tn", "not a letter"), ("...k,kn->n", "does not fit"),
        ("tk,kn->ttn", "repeats a letter"),
    ],
)  # fmt: skip
def test_errors(subscripts, message):
    x, w = jnp.ones((3, 3)), jnp.ones((3, 3))
    with pytest.raises(ValueError, match=message) as caught:
        pj.optical_einsum(subscripts, x, w, core=IDEAL)
    assert repr(subscripts) in str(caught.value) and "\n" not in str(caught.value)


def test_is_the_op_with_the_same_key():
    core, key = pj.OpticalCore(rows=16, cols=16, photons=10.0), jax.random.key(4)
    x, w = operands("abk,kcd->abcd")
    y = pj.optical_einsum("abk,kcd->abcd", x, w, core=core, key=key)
    by_hand = pj.optical_dot_general(x, w, (((2,), (0,)), ((), ())), core=core, key=key)
    np.testing.assert_array_equal(y, by_hand)
