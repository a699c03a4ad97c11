"""A PyTorch model on light: torchax turns the module into a JAX function, `pj.optical` does the rest.

Opt-in: install the `parity` extra and run ``pytest -m parity tests/parity``. In a program of one's own the
whole is::

    states, forward = torchax.extract_jax(module.eval())     # names and arrays; a JAX function
    g = pj.optical(lambda states, x: forward(states, (x,)), [pj.Rule("*.weight", core)])
    y = jax.jit(g)(key, states, x)

Products carry the names of the module's own parameters (``model.layers.0.mlp.up_proj.weight``), and the
trained states go back with ``module.load_state_dict``.
"""

import importlib.util
import pathlib
import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import photonjax as pj

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

CORE = pj.OpticalCore(rows=16, cols=16, photons=1e3, array={"noise": 0.02})
EXACT = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def torchax():
    """The package, on a torch that may be newer than it knows.

    torchax 0.0.13 lists overloads of named tensors (``aten::prod.dim_Dimname``), which torch 2.13 no longer
    has, and so cannot be imported. They are only listed: declaring them is enough.
    """
    found = importlib.util.find_spec("torchax")
    if found is None:
        pytest.skip("torchax is not installed")
    text = "".join(path.read_text() for path in pathlib.Path(found.origin).parent.rglob("*.py"))
    library = torch.library.Library("aten", "FRAGMENT")
    for name, overload in sorted(set(re.findall(r"torch\.ops\.aten\.(\w+)\.(\w+)", text))):
        named = re.search("names|dimname", overload, re.IGNORECASE)
        if named and not hasattr(getattr(torch.ops.aten, name), overload):
            library.define(f"{name}.{overload}(Tensor self) -> Tensor")
    import torchax

    yield torchax
    del library


class Mixer(torch.nn.Module):
    """Convolution, feed-forward and attention of torch's own."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(8, 8, 3, padding=1)
        self.norm = torch.nn.LayerNorm(8)
        self.up = torch.nn.Linear(8, 16)
        self.down = torch.nn.Linear(16, 8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        x = x + self.conv(x.transpose(1, 2)).transpose(1, 2)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return x + self.down(torch.nn.functional.gelu(self.up(self.norm(x))))


def extracted(torchax, module):
    states, forward = torchax.extract_jax(module.eval())
    return states, lambda states, x: forward(states, (x,))


def test_a_module_of_layers(torchax):
    torch.manual_seed(0)
    module = Mixer()
    x = jax.random.normal(jax.random.key(0), (2, 5, 8))
    states, f = extracted(torchax, module)
    with torch.no_grad():
        theirs = module(torch.tensor(np.asarray(x))).numpy()
    assert set(states) == set(dict(module.named_parameters()))
    np.testing.assert_allclose(f(states, x), theirs, atol=1e-5)

    g = pj.optical(f, [pj.Rule("*weight", CORE)])
    report = g.report(states, x)
    names = ["conv.weight", "attention.in_proj_weight", "attention.out_proj.weight"]
    assert sorted(s.path for s in report.optical) == sorted([*names, "up.weight", "down.weight"])
    assert all(not s.stationary for s in report.digital)
    exact = jax.jit(pj.optical(f, [pj.Rule("*weight", EXACT)]))
    np.testing.assert_allclose(exact(KEY, states, x), theirs, atol=1e-4)
    assert np.abs(jax.jit(g)(KEY, states, x) - theirs).max() > 1e-2

    loss = lambda g: jax.jit(jax.grad(lambda s: (g(s, x) ** 2).sum()))
    slopes = loss(lambda s, x: pj.optical(f, [pj.Rule("*weight", EXACT)])(KEY, s, x))(states)
    wanted = loss(f)(states)
    for name in states:
        np.testing.assert_allclose(slopes[name], wanted[name], rtol=1e-3, atol=1e-3, err_msg=name)


def test_linear_is_the_product_by_hand(torchax):
    module = torch.nn.Linear(8, 4, bias=False)
    states, f = extracted(torchax, module)
    x = jax.random.normal(jax.random.key(0), (5, 8))
    site = zlib.crc32(b"weight")
    key = jax.random.fold_in(jax.random.fold_in(KEY, site), 0)
    by_hand = pj.optical_dot_general(
        x, states["weight"], (((1,), (1,)), ((), ())), core=CORE, key=key, site=site
    )
    g = pj.optical(f, [pj.Rule("weight", CORE)])
    np.testing.assert_allclose(g(KEY, states, x), by_hand, rtol=1e-6, atol=1e-6)
    # torch's own function, and torchax's compiled one, stay digital
    np.testing.assert_allclose(f(states, x), x @ jnp.asarray(states["weight"]).T, atol=1e-5)


def test_a_llama_of_transformers(torchax):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=11, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2,
        tie_word_embeddings=False,
    )  # fmt: skip
    module = transformers.LlamaForCausalLM(config).eval()
    tokens = jnp.arange(6)[None]  # of JAX: torchax takes no other arrays
    states, forward = torchax.extract_jax(module)
    f = lambda states, tokens: forward(states, (tokens,), {"use_cache": False})["logits"]
    with torch.no_grad():
        theirs = module(torch.tensor(np.asarray(tokens)), use_cache=False).logits.numpy()
    np.testing.assert_allclose(f(states, tokens), theirs, atol=1e-4)
    rules = [pj.Rule("*_proj.weight", CORE), pj.Rule("lm_head.weight", CORE)]
    g = pj.optical(f, rules)
    report = g.report(states, tokens)
    assert len(report.optical) == 2 * 7 + 1
    print(f"\n{report}")
    light = jax.jit(g)(KEY, states, tokens)
    assert np.isfinite(light).all() and np.abs(light - theirs).max() > 1e-2
    exact = pj.optical(f, [pj.Rule("*_proj.weight", EXACT), pj.Rule("lm_head.weight", EXACT)])
    np.testing.assert_allclose(jax.jit(exact)(KEY, states, tokens), theirs, atol=1e-3)
