"""Where Hugging Face's files keep each family's parameters."""

from __future__ import annotations

from collections.abc import Iterable

from photonjax.models.abstract import ModelConfig
from photonjax.models.gpt2 import GPT2Config
from photonjax.models.weights import Layout

__all__ = ["layout_of"]

_LAYER = "model.layers.{}."
_NAMES = {
    "embed/embedding": "model.embed_tokens.weight",
    "norm/scale": "model.norm.weight",
    "head/kernel": "lm_head.weight",
    "layers/{}/attn_norm/scale": _LAYER + "input_layernorm.weight",
    "layers/{}/mlp_norm/scale": _LAYER + "post_attention_layernorm.weight",
    "layers/{}/attn/q_norm/scale": _LAYER + "self_attn.q_norm.weight",
    "layers/{}/attn/k_norm/scale": _LAYER + "self_attn.k_norm.weight",
    "layers/{}/mlp/router/kernel": _LAYER + "mlp.gate.weight",
}
for _name in ("attn/q_proj", "attn/k_proj", "attn/v_proj", "attn/o_proj"):
    _there = _LAYER + "self_" + _name.replace("/", ".")
    _NAMES[f"layers/{{}}/{_name}/kernel"] = _there + ".weight"
    _NAMES[f"layers/{{}}/{_name}/bias"] = _there + ".bias"
for _name in ("gate_proj", "up_proj", "down_proj"):
    _NAMES[f"layers/{{}}/mlp/{_name}/kernel"] = _LAYER + f"mlp.{_name}.weight"
_POST_NORM_NAMES = {
    "layers/{}/attn_post_norm/scale": _LAYER + "post_attention_layernorm.weight",
    "layers/{}/mlp_norm/scale": _LAYER + "pre_feedforward_layernorm.weight",
    "layers/{}/mlp_post_norm/scale": _LAYER + "post_feedforward_layernorm.weight",
}
_EXPERT_NAMES = {
    f"layers/{{}}/mlp/{name}/kernel": _LAYER + f"mlp.experts.{{}}.{name}.weight"
    for name in ("gate_proj", "up_proj", "down_proj")
}
_MIXTRAL_NAMES = {
    "layers/{}/mlp/router/kernel": _LAYER + "block_sparse_moe.gate.weight",
    "layers/{}/mlp/gate_proj/kernel": _LAYER + "block_sparse_moe.experts.{}.w1.weight",
    "layers/{}/mlp/up_proj/kernel": _LAYER + "block_sparse_moe.experts.{}.w3.weight",
    "layers/{}/mlp/down_proj/kernel": _LAYER + "block_sparse_moe.experts.{}.w2.weight",
}
_GPT2_NAMES = {
    "embed/embedding": "wte.weight",
    "positions/embedding": "wpe.weight",
    "norm/scale": "ln_f.weight",
    "norm/bias": "ln_f.bias",
}
for _ours, _theirs in {
    "attn_norm": "ln_1",
    "attn/qkv_proj": "attn.c_attn",
    "attn/o_proj": "attn.c_proj",
    "mlp_norm": "ln_2",
    "mlp/up_proj": "mlp.c_fc",
    "mlp/down_proj": "mlp.c_proj",
}.items():
    _weight = "scale" if _ours.endswith("norm") else "kernel"
    _GPT2_NAMES[f"layers/{{}}/{_ours}/{_weight}"] = f"h.{{}}.{_theirs}.weight"
    _GPT2_NAMES[f"layers/{{}}/{_ours}/bias"] = f"h.{{}}.{_theirs}.bias"


def layout_of(config: ModelConfig, names: Iterable[str]) -> Layout:
    """Where the files of a configuration's family keep its parameters.

    Args:
      config: of the model.
      names: of the tensors that are there; some families have been written in two ways.
    """
    names = list(names)
    if isinstance(config, GPT2Config):
        start = "transformer." if any(name.startswith("transformer.") for name in names) else ""
        return Layout({own: start + name for own, name in _GPT2_NAMES.items()}, transposed=False)
    table = dict(_NAMES)
    if config.post_norms:
        table |= _POST_NORM_NAMES
    if config.num_experts is not None:
        table |= _MIXTRAL_NAMES if any(".block_sparse_moe." in n for n in names) else _EXPERT_NAMES
    return Layout(table)
