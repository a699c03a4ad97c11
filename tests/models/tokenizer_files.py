"""GGUF files whose tokenizer is of bytes and merges."""

import gguf
from tokenizers import pre_tokenizers

from tests.models.gguf_files import finish

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = ["Ġ t", "h e", "Ġt he", "1 2", "Ġ 1", "Ġ Ġ"]
SPECIAL = ["<|endoftext|>", "<|im_start|>"]


def write(path, *, model="gpt2", pre="smollm", merges=MERGES, bos=None):
    """Writes a file with a byte-level vocabulary and a few merges."""
    tokens = SPECIAL + ALPHABET + [merge.replace(" ", "") for merge in MERGES] + ["<own>"]
    kinds = [3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL) - 1) + [4]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    if bos is not None:
        writer.add_bos_token_id(bos)
        writer.add_add_bos_token(True)
    finish(writer)
    return path
