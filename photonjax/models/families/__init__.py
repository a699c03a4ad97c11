"""The families of models that can be loaded, a file for each; every file lists what it reads in
``FAMILIES``.

To add one, write its file: the flags of `DecoderConfig` that make it, and how its files are written
(`photonjax.models.family`). Both loaders find it here.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from photonjax.models.family import Family

__all__ = ["families"]


@functools.cache
def families() -> tuple[Family, ...]:
    """All families.

    >>> [f.gguf.architecture for f in families() if f.gguf][:4]
    ['falcon', 'gemma', 'gemma2', 'gemma3']
    """
    files = sorted(file.name for file in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{file}") for file in files]
    return tuple(family for module in modules for family in module.FAMILIES)
