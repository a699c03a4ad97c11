"""GPT-2: a model of its own, see `photonjax.models.gpt2`.

Hugging Face's files keep kernels as [in, out]; GGUF's turn them, as those of all families.
"""

from photonjax.models.family import GGUF, Family, HuggingFace, names_with_biases
from photonjax.models.gpt2 import GPT2Config

_PARTS = {
    "attn_norm": ("ln_1", "attn_norm"),
    "attn/qkv_proj": ("attn.c_attn", "attn_qkv"),
    "attn/o_proj": ("attn.c_proj", "attn_output"),
    "mlp_norm": ("ln_2", "ffn_norm"),
    "mlp/up_proj": ("mlp.c_fc", "ffn_up"),
    "mlp/down_proj": ("mlp.c_proj", "ffn_down"),
}


FAMILIES = [
    Family(
        config=GPT2Config,
        huggingface=HuggingFace(
            model_type="gpt2",
            architecture="GPT2LMHeadModel",
            keys={
                "vocab_size": "vocab_size",
                "n_embd": "hidden_size",
                "n_inner": "intermediate_size",
                "n_layer": "num_layers",
                "n_head": "num_heads",
                "n_positions": "max_length",
                "layer_norm_epsilon": "norm_eps",
            },
            required=(
                "vocab_size",
                "n_embd",
                "n_layer",
                "n_head",
                "n_positions",
                "layer_norm_epsilon",
            ),
            only={
                "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
                "scale_attn_weights": (True,),
                "scale_attn_by_inverse_layer_idx": (False,),
                "tie_word_embeddings": (True,),
            },
            names=names_with_biases(
                _PARTS,
                {
                    "embed/embedding": "wte.weight",
                    "positions/embedding": "wpe.weight",
                    "norm/scale": "ln_f.weight",
                    "norm/bias": "ln_f.bias",
                },
                "h.{}.",
                0,
            ),
            prefix="transformer.",
            transposed=False,
        ),
        gguf=GGUF(
            architecture="gpt2",
            keys={
                "embedding_length": "hidden_size",
                "feed_forward_length": "intermediate_size",
                "block_count": "num_layers",
                "attention.head_count": "num_heads",
                "attention.layer_norm_epsilon": "norm_eps",
                "context_length": "max_length",
            },
            names=names_with_biases(
                _PARTS,
                {
                    "embed/embedding": "token_embd.weight",
                    "positions/embedding": "position_embd.weight",
                    "norm/scale": "output_norm.weight",
                    "norm/bias": "output_norm.bias",
                },
                "blk.{}.",
                1,
            ),
        ),
    ),
]
