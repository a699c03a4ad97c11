"""The walker: hand-counted products through every kind of sub-program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import photonjax as pj
from photonjax.workload import matmuls, trace_workload

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
    inv = trace_workload(lambda p, x: jax.nn.relu(jax.nn.gelu(x @ p["w"])), p, x)
    assert len(inv.matmuls) == 1 and inv.elements("transcendental") >= 24


def test_cond_counts_the_heaviest_branch():
    small, large = (lambda w, x: x @ w), (lambda w, x: x @ w @ w @ w)
    inv = trace_workload(
        lambda w, x: lax.cond(x.sum() > 0, small, large, w, x), arr(4, 4), arr(2, 4)
    )
    assert [s.macs for s in inv.matmuls] == [32, 32, 32]
    assert all(s.stationary for s in inv.matmuls)
    assert inv.notes == ["cond: the heaviest of 2 branches counted"]


def test_while_is_counted_once_and_says_so():
    f = lambda w, x: lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ w, x)
    inv = trace_workload(f, arr(4, 4), arr(2, 4))
    assert [sizes(s) for s in inv.matmuls] == [(1, 2, 4, 4, 1)]
    assert inv.matmuls[0].stationary
    note = "while: number of turns unknown before running; counted once, at 32 MACs"
    assert inv.notes == [note] and f"note: {note}" in str(inv)
    cost = pj.cost.estimate(inv, pj.machines.digital("h100-sxm"))
    core = pj.machines.optical("display-1024")
    for shown in (cost, cost.floor, pj.cost.estimate(inv, core), cost * 2 + cost):
        assert note in str(shown) and note in shown.to_json() and note in shown.to_csv()


def test_shard_map_counts_all_devices():
    axes = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((1,), ("x",), axis_types=axes, devices=jax.devices()[:1])
    spec = jax.sharding.PartitionSpec("x")
    f = jax.shard_map(lambda w, x: x @ w, mesh=mesh, in_specs=(spec, spec), out_specs=spec)
    inv = trace_workload(f, arr(4, 8), arr(3, 4))
    assert sizes(inv.matmuls[0]) == (1, 3, 4, 8, 1) and inv.matmuls[0].stationary
    assert "all 1 devices" in inv.notes[0]


def convolve(x, w, **options):
    options = {"window_strides": (1,) * (x.ndim - 2), "padding": "VALID"} | options
    return lax.conv_general_dilated(x, w, **options)


def test_convolution_is_patches_times_kernel():
    f = lambda p, x: convolve(x, p["conv"], padding="SAME")
    site = one(f, {"conv": arr(4, 3, 5)}, arr(2, 3, 16))
    assert (site.path, site.stationary, sizes(site)) == ("conv", True, (1, 2 * 16, 3 * 5, 4, 1))
    image = lambda p, x: convolve(x, p, window_strides=(2, 3), rhs_dilation=(1, 2))
    site = one(image, arr(7, 3, 3, 2), arr(5, 3, 9, 10))  # 4 x 3 positions
    assert sizes(site) == (1, 5 * 4 * 3, 3 * 3 * 2, 7, 1)


def test_grouped_convolution_is_a_batch_of_products():
    site = one(lambda p, x: convolve(x, p, feature_group_count=3), arr(6, 2, 4), arr(5, 6, 10))
    assert sizes(site) == (3, 5 * 7, 2 * 4, 2, 1)


def test_convolution_of_channels_last_and_of_a_flax_layer():
    layer = nnx.eval_shape(lambda: nnx.Conv(3, 8, (3, 3), rngs=nnx.Rngs(0)))
    site = one(lambda m, x: m(x), layer, arr(2, 12, 12, 3))
    assert (site.path, sizes(site)) == ("kernel", (1, 2 * 144, 27, 8, 1))


@pytest.mark.parametrize(
    ("x", "kernel", "options"),
    [
        ((2, 3, 8), (4, 3, 3), dict(lhs_dilation=(2,))),
        ((1, 2, 5, 4), (3, 2, 3, 5), dict(lhs_dilation=(3, 2))),
        ((1, 2, 5, 6), (3, 2, 2, 3), dict(lhs_dilation=(3, 4), rhs_dilation=(2, 2))),
        ((1, 2, 7), (3, 2, 4), dict(lhs_dilation=(4,), window_strides=(6,))),
        ((2, 3, 6, 5), (6, 1, 3, 3), dict(lhs_dilation=(2, 2), feature_group_count=3)),
        ((4, 3, 6), (6, 3, 2), dict(lhs_dilation=(3,), batch_group_count=2)),
        ((2, 3, 9), (6, 1, 3), dict(feature_group_count=3, rhs_dilation=(3,))),
        ((1, 1, 4), (1, 1, 1), dict(lhs_dilation=(3,))),
    ],
)
def test_transposed_convolution_does_not_multiply_inserted_zeros(x, kernel, options):
    """Of ones, without padding, the result adds up to how many numbers were multiplied."""
    f = lambda p, x: convolve(x, p, padding=((0, 0),) * (len(kernel) - 2), **options)
    load = trace_workload(f, arr(*kernel), arr(*x))
    assert load.macs == f(np.ones(kernel, np.float32), np.ones(x, np.float32)).sum()
    assert load.notes == [] and all(s.stationary for s in load.matmuls)
    weights = sum(s.batch * s.K * s.N for s in load.matmuls)
    if "window_strides" not in options:  # each weight is in one phase
        assert weights == np.prod(kernel)


def test_transposed_layer_is_a_product_for_each_phase():
    layer = nnx.eval_shape(lambda: nnx.ConvTranspose(3, 8, (4, 4), (2, 2), rngs=nnx.Rngs(0)))
    site = one(lambda m, x: m(x), layer, arr(2, 12, 12, 3))
    assert (site.path, sizes(site)) == ("kernel", (4, 2 * 144, 2 * 2 * 3, 8, 1))


def test_complex_multiply_is_four_real_ones():
    site = one(lambda p, x: x @ p, arr(4, 8, dtype=jnp.complex64), arr(3, 4))
    assert site.complex and site.dtype == "complex64" and site.macs == 4 * 3 * 4 * 8
    assert not one(lambda p, x: x @ p, arr(4, 8), arr(3, 4)).complex


def test_gradient_of_a_convolution_does_as_much_work_again():
    """Twice, for inputs and kernel: each output position meets each weight once more."""
    loss = lambda w, x: (convolve(x, w, feature_group_count=2) ** 2).sum()
    x, w = arr(3, 4, 9), arr(6, 2, 3)
    forward = trace_workload(loss, w, x).macs
    both = matmuls(jax.grad(loss, (0, 1)), w, x)
    kernel = [s for s in both if not s.stationary]
    assert sum(s.macs for s in kernel) == forward
    assert sum(s.macs for s in both) >= 3 * forward


@pytest.mark.parametrize(
    ("rows", "expected"), [(12, [(3, 4)]), (14, [(1, 4), (2, 5)]), (2, [(2, 1)])]
)
def test_ragged_product_spreads_its_rows_evenly(rows, expected):
    """Three experts: as many rows in all as there are, none multiplied twice."""
    f = lambda p, x, n: lax.ragged_dot(x, p["experts"], n)
    inv = trace_workload(f, {"experts": arr(3, 5, 7)}, arr(rows, 5), arr(3, dtype=jnp.int32))
    assert [(s.batch, s.M) for s in inv.matmuls] == expected
    assert all((s.K, s.N, s.path, s.stationary) == (5, 7, "experts", True) for s in inv.matmuls)
    assert inv.macs == rows * 5 * 7 and inv.unsupported == []
    assert inv.notes == ["ragged_dot_general: rows taken as spread evenly over 3 groups"]


def test_what_cannot_be_counted_is_listed():
    inv = trace_workload(lambda a: jnp.linalg.cholesky(a), arr(4, 4))
    assert inv.matmuls == [] and inv.unsupported[0].startswith("cholesky(")
    callback = lambda w, x: jax.pure_callback(np.sin, arr(3), x)
    assert "pure_callback" in trace_workload(callback, arr(2), arr(3)).unsupported[0]
    ragged = lambda w, x, n: lax.ragged_dot(x, w, n).sum()
    shapes = arr(3, 5, 7), arr(12, 5), arr(3, dtype=jnp.int32)
    (gradient,) = trace_workload(jax.grad(ragged), *shapes).unsupported
    assert gradient.startswith("ragged_dot_general(")


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

    inv = trace_workload(f, arr(1), arr(7, 5))
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
