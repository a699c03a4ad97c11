"""Arrays of a training kept on disk, whole or not at all, so that an interrupted one goes on."""

from __future__ import annotations

import io
import pathlib
import zipfile
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.errors import UserError
from photonjax.files import write_whole

Tree = TypeVar("Tree")


def write_arrays(path: pathlib.Path, **arrays: Any) -> None:
    """Write arrays to one .npz file.

    Raises:
      UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_whole(path, content.getvalue())
    except OSError as error:
        raise UserError(
            f"results_dir: cannot write {path} ({error.strerror}); free space, or choose another with "
            "results_dir=PATH"
        ) from None


def write_state(path: pathlib.Path, done: int, state: Any) -> None:
    """Write the leaves of a pytree, and how many steps it has behind it."""
    leaves = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    write_arrays(path, done=np.asarray(done), **leaves)


def read_state(path: pathlib.Path, state: Tree) -> tuple[int, Tree]:
    """Steps done and the state after them; none, and the state given, where there is no file.

    Raises:
      UserError: the file holds something else.
    """
    if not path.exists():
        return 0, state
    leaves, structure = jax.tree.flatten(state)
    try:
        with np.load(path) as arrays:
            found = [jnp.asarray(arrays[str(i)]) for i in range(len(leaves))]
            if [f.shape for f in found] != [jnp.shape(leaf) for leaf in leaves]:
                raise ValueError("other shapes")
            return int(arrays["done"]), jax.tree.unflatten(structure, found)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"results_dir: {path} is no training that was begun ({error!r}); delete it"
        ) from None
