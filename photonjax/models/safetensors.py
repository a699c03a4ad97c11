"""Reading and writing safetensors files one tensor at a time, memory-mapped, in little memory.

The format is eight bytes of header length, a JSON header and the tensors' bytes
(https://huggingface.co/docs/safetensors). It is read here directly, because bfloat16 must come
without torch and pages already copied must be handed back to the system: a checkpoint larger than
memory otherwise stays mapped as a whole.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from photonjax.files import whole_file
from photonjax.models.weights import CheckpointError, overlapping

__all__ = ["SafetensorsFile", "TwiceError", "once", "write_safetensors"]

_DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
_BLOCK = 8 << 20  # bytes copied between two releases of pages
_HEADER_LIMIT = 100 << 20  # bytes; the format's own limit


class TwiceError(ValueError):
    """A key that a JSON object has twice."""


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys differ, for `json.loads`; TwiceError with the first that does not.

    >>> json.loads('{"a": 1, "b": 2}', object_pairs_hook=once)
    {'a': 1, 'b': 2}
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise TwiceError(repr(name))
        found[name] = value
    return found


class SafetensorsFile:
    """One memory-mapped file: the shapes of its tensors, and a way to copy each out.

    Args:
      path: of the file.
      ignored: endings of the names of tensors that are passed over, whatever they are.

    Attributes:
      shapes: tensor name to shape.

    Raises:
      CheckpointError: missing, truncated, corrupt, or with a tensor that is not floating-point.
    """

    def __init__(self, path: Path, *, ignored: tuple[str, ...] = ()) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                length = int.from_bytes(file.read(8), "little")
                if size < 8 or length > min(size - 8, _HEADER_LIMIT):
                    raise self._corrupt("the header is longer than the file")
                header = json.loads(file.read(length), object_pairs_hook=once)
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error.strerror}): fetch the file"
            ) from None
        except CheckpointError:
            raise
        except TwiceError as error:
            raise self._corrupt(f"tensor {error} is there twice") from None
        except (ValueError, RecursionError):
            raise self._corrupt("the header is not JSON") from None
        if not isinstance(header, dict):
            raise self._corrupt("the header is no JSON object")
        self._tensors: dict[str, tuple[np.dtype, tuple[int, ...], int]] = {}
        extents: dict[str, tuple[int, int]] = {}
        start = 8 + length
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            try:
                kind, shape, (first, last) = (
                    entry[key] for key in ("dtype", "shape", "data_offsets")
                )
                whole = all(type(n) is int for n in (first, last, *shape))
            except (KeyError, TypeError, ValueError):
                whole = False
            if not whole or not isinstance(kind, str):
                raise self._corrupt(f"tensor {name!r} has no valid entry")
            shape = tuple(shape)
            extents[name] = (first, last)
            if name.endswith(ignored):
                continue
            if kind not in _DTYPES:
                raise CheckpointError(
                    f"{path}: tensor {name!r} is {kind}, not one of {', '.join(_DTYPES)}: "
                    "dequantize it first"
                )
            if (
                min(shape, default=0) < 0
                or first < 0
                or last - first != math.prod(shape) * _DTYPES[kind].itemsize
            ):
                raise self._corrupt(
                    f"tensor {name!r} has {last - first} bytes for {kind}{list(shape)}"
                )
            if first % _DTYPES[kind].itemsize:
                raise self._corrupt(
                    f"tensor {name!r} of {kind} begins at {first}, not a multiple of "
                    f"{_DTYPES[kind].itemsize} bytes"
                )
            if start + last > size:
                raise self._corrupt(f"tensor {name!r} ends after the file does")
            self._tensors[name] = (_DTYPES[kind], shape, start + first)
        if (pair := overlapping(extents)) is not None:
            raise self._corrupt(f"tensors {pair[0]!r} and {pair[1]!r} overlap")
        at = 0
        for name, (first, last) in sorted(extents.items(), key=lambda item: item[1]):
            if first != at:
                raise self._corrupt(
                    f"tensor {name!r} begins at {first}, but the one before ends at {at}"
                )
            at = last
        if start + at < size:
            raise self._corrupt(f"{size - start - at:,} bytes follow the last tensor")

    def _corrupt(self, why: str) -> CheckpointError:
        return CheckpointError(
            f"{self.path}: truncated or corrupt safetensors ({why}): fetch it again"
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor name to shape."""
        return {name: shape for name, (_, shape, _) in self._tensors.items()}

    def copy(self, name: str, out: np.ndarray) -> None:
        """Copies a tensor, cast, into `out` of the same shape (any strides), block by block."""
        dtype, shape, offset = self._tensors[name]
        source = np.frombuffer(self._map, dtype, math.prod(shape), offset).reshape(shape)
        rows = max(1, _BLOCK // max(1, source[:1].nbytes))
        for row in range(0, shape[0], rows):
            block = source[row : row + rows]
            np.copyto(out[row : row + rows], block, casting="unsafe")
            self._release(offset + row * source[:1].nbytes, block.nbytes)

    def _release(self, start: int, size: int) -> None:
        if hasattr(
            mmap, "MADV_DONTNEED"
        ):  # not on Windows: there the system drops pages by itself when it needs to
            page = start - start % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, page, start + size - page)


def write_safetensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: Any, read: Callable[[str], np.ndarray]
) -> None:
    """Writes tensors of one dtype, by ``read(name)``; the file appears whole, or not."""
    dtype = np.dtype(dtype)
    kind = {value: key for key, value in _DTYPES.items()}[dtype]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with whole_file(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in shapes:
            file.write(np.ascontiguousarray(read(name), dtype).view(np.uint8).data)
