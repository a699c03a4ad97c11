"""OLMo 2: norms after attention and MLP instead of before them, and of q and k across all heads.

Source: OLMo team, arXiv 2501.00656.
"""

from photonjax.models.family import (
    GGUF,
    GGUF_NAMES,
    HF_BIASES,
    HF_KEYS,
    HF_NAMES,
    Family,
    HuggingFace,
)

_POST_NORMS = {  # path: Hugging Face's name, GGUF's name
    "layers/{}/attn_post_norm/scale": (
        "model.layers.{}.post_attention_layernorm.weight",
        "blk.{}.post_attention_norm.weight",
    ),
    "layers/{}/mlp_post_norm/scale": (
        "model.layers.{}.post_feedforward_layernorm.weight",
        "blk.{}.post_ffw_norm.weight",
    ),
}

FAMILIES = [
    Family(
        flags=dict(pre_norms=False, post_norms=True, qk_norm=True, qk_norm_whole=True),
        huggingface=HuggingFace(
            model_type="olmo2",
            architecture="Olmo2ForCausalLM",
            keys={**HF_KEYS, **HF_BIASES},
            names={**HF_NAMES, **{path: names[0] for path, names in _POST_NORMS.items()}},
        ),
        gguf=GGUF(
            architecture="olmo2",
            names={**GGUF_NAMES, **{path: names[1] for path, names in _POST_NORMS.items()}},
        ),
    )
]
