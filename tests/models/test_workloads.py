"""What decoding multiplies, from shapes alone: against closed forms."""

from __future__ import annotations

import dataclasses

import pytest

from photonjax.models import DecoderConfig, decode_workload
from photonjax.models.workloads import CACHES

TINY = DecoderConfig(
    vocab_size=64, hidden_size=32, intermediate_size=96, num_layers=3, num_heads=4, num_kv_heads=2
)


FAMILIES = {
    "llama": {},
    "gpt-neox": dict(
        parallel=True,
        layer_norm=True,
        gated_mlp=False,
        activation="gelu",
        rotary_dim=4,
        o_bias=True,
    ),
    "falcon": dict(parallel=True, shared_norm=True, layer_norm=True, gated_mlp=False),
    "olmo 2": dict(pre_norms=False, post_norms=True, qk_norm=True, qk_norm_whole=True),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_decode_step_multiplies_every_weight_and_all_of_its_cache_once(family):
    B, L, c = 5, 40, dataclasses.replace(TINY, **FAMILIES[family])
    workload = decode_workload(c, context=L, batch=B)
    per_layer = c.hidden_size * c.head_dim * (2 * c.num_heads + 2 * c.num_kv_heads)
    per_layer += (3 if c.gated_mlp else 2) * c.hidden_size * c.intermediate_size
    weights = c.num_layers * per_layer + c.hidden_size * c.vocab_size
    cached = (
        c.num_layers * 2 * c.num_heads * c.head_dim * L
    )  # every query head meets its group's cache
    assert workload.macs == B * (weights + cached)
    assert all(site.stationary for site in workload.matmuls)
    caches = [s for s in workload.matmuls if s.path in CACHES]
    read = sum(s.count * s.batch * s.K * s.N for s in caches)
    assert read == c.num_layers * 2 * B * c.num_kv_heads * c.head_dim * L


def test_a_decode_step_refuses_attention_that_it_does_not_know():
    with pytest.raises(ValueError, match="another kind"):
        decode_workload("gemma-3-1b", context=8)
    with pytest.raises(ValueError, match="another kind"):
        decode_workload(dataclasses.replace(TINY, no_rope_every=4), context=8)
