"""Just enough of R's serialization format to read text: vectors of strings and numbers, and lists.

The format (R Internals, section "Serialization Formats") is a header and one item. An item is a
32-bit word, whose low byte is the type and whose bit 9 announces attributes, and its content in
big-endian order. Lists with names become dictionaries.
"""

from __future__ import annotations

import struct
from typing import Any

_SYMBOL, _PAIRLIST, _STRING, _INTEGERS, _REALS, _STRINGS, _LIST = 1, 2, 9, 13, 14, 16, 19
_LOGICALS, _REFERENCE, _NULL = 10, 255, 254
_HAS_ATTRIBUTES, _HAS_TAG = 1 << 9, 1 << 10


def read_value(data: bytes) -> Any:
    """The value that R serialized to `data` (unpacked): a list of str, int or float, or a dict.

    Raises:
      ValueError: not in R's binary format, cut short, or of a type this reader does not know.

    Example:
        >>> two = b"\\x00\\x00\\x00\\x0d" + struct.pack(">iii", 2, 5, 7)
        >>> read_value(b"X\\n" + struct.pack(">iii", 2, 0, 0) + two)
        [5, 7]
    """
    if data[:2] != b"X\n":
        raise ValueError("not R's binary serialization format")
    try:
        return _Reader(data).document()
    except (struct.error, IndexError) as error:
        raise ValueError(f"R data cut short ({error})") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 2
        self.symbols: list[Any] = []

    def document(self) -> Any:
        version, _, _ = (self.integer() for _ in range(3))
        if version == 3:
            self.raw(self.integer())  # the name of the native encoding
        return self.item()

    def integer(self) -> int:
        return struct.unpack(">i", self.raw(4))[0]

    def raw(self, size: int) -> bytes:
        piece = self.data[self.position : self.position + size]
        if size < 0 or len(piece) != size:
            raise IndexError(f"{size} bytes wanted at {self.position}")
        self.position += size
        return piece

    def item(self) -> Any:
        flags = self.integer()
        kind = flags & 0xFF
        if kind == _NULL:
            return None
        if kind == _REFERENCE:
            return self.symbols[(flags >> 8) - 1]
        if kind == _SYMBOL:
            self.symbols.append(self.item())
            return self.symbols[-1]
        if kind == _STRING:
            size = self.integer()
            return "" if size == -1 else self.raw(size).decode("utf-8", errors="replace")
        if kind == _PAIRLIST:
            return self.pairs(flags)
        value = self.vector(kind)
        attributes = self.item() if flags & _HAS_ATTRIBUTES else None
        if kind == _LIST and attributes and "names" in attributes:
            return dict(zip(attributes["names"], value, strict=True))
        return value

    def vector(self, kind: int) -> list[Any]:
        size = self.integer()
        if kind in (_INTEGERS, _LOGICALS):
            return list(struct.unpack(f">{size}i", self.raw(4 * size)))
        if kind == _REALS:
            return list(struct.unpack(f">{size}d", self.raw(8 * size)))
        if kind in (_STRINGS, _LIST):
            return [self.item() for _ in range(size)]
        raise ValueError(f"R data of type {kind} is not text")

    def pairs(self, flags: int) -> dict[str, Any]:
        """A linked list of tagged values, as R keeps attributes."""
        found: dict[str, Any] = {}
        while flags & 0xFF == _PAIRLIST:
            if flags & _HAS_ATTRIBUTES:
                self.item()
            tag = self.item() if flags & _HAS_TAG else None
            found[str(tag)] = self.item()
            flags = self.integer()
        return found
