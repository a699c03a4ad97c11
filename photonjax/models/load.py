"""A model, its tokenizer and its configuration by name or path, whatever kind of file they lie in."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from photonjax import data
from photonjax.models.abstract import ModelConfig
from photonjax.models.decoder import Decoder
from photonjax.models.gguf import gguf_config, load_gguf
from photonjax.models.gpt2 import GPT2
from photonjax.models.huggingface import huggingface_config, load_huggingface
from photonjax.models.tokenizer import load_tokenizer
from photonjax.models.weights import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["load", "load_config", "packaged_names"]


def packaged_names() -> list[str]:
    """The models that `load` fetches by name, each checked against its sha256.

    >>> "smollm2-135m-instruct" in packaged_names()
    True
    """
    return [name for name, file in data.ARTIFACTS.items() if file.filename.endswith(".gguf")]


def load(
    source: str | PathLike[str],
    *,
    scan_layers: bool = True,
    dtype: Any = jnp.float32,
    progress: bool = True,
) -> tuple[Decoder | GPT2, Tokenizer]:
    """A model with its weights, and its tokenizer.

    Args:
      source: the name of a packaged model (`packaged_names`), which is downloaded once and then
        taken from the cache; ``hub:OWNER/REPOSITORY[@REVISION][:FILE]``, a directory or a .gguf file
        of the Hugging Face hub; or the path of a .gguf file or of a Hugging Face directory.
      scan_layers: stack the layers and scan over them: programs compile in the time of one layer.
      dtype: of the weights and of the products' operands, float32 or bfloat16.
      progress: show a bar on stderr while downloading.

    Raises:
      CheckpointError: neither a name nor a path, a file that cannot be loaded, or too little memory.
      FetchError: a packaged model could not be downloaded.
      ImportError: the extra ``photonjax[models]`` is not installed.

    Example::

        model, tokenizer = pj.models.load("smollm2-135m-instruct")
        logits = model(jnp.asarray([tokenizer.encode("Light is fast.").ids]))
    """
    path = _path(source, progress)
    read = load_huggingface if path.is_dir() else load_gguf
    try:
        tokenizer = load_tokenizer(path)  # first: it is quick, and may be what is missing
        return read(path, scan_layers=scan_layers, dtype=dtype), tokenizer
    except MemoryError:  # not of the weights, whose loaders say more
        raise CheckpointError(
            f"{path}: too little memory to read it: a process or limit with more can"
        ) from None


def load_config(source: str | PathLike[str], *, progress: bool = True) -> ModelConfig:
    """The configuration of a model alone, without its weights.

    Args and errors: those of `load`. What a prefill of it multiplies::

        workload = pj.models.prefill_workload(pj.models.load_config("model.gguf"), tokens=8192)
    """
    path = _path(source, progress)
    return huggingface_config(path) if path.is_dir() else gguf_config(path)


def _path(source: str | PathLike[str], progress: bool) -> Path:
    packaged = str(source) in packaged_names()
    fetched = packaged or str(source).startswith("hub:")
    path = data.fetch(str(source), progress=progress) if fetched else Path(source)
    if not path.exists():
        raise CheckpointError(
            f"{source}: no such file or directory, no packaged model "
            f"({', '.join(packaged_names())}), and not hub:OWNER/REPOSITORY"
        )
    return path
