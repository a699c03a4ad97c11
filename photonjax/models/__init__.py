"""Transformers in Flax NNX, their published shapes, weight loaders and tokenizers."""

from photonjax.models.abstract import abstract_model
from photonjax.models.config import DecoderConfig, LongRopeScaling, RopeScaling, YarnScaling
from photonjax.models.decoder import Decoder
from photonjax.models.gguf import load_gguf
from photonjax.models.gpt2 import GPT2, GPT2Config
from photonjax.models.huggingface import load_huggingface, save_huggingface
from photonjax.models.load import load, load_config, packaged_names
from photonjax.models.shapes import named, names, widened
from photonjax.models.tokenizer import load_tokenizer
from photonjax.models.weights import CheckpointError, stack_layers, unstack_layers
from photonjax.models.workloads import decode_workload, prefill_workload

__all__ = [
    "GPT2",
    "CheckpointError",
    "Decoder",
    "DecoderConfig",
    "GPT2Config",
    "LongRopeScaling",
    "RopeScaling",
    "YarnScaling",
    "abstract_model",
    "decode_workload",
    "load",
    "load_config",
    "load_gguf",
    "load_huggingface",
    "load_tokenizer",
    "named",
    "names",
    "packaged_names",
    "prefill_workload",
    "save_huggingface",
    "stack_layers",
    "unstack_layers",
    "widened",
]
