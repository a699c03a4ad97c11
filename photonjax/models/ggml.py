"""Reading a GGUF file: metadata and tensors, memory-mapped, checked against the file's size.

The quantized formats are decoded by the `gguf` package. Its reader is not used: it believes every
count in the file (a broken one hangs it) and takes seconds over a tokenizer's 100,000 strings.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2, 3, little-endian).
"""

from __future__ import annotations

import math
import mmap
import struct
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from photonjax.extras import need
from photonjax.models.weights import CheckpointError, overlapping

__all__ = ["GGUFFile"]

_SCALARS = dict(enumerate(["B", "b", "H", "h", "I", "i", "f", "?"])) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_DIMENSIONS = 4  # most that a tensor has


class _CorruptError(Exception):
    """What is wrong with the file, in words."""


class GGUFFile:
    """An open GGUF file.

    Args:
      path: of the file.

    Attributes:
      metadata: key to value; arrays are lists.
      shapes: tensor name to shape, slowest axis first as in numpy.

    Raises:
      CheckpointError: missing, truncated or corrupt.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                magic = file.read(4)
                if magic != b"GGUF":
                    raise CheckpointError(
                        f"{path}: not a GGUF file (starts with {magic!r}): give a whole .gguf file"
                    )
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error.strerror}): give the path of a .gguf file"
            ) from None
        self._at = 4
        try:
            self.metadata: dict[str, Any] = {}
            self._tensors: dict[str, tuple[Any, tuple[int, ...], int, int]] = {}
            self._parse()
        except (struct.error, UnicodeDecodeError, _CorruptError) as error:
            why = error if isinstance(error, _CorruptError) else "it ends early or holds nonsense"
            raise CheckpointError(
                f"{path}: truncated or corrupt GGUF ({why}): fetch it again"
            ) from None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor name to shape."""
        return {name: shape for name, (_, shape, _, _) in self._tensors.items()}

    def get(self, key: str, default: Any = ...) -> Any:
        """A metadata value; CheckpointError if the key is absent and has no default."""
        if key not in self.metadata and default is ...:
            raise CheckpointError(f"{self.path}: metadata key {key!r} is missing: convert it again")
        return self.metadata.get(key, default)

    def check_kinds(self) -> None:
        """Refuses what `gguf` cannot dequantize: tries one row of each tensor."""
        quants = need("gguf", "models").quants
        for name, (kind, _, start, row) in self._tensors.items():
            try:
                quants.dequantize(np.frombuffer(self._data, np.uint8, row, start)[None], kind)
            except NotImplementedError:
                raise CheckpointError(
                    f"{self.path}: tensor {name!r}: quantization {kind.name} is not supported: "
                    "use a file in F16, BF16, Q8_0 or a K-quant"
                ) from None

    def dequantized(self, name: str) -> np.ndarray:
        """A tensor in float32."""
        quants = need("gguf", "models").quants
        kind, shape, start, row = self._tensors[name]
        rows = math.prod(shape[:-1])
        data = np.frombuffer(self._data, np.uint8, rows * row, start).reshape(rows, row)
        return quants.dequantize(data, kind).reshape(shape)

    def same(self, one: str, other: str) -> bool:
        """Whether two tensors hold the same bytes."""
        (kind, shape, start, row), (*form, there, _) = self._tensors[one], self._tensors[other]
        size = math.prod(shape[:-1]) * row
        return [kind, shape] == form and (
            self._data[start : start + size] == self._data[there : there + size]
        )

    def _parse(self) -> None:
        gguf = need("gguf", "models")
        (version,) = self._take("I")
        if version not in (2, 3):
            raise _CorruptError(f"version {version}, not 2 or 3, or big-endian")
        tensors, keys = self._take("QQ")
        for _ in range(keys):
            key = self._string()
            if key in self.metadata:
                raise _CorruptError(f"metadata key {key!r} is there twice")
            self.metadata[key] = self._value(*self._take("I"))
        found = []
        for _ in range(tensors):
            name = self._string()
            (dimensions,) = self._take("I")
            if not 1 <= dimensions <= _DIMENSIONS:
                raise _CorruptError(f"tensor {name!r} has {dimensions} dimensions")
            shape = self._take(f"{dimensions}Q")[::-1]
            found.append((name, shape, *self._take("IQ")))
        alignment = self.metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 8 or alignment % 8:
            raise _CorruptError(f"general.alignment={alignment!r}, not a multiple of 8")
        base = -(-self._at // alignment) * alignment
        for name, shape, kind, offset in found:
            if name in self._tensors:
                raise _CorruptError(f"tensor {name!r} is there twice")
            if offset % alignment:
                raise _CorruptError(
                    f"tensor {name!r} begins at {offset}, not a multiple of {alignment} bytes"
                )
            try:
                kind = gguf.GGMLQuantizationType(kind)
                block, size = gguf.GGML_QUANT_SIZES[kind]
            except (ValueError, KeyError):
                raise _CorruptError(f"tensor {name!r} is of unknown type {kind}") from None
            if shape[-1] % block or 0 in shape:
                raise _CorruptError(f"tensor {name!r} of {kind.name} has shape {list(shape)}")
            row = shape[-1] // block * size
            if base + offset + row * math.prod(shape[:-1]) > len(self._data):
                raise _CorruptError(f"tensor {name!r} ends after the file does")
            self._tensors[name] = (kind, shape, base + offset, row)
        extents = {
            name: (start, start + row * math.prod(shape[:-1]))
            for name, (_, shape, start, row) in self._tensors.items()
        }
        if (pair := overlapping(extents)) is not None:
            raise _CorruptError(f"tensors {pair[0]!r} and {pair[1]!r} overlap")

    def _take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def _room_for(self, count: int, size: int) -> None:
        if count * size > len(self._data) - self._at:
            raise _CorruptError("it ends too early")

    def _string(self) -> str:
        (length,) = self._take("Q")
        self._room_for(length, 1)
        self._at += length
        return self._data[self._at - length : self._at].decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            inner, count = self._take("IQ")
            if inner == _STRING:
                self._room_for(count, 8)
                return [self._string() for _ in range(count)]
            self._room_for(count, struct.calcsize("<" + self._code(inner)))
            return list(self._take(f"{count}{self._code(inner)}"))
        return self._take(self._code(kind))[0]

    @staticmethod
    def _code(kind: int) -> str:
        if kind not in _SCALARS:
            raise _CorruptError(f"metadata of unknown type {kind}")
        return _SCALARS[kind]
