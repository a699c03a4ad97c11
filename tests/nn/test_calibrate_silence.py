"""Nothing is no measurement: a site without a signal gets no range, and trains all the same."""

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

import photonjax as pj
from tests.nn.calibrated_layer import CORE, STATIC, X, unchanged


class Tuned(nnx.Module):
    """A frozen layer with a low-rank update, whose second factor is zero at the start."""

    def __init__(self, rngs):
        self.layer = nnx.LoRALinear(8, 4, lora_rank=2, rngs=rngs)

    def __call__(self, x):
        return self.layer(x)


class Head(nnx.Module):
    """Ends in a layer of zeros."""

    def __init__(self, rngs):
        self.up = nnx.Linear(8, 16, rngs=rngs)
        self.head = nnx.Linear(16, 4, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, x):
        return self.head(jnp.tanh(self.up(x)))


class Experts(nnx.Module):
    """The second expert sees no token."""

    def __init__(self, rngs):
        self.experts = nnx.List([nnx.Linear(8, 4, use_bias=False, rngs=rngs) for _ in range(2)])

    def __call__(self, x):
        return self.experts[0](x) + self.experts[1](jnp.zeros_like(x))


DIE = {"array": {"noise": 0.02}, "receiver": {"offset_error": 0.01}}


@pytest.mark.parametrize("die", [{}, DIE], ids=["ideal", "die"])
@pytest.mark.parametrize(
    "kind, silent",
    [(Tuned, "layer/lora/lora_b"), (Head, "head/kernel"), (Experts, "experts/1/kernel")],
)
def test_a_site_without_a_signal_is_named_and_left_alone(kind, silent, die):
    model, _ = pj.convert(kind(nnx.Rngs(0)), [pj.Rule("*", CORE.replace(**die))], noise=False)
    with pytest.warns(UserWarning, match=rf"no signal at {silent} \("):
        ranges = pj.calibrate(model, X)
    assert silent not in ranges and len(ranges) == len(list(pj.nnx.optical_dots(model))) - 1
    for path, dot in pj.nnx.optical_dots(model):
        assert (dot.adc_range is None) == (dot.range_paths(path) == [silent])


@pytest.mark.parametrize("kind, wrt", [(Tuned, nnx.LoRAParam), (Head, nnx.Param)])
def test_what_was_zero_while_calibrating_trains(kind, wrt):
    target = jnp.tanh(X @ jax.random.normal(jax.random.key(1), (8, 4)))

    def trained(calibrated):
        model, _ = pj.convert(kind(nnx.Rngs(0)), [pj.Rule("*", CORE)], noise=False)
        if calibrated:
            with pytest.warns(UserWarning, match="no signal"):
                pj.calibrate(model, X)
        optimizer = nnx.Optimizer(model, optax.adam(3e-2), wrt=wrt)

        @nnx.jit
        def step(model, optimizer):
            loss = lambda m: jnp.mean((m(X) - target) ** 2)
            value, grads = nnx.value_and_grad(loss, argnums=nnx.DiffState(0, wrt))(model)
            optimizer.update(model, grads)
            return value

        return [float(step(model, optimizer)) for _ in range(120)]

    without, with_ranges = trained(False), trained(True)
    assert with_ranges[0] == pytest.approx(without[0], rel=0.05)
    assert without[-1] < 0.5 * without[0]
    assert with_ranges[-1] < 0.5 * with_ranges[0]
    assert with_ranges[0] - with_ranges[-1] > 0.9 * (without[0] - without[-1])


def test_a_static_input_range_of_nothing_is_refused():
    model, _ = pj.convert(Experts(nnx.Rngs(0)), [pj.Rule("*", STATIC)], noise=False)
    with (
        unchanged(model),
        pytest.raises(ValueError, match="experts/1/kernel: input.scale is 'static'"),
    ):
        pj.calibrate(model, X)
    own = STATIC.replace(**{"input.range": 2.0})
    model, _ = pj.convert(Experts(nnx.Rngs(0)), [pj.Rule("*", own)], noise=False)
    with pytest.warns(UserWarning, match="experts/1/kernel"):
        assert pj.calibrate(model, X).keys() == {"experts/0/kernel"}
