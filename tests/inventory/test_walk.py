"""The walker: hand-counted products through every kind of sub-program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from photonjax.inventory import matmuls, take_inventory

f32 = jnp.float32


def arr(*shape, dtype=f32):
    return jax.ShapeDtypeStruct(shape, dtype)


def one(f, *args, **kwargs):
    (site,) = matmuls(f, *args, **kwargs)
    return site


def sizes(site):
    return site.batch, site.M, site.K, site.N, site.count


def test_weight_is_found_on_either_side_and_through_layout_and_casts():
    p = {"mlp": [{"up": arr(8, 4, dtype=jnp.bfloat16)}]}
    site = one(lambda p, x: x @ p["mlp"][0]["up"].T.astype(f32) * 2, p, arr(10, 4))
    assert (site.path, site.stationary, sizes(site)) == ("mlp/0/up", True, (1, 10, 4, 8, 1))
    site = one(lambda p, x: jnp.einsum("nk,tk->nt", p["w"] * 0.5, x), {"w": arr(8, 4)}, arr(10, 4))
    assert (site.path, site.stationary, sizes(site)) == ("w", True, (1, 10, 4, 8, 1))
    site = one(lambda p, x: x @ jnp.reshape(p, (3, 4, 5))[1], arr(12, 5), arr(2, 4))
    assert site.stationary and sizes(site) == (1, 2, 4, 5, 1)


def test_dequantized_int8_weight_keeps_its_name():
    p = {"values": arr(4, 8, dtype=jnp.int8), "scale": arr(8)}
    site = one(lambda p, x: x @ (p["values"].astype(f32) * p["scale"]), p, arr(3, 4))
    assert (site.path, site.stationary) == ("values", True)


def test_gathered_embedding_is_computed():
    p = {"embed": arr(100, 16)}
    sites = matmuls(
        lambda p, t: (e := p["embed"][t]) @ jnp.swapaxes(e, -1, -2) @ e @ p["embed"].T,
        p,
        arr(2, 7, dtype=jnp.int32),
    )
    assert [s.stationary for s in sites] == [False, False, True]
    assert [s.path for s in sites] == ["dot_general:0", "dot_general:1", "embed"]
    assert [sizes(s) for s in sites] == [(2, 7, 16, 7, 1), (2, 7, 7, 16, 1), (1, 14, 16, 100, 1)]


def test_scopes_name_dynamic_products():
    def f(p, x):
        with jax.named_scope("attn"):
            s = jax.jit(lambda x: x @ x.T)(x)
            with jax.named_scope("values"):
                return s @ x + x @ p

    sites = matmuls(f, arr(4, 4), arr(6, 4))
    assert [s.path for s in sites] == ["attn", "attn/values", "argument/0"]
    assert sites[2].stationary and sites[2].scope == "attn/values"


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)
)
def test_nested_scans_multiply_trip_counts(outer, inner, m, k, n):
    def f(ws, x):
        def layer(x, w):
            step = lambda y, _: (y + x @ w[0], None)
            y, _ = lax.scan(step, jnp.zeros((m, n)), None, length=inner)
            return y @ w[1], y.sum()

        return lax.scan(layer, x, ws)

    sites = matmuls(f, (arr(outer, k, n), arr(outer, n, k)), arr(m, k))
    assert [s.path for s in sites] == ["0", "1"]
    assert [sizes(s) for s in sites] == [(1, m, k, n, outer * inner), (1, m, n, k, outer)]
    assert all(s.stationary for s in sites)


def test_parameter_carried_round_a_loop_stays_one_until_it_changes():
    def f(w, x, change):
        step = lambda c, _: ((c[0] + change * c[1].sum(), c[1] @ c[0]), None)
        return lax.scan(step, (w, x), None, length=3)

    fixed = lambda w, x: lax.scan(lambda c, _: ((c[0], c[1] @ c[0]), None), (w, x), None, length=3)
    assert one(fixed, arr(4, 4), arr(2, 4)).stationary
    changing = one(f, arr(4, 4), arr(2, 4), arr())
    assert not changing.stationary and changing.count == 3


def test_remat_custom_rules_and_grad_are_entered():
    @jax.custom_vjp
    def product(x, w):
        return x @ w

    product.defvjp(lambda x, w: (x @ w, (x, w)), lambda r, g: (g @ r[1].T, r[0].T @ g))
    p, x = {"w": arr(4, 8)}, arr(3, 4)
    assert one(lambda p, x: product(x, p["w"]), p, x).path == "w"
    assert one(jax.checkpoint(lambda p, x: jnp.sin(x @ p["w"])), p, x).path == "w"
    backward = matmuls(jax.grad(lambda p, x: product(x, p["w"]).sum()), p, x)
    assert sum(s.macs for s in backward) >= 2 * 3 * 4 * 8  # forward and the gradient of w
    inv = take_inventory(lambda p, x: jax.nn.relu(jax.nn.gelu(x @ p["w"])), p, x)
    assert len(inv.matmuls) == 1 and inv.elements("transcendental") >= 24


def test_cond_counts_the_heaviest_branch():
    small, large = (lambda w, x: x @ w), (lambda w, x: x @ w @ w @ w)
    inv = take_inventory(
        lambda w, x: lax.cond(x.sum() > 0, small, large, w, x), arr(4, 4), arr(2, 4)
    )
    assert [s.macs for s in inv.matmuls] == [32, 32, 32]
    assert all(s.stationary for s in inv.matmuls)
    assert inv.notes == ["cond: the heaviest of 2 branches counted"]


def test_while_is_counted_once_and_says_so():
    f = lambda w, x: lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ w, x)
    inv = take_inventory(f, arr(4, 4), arr(2, 4))
    assert [sizes(s) for s in inv.matmuls] == [(1, 2, 4, 4, 1)]
    assert inv.matmuls[0].stationary and "counted once" in inv.notes[0]


def test_shard_map_counts_all_devices():
    axes = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((1,), ("x",), axis_types=axes, devices=jax.devices()[:1])
    spec = jax.sharding.PartitionSpec("x")
    f = jax.shard_map(lambda w, x: x @ w, mesh=mesh, in_specs=(spec, spec), out_specs=spec)
    inv = take_inventory(f, arr(4, 8), arr(3, 4))
    assert sizes(inv.matmuls[0]) == (1, 3, 4, 8, 1) and inv.matmuls[0].stationary
    assert "all 1 devices" in inv.notes[0]


def test_what_cannot_be_counted_is_listed():
    conv = lambda w, x: lax.conv_general_dilated(x, w, (1,), "SAME")
    inv = take_inventory(conv, arr(4, 3, 3), arr(2, 3, 16))
    assert inv.matmuls == [] and inv.unsupported[0].startswith("conv_general_dilated(")
    callback = lambda w, x: jax.pure_callback(np.sin, arr(3), x)
    assert "pure_callback" in take_inventory(callback, arr(2), arr(3)).unsupported[0]


def test_closed_over_weights_are_constants():
    w, table = np.ones((4, 8), np.float32), np.arange(4.0, dtype=np.float32)
    sites = matmuls(lambda x: jax.jit(lambda x: (x + table) @ w @ w.T)(x) @ w, arr(3, 4), params=())
    assert all(s.stationary for s in sites)
    assert {s.path for s in sites} <= {"constant/0", "constant/1", "constant/2"}


def test_params_can_be_any_argument():
    f = lambda x, a, b: x @ a @ b
    sites = matmuls(f, arr(2, 4), {"a": arr(4, 5)}["a"], {"b": arr(5, 6)}["b"], params=2)
    assert [s.stationary for s in sites] == [False, True]
    assert [s.stationary for s in matmuls(f, arr(2, 4), arr(4, 5), arr(5, 6), params=(1, 2))] == [
        True
    ] * 2
    with pytest.raises(
        ValueError, match=r"params = 3: there are 3 arguments; give positions 0 \.\.\. 2"
    ):
        matmuls(f, arr(2, 4), arr(4, 5), arr(5, 6), params=3)


def test_other_operations_are_counted_with_their_bytes():
    def f(w, x):
        y = jnp.exp(x) + 1.0
        return y.sum(-1), lax.scan(lambda c, r: (c * r, None), jnp.ones(5), y)[0]

    inv = take_inventory(f, arr(1), arr(7, 5))
    found = {o.primitive: (o.kind, o.elements, o.bytes, o.count) for o in inv.operations}
    assert found["exp"] == ("transcendental", 35, 2 * 35 * 4, 1)
    assert found["add"] == ("elementwise", 35, 2 * 35 * 4 + 4, 1)
    assert found["reduce_sum"] == ("reduction", 35, (35 + 7) * 4, 1)
    assert found["mul"] == ("elementwise", 35, 7 * 3 * 5 * 4, 7)
    assert "other" not in {o.kind for o in inv.operations}
    assert "exp" not in str(inv) and "transcendental: 35 elements" in str(inv)
    assert inv.to_dict()["operations"][0]["kind"]


@pytest.mark.parametrize("scale", [1, 1 << 20])
def test_nothing_is_allocated(scale):
    site = one(lambda w, x: x @ w, arr(scale * 1024, 1 << 16), arr(1 << 20, scale * 1024))
    assert site.macs == (1 << 20) * scale * 1024 * (1 << 16)
