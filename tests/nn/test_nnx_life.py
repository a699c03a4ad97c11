"""A converted model is trained, checkpointed, exported, and given back."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

import photonjax as pj
from photonjax.nn.convert import revert

CORE = pj.OpticalCore(rows=16, cols=16, photons=500.0, array={"noise": 0.01}, adc={"bits": None})
X = jax.random.normal(jax.random.key(0), (32, 6))
Y = jnp.tanh(X @ jax.random.normal(jax.random.key(1), (6, 3)))


class Net(nnx.Module):
    def __init__(self, rngs):
        self.up = nnx.Linear(6, 16, rngs=rngs)
        self.lora = nnx.LoRALinear(16, 3, lora_rank=2, rngs=rngs)

    def __call__(self, x):
        return self.lora(nnx.relu(self.up(x)))


def converted(seed=0, **options):
    model = Net(nnx.Rngs(seed))
    optical, _ = pj.convert(model, [pj.Rule("*", CORE)], **options)
    return model, optical


def loss(model, x, y):
    return jnp.mean((model(x) - y) ** 2)


@nnx.jit
def step(model, optimizer, x, y):
    value, grads = nnx.value_and_grad(loss)(model, x, y)
    optimizer.update(model, grads)
    return value


@nnx.jit
def run(model, x):
    return model(x)


def arrays(tree):
    return [
        np.asarray(jax.random.key_data(v) if jnp.issubdtype(v.dtype, jax.dtypes.prng_key) else v)
        for v in jax.tree.leaves(tree)
    ]


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.slow
def test_training():
    model, optical = converted()
    optimizer = nnx.Optimizer(optical, optax.adam(1e-2), wrt=nnx.Param)
    hardware = nnx.state(optical, pj.nnx.HardwareParam)
    losses = [step(optical, optimizer, X, Y) for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.3 * np.mean(losses[:3])
    same(nnx.state(optical, pj.nnx.HardwareParam), hardware)  # the machine is not trained
    back = revert(optical)
    same(nnx.state(back), nnx.state(optical, nnx.Param))
    assert nnx.graphdef(back) == nnx.graphdef(model)
    assert loss(back, X, Y) < 0.3 * losses[0]  # what was learned on light holds without it


@pytest.mark.slow
def test_training_of_lora_alone():
    model, optical = converted()
    optimizer = nnx.Optimizer(optical, optax.sgd(0.1), wrt=nnx.LoRAParam)
    before = arrays(nnx.state(optical, nnx.LoRAParam))
    only = nnx.DiffState(0, nnx.LoRAParam)
    grads = nnx.jit(nnx.grad(loss, argnums=only))(optical, X, Y)
    optimizer.update(optical, grads)
    after = arrays(nnx.state(optical, nnx.LoRAParam))
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    np.testing.assert_array_equal(optical.up.kernel[...], model.up.kernel[...])


@pytest.mark.slow
def test_a_checkpoint_of_a_converted_model(tmp_path):
    _, optical = converted(key=jax.random.key(5))
    run(optical, X)  # the noise has moved on
    graph, state = nnx.split(optical)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
        found = checkpointer.restore(tmp_path / "state", abstract)
    same(found, state)
    again = nnx.merge(graph, found)
    np.testing.assert_array_equal(run(again, X), run(optical, X))  # the same noise from here on


@pytest.mark.slow
def test_checkpoints_go_either_way(tmp_path):
    trained = Net(nnx.Rngs(7))
    _, optical = converted(seed=3, noise=False)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "digital", nnx.state(trained, nnx.Param))
        checkpointer.save(tmp_path / "optical", nnx.state(optical, nnx.Param))
        checkpointer.wait_until_finished()

        def restore(name, model):
            abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, nnx.state(model, nnx.Param))
            nnx.update(model, checkpointer.restore(tmp_path / name, abstract))

        light = np.asarray(run(optical, X))
        blank = Net(nnx.Rngs(8))
        restore("optical", blank)  # into a digital model
        same(nnx.state(blank), nnx.state(optical, nnx.Param))
        restore("digital", optical)  # into a converted one
    same(nnx.state(optical, nnx.Param), nnx.state(trained))
    expected, _ = pj.convert(trained, [pj.Rule("*", CORE)], noise=False)
    np.testing.assert_array_equal(run(optical, X), run(expected, X))
    assert (run(optical, X) != light).any()


def exported():
    _, optical = converted(key=jax.random.key(6))
    graph, state = nnx.split(optical)
    leaves, tree = jax.tree.flatten(state)

    def forward(leaves, x):
        return nnx.merge(graph, jax.tree.unflatten(tree, leaves))(x)

    y = jax.jit(forward)(leaves, X)
    reference = run(revert(optical), X)
    assert 0 < jnp.abs(y - reference).max() < jnp.abs(reference).max()  # noise, and a product
    return jax.export.export(jax.jit(forward))(leaves, X), leaves, y


@pytest.mark.slow
def test_export():
    program, leaves, y = exported()
    np.testing.assert_array_equal(program.call(leaves, X), y)
    text = program.mlir_module()
    assert "stablehlo" in text and "CustomCall" not in text


@pytest.mark.slow
def test_export_to_bytes():
    pytest.importorskip("flatbuffers")  # what jax.export writes; not among JAX's dependencies
    program, leaves, y = exported()
    again = jax.export.deserialize(program.serialize())
    np.testing.assert_array_equal(again.call(leaves, X), y)
