"""Qwen2: Llama with biases on q, k and v. Qwen3: with norms of q and k instead, and with experts.

Sources: Qwen team, arXiv 2412.15115 and 2505.09388.
"""

from photonjax.models.family import (
    GGUF,
    GGUF_KEYS,
    GGUF_NAMES,
    HF_KEYS,
    HF_NAMES,
    Family,
    HuggingFace,
)

_LAYER, _BLOCK = "model.layers.{}.", "blk.{}."
_BIASES = {f"layers/{{}}/attn/{p}_proj/bias": p for p in "qkv"}
_NORMS = {f"layers/{{}}/attn/{p}_norm/scale": p for p in "qk"}
_QWEN3_NAMES = {
    **HF_NAMES,
    **{path: f"{_LAYER}self_attn.{p}_norm.weight" for path, p in _NORMS.items()},
}
_QWEN3_GGUF_NAMES = {
    **GGUF_NAMES,
    **{path: f"{_BLOCK}attn_{p}_norm.weight" for path, p in _NORMS.items()},
}
_EXPERTS = ("gate", "up", "down")

FAMILIES = [
    Family(
        flags=dict(qkv_bias=True),
        huggingface=HuggingFace(
            model_type="qwen2",
            architecture="Qwen2ForCausalLM",
            defaults=dict(max_length=32_768),
            names={
                **HF_NAMES,
                **{path: f"{_LAYER}self_attn.{p}_proj.bias" for path, p in _BIASES.items()},
            },
        ),
        gguf=GGUF(
            architecture="qwen2",
            names={
                **GGUF_NAMES,
                **{path: f"{_BLOCK}attn_{p}.bias" for path, p in _BIASES.items()},
            },
        ),
    ),
    Family(
        flags=dict(qk_norm=True),
        huggingface=HuggingFace(
            model_type="qwen3",
            architecture="Qwen3ForCausalLM",
            defaults=dict(max_length=32_768, head_dim=128),
            names=_QWEN3_NAMES,
        ),
        gguf=GGUF(architecture="qwen3", names=_QWEN3_GGUF_NAMES),
    ),
    Family(
        flags=dict(qk_norm=True),
        huggingface=HuggingFace(
            model_type="qwen3_moe",
            architecture="Qwen3MoeForCausalLM",
            keys={
                **HF_KEYS,
                "num_experts_per_tok": "experts_per_token",
                "num_experts": "num_experts",
                "num_local_experts": "num_experts",  # since transformers 5
                "moe_intermediate_size": "intermediate_size",
                "norm_topk_prob": "normalize_experts",
            },
            defaults=dict(max_length=32_768, normalize_experts=False),
            only={"decoder_sparse_step": (1,), "mlp_only_layers": ([], None)},
            names={
                **_QWEN3_NAMES,
                "layers/{}/mlp/router/kernel": _LAYER + "mlp.gate.weight",
                **{
                    f"layers/{{}}/mlp/{p}_proj/kernel": f"{_LAYER}mlp.experts.{{}}.{p}_proj.weight"
                    for p in _EXPERTS
                },
            },
        ),
        gguf=GGUF(  # gates sum to one: the format has no key for another choice
            architecture="qwen3moe",
            experts=True,
            keys={
                **{k: own for k, own in GGUF_KEYS.items() if k != "feed_forward_length"},
                "expert_feed_forward_length": "intermediate_size",
                "expert_count": "num_experts",
                "expert_used_count": "experts_per_token",
            },
            names={
                **_QWEN3_GGUF_NAMES,
                "layers/{}/mlp/router/kernel": _BLOCK + "ffn_gate_inp.weight",
                **{
                    f"layers/{{}}/mlp/{p}_proj/kernel": f"{_BLOCK}ffn_{p}_exps.weight"
                    for p in _EXPERTS
                },
            },
        ),
    ),
]
