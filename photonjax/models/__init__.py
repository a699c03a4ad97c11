"""Decoder transformers in Flax NNX, their weight loaders and tokenizers."""

from photonjax.models.config import DecoderConfig
from photonjax.models.decoder import Decoder
from photonjax.models.gguf import gguf_config, load_gguf
from photonjax.models.huggingface import huggingface_config, load_huggingface, save_huggingface
from photonjax.models.tokenizer import load_tokenizer, tokenizer_from_gguf
from photonjax.models.weights import CheckpointError, stack_layers, unstack_layers

__all__ = [
    "CheckpointError",
    "Decoder",
    "DecoderConfig",
    "gguf_config",
    "huggingface_config",
    "load_gguf",
    "load_huggingface",
    "load_tokenizer",
    "save_huggingface",
    "stack_layers",
    "tokenizer_from_gguf",
    "unstack_layers",
]
