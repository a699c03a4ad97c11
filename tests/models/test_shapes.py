"""Published shapes: their numbers of parameters, and what a prefill of them multiplies."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from photonjax.models import (
    DecoderConfig,
    abstract_model,
    named,
    names,
    prefill_workload,
)
from photonjax.models.attention import BLOCK, SEGMENTS
from photonjax.workload import trace_workload

# Parameters, as the Hugging Face hub counts them in each repository's safetensors; of gemma-3-4b and
# 27b the text tower, as the sum over its tensors; of Pythia those of the paper, table 1.
PARAMETERS = {
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "llama-3-405b": 405_853_388_800,
    "qwen3-0.6b": 596_049_920,
    "qwen3-8b": 8_190_735_360,
    "qwen3-32b": 32_762_123_264,
    "qwen3-30b-a3b": 30_532_122_624,
    "gemma-3-270m": 268_098_176,
    "gemma-3-1b": 999_885_952,
    "gemma-3-4b": 3_880_263_168,
    "gemma-3-27b": 27_009_346_304,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "pythia-160m": 162_322_944,
    "pythia-410m": 405_334_016,
    "pythia-1.4b": 1_414_647_808,
    "pythia-6.9b": 6_857_302_016,
    "gpt2": 124_439_808,
    "smollm2-135m": 134_515_008,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters(name):
    leaves = jax.tree.leaves(nnx.state(abstract_model(named(name)), nnx.Param))
    assert sum(math.prod(leaf.shape) for leaf in leaves) == PARAMETERS[name]


def test_every_name_has_a_published_number_of_parameters():
    assert set(names()) == set(PARAMETERS)


def test_an_unknown_name_is_refused_with_a_hint():
    with pytest.raises(
        ValueError, match=r"model 'llama3-8b' is not known: did you mean 'llama-3-8b'"
    ):
        prefill_workload("llama3-8b", tokens=8)
    with pytest.raises(ValueError, match=r"tokens=0: must be an integer"):
        prefill_workload("gpt2", tokens=0)
    with pytest.raises(ValueError, match=r"max_length=1024"):
        prefill_workload("gpt2", tokens=1025)


def stationary(c: DecoderConfig, rows: int, last: int) -> int:
    """Multiply-accumulates of all products with a parameter."""
    attention = c.hidden_size * c.head_dim * (2 * c.num_heads + 2 * c.num_kv_heads)
    mlp = (
        (3 if c.gated_mlp else 2) * c.hidden_size * c.intermediate_size * (c.experts_per_token or 1)
    )
    router = c.hidden_size * (c.num_experts or 0)
    layers = c.num_layers * (attention + mlp + router)
    return rows * layers + last * c.hidden_size * c.vocab_size


def attended(length: int, heads: int, window: int | None = None) -> int:
    """Keys that blockwise attention multiplies with, summed over the query rows of one sequence."""
    rows = BLOCK
    seen = length if window is None else min(length, window + BLOCK)
    while rows > 16 and 4 * heads * rows * seen > 32 << 20:
        rows //= 2
    blocks = math.ceil(length / rows)
    step = rows * math.ceil(blocks / SEGMENTS)
    total = 0
    for first in range(0, length, rows):
        segment = first // step * step
        end = min(segment + step, length)
        size = min(rows, length - first)
        if window is None or window >= length:
            total += size * end
        else:
            total += size * min(end - max(0, segment + 1 - window), size + window - 1)
    return total


@pytest.mark.parametrize("tokens", [1024, 5000 * 64])
def test_without_a_window_nine_sixteenths_of_the_square_are_executed(tokens):
    """Eight segments: Σ i/64 for i = 1 ... 8; the causal half plus its corners."""
    assert attended(tokens, 1) * 16 == tokens**2 * 9


@pytest.mark.parametrize("tokens", [192, 8192])
@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"gpt2", "pythia-160m", "pythia-410m"}))
def test_macs_equal_the_closed_form(name, tokens):
    """To the digit, for every family: grouped queries, windows, experts and the head."""
    c, batch = named(name), 2
    workload = prefill_workload(name, tokens=tokens, batch=batch)
    assert workload.unsupported == []
    held = [site for site in workload.matmuls if site.stationary]
    assert sum(site.macs for site in held) == stationary(c, batch * tokens, batch)
    per_key = batch * c.num_heads * c.head_dim * 2  # both products
    windows = [c.sliding_window if c.local(i) else None for i in range(c.num_layers)]
    expected = per_key * sum(attended(tokens, batch * c.num_heads, window) for window in windows)
    assert workload.macs - sum(site.macs for site in held) == expected


@pytest.mark.parametrize("tokens", [100, 1024])
def test_gpt2_equals_its_closed_form(tokens):
    c = named("gpt2")
    workload = prefill_workload("gpt2", tokens=tokens, last_only=False)
    held = tokens * (c.num_layers * 12 * c.hidden_size**2 + c.hidden_size * c.vocab_size)
    dynamic = 2 * c.num_layers * c.hidden_size * attended(tokens, c.num_heads)
    assert workload.macs == held + dynamic


def test_logits_everywhere_add_the_head_at_every_position():
    everywhere, last = (
        prefill_workload("smollm2-135m", tokens=300, last_only=flag) for flag in (False, True)
    )
    assert everywhere.macs - last.macs == 299 * 576 * 49_152


def test_a_period_of_layers_counts_like_layers_one_by_one():
    config = dataclasses.replace(named("gemma-3-1b"), num_layers=8)
    merged = prefill_workload(config, tokens=2000)
    assert [s.count for s in merged.matmuls if s.path.endswith("up_proj/kernel")] == [8]
    graph, state = nnx.split(abstract_model(config, scan_layers=False))
    tokens = jax.ShapeDtypeStruct((1, 2000), jnp.int32)
    unrolled = trace_workload(lambda s, t: nnx.merge(graph, s)(t, last_only=True), state, tokens)
    assert unrolled.macs == merged.macs
    paths = {s.path for s in unrolled.matmuls}
    assert {"layers/5/attn/scores", "layers/7/attn/values", "layers/0/mlp/up_proj/kernel"} <= paths


def test_405_billion_parameters_at_128k_make_a_small_program():
    """Nothing is allocated, and the program that is walked does not grow with the model."""

    def equations(jaxpr) -> int:
        inner = jax.extend.core.jaxprs_in_params
        return sum(
            1 + sum(equations(getattr(j, "jaxpr", j)) for j in inner(eqn.params))
            for eqn in jaxpr.eqns
        )

    def size(name, tokens):
        graph, state = nnx.split(abstract_model(named(name)))
        shape = jax.ShapeDtypeStruct((1, tokens), jnp.int32)
        return equations(jax.make_jaxpr(lambda s, t: nnx.merge(graph, s)(t))(state, shape).jaxpr)

    before = sum(a.nbytes for a in jax.live_arrays())
    workload = prefill_workload("llama-3-405b", tokens=131_072)
    assert sum(a.nbytes for a in jax.live_arrays()) - before < 1 << 20
    assert size("llama-3-405b", 131_072) == size("llama-3-8b", 8192) < 1000
    # 405 billion parameters less the embedding table, once per token; attention on top
    held = sum(site.macs for site in workload.matmuls if site.stationary)
    assert held == pytest.approx(131_072 * (405.85e9 - 2 * 128_256 * 16_384), rel=1e-3)
