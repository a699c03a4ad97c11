"""The reader of R's format reads text and refuses the rest."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonjax.data.books import _paragraphs
from photonjax.data.rdata import read_value

HEADER = b"X\n" + struct.pack(">iii", 2, 0x30500, 0x20300)
HEADER3 = b"X\n" + struct.pack(">iiii", 3, 0x30500, 0x30500, 5) + b"UTF-8"


def string(text):
    data = text.encode()
    return struct.pack(">ii", 9, len(data)) + data


def strings(texts):
    return struct.pack(">ii", 16, len(texts)) + b"".join(map(string, texts))


@given(st.lists(st.text()), st.sampled_from([HEADER, HEADER3]))
def test_strings(texts, header):
    assert read_value(header + strings(texts)) == texts


def test_numbers_and_missing_strings():
    assert read_value(HEADER + struct.pack(">iidd", 14, 2, 0.5, -1)) == [0.5, -1]
    assert read_value(HEADER + struct.pack(">iiii", 16, 1, 9, -1)) == [""]
    assert read_value(HEADER + struct.pack(">i", 254)) is None


def test_named_lists():
    names = struct.pack(">ii", 1026, 1) + string("names") + strings(["a", "b"])
    items = struct.pack(">iii", 13, 1, 7) + strings(["x"])
    value = struct.pack(">ii", 19 | 1 << 9, 2) + items + names + struct.pack(">i", 254)
    assert read_value(HEADER + value) == {"a": [7], "b": ["x"]}


def test_what_is_refused():
    with pytest.raises(ValueError, match="not R's binary"):
        read_value(b"RDX3\n")
    with pytest.raises(ValueError, match="cut short"):
        read_value(HEADER + strings(["abc"])[:-1])
    with pytest.raises(ValueError, match="type 3 is not text"):
        read_value(HEADER + struct.pack(">ii", 3, 0))


@given(st.binary(max_size=60))
def test_garbage_is_refused_by_name(data):
    try:
        read_value(HEADER + data)
    except Exception as error:
        assert isinstance(error, ValueError) and str(error)


def test_printed_lines_become_paragraphs():
    assert _paragraphs(["T", "", "", "a", " b", "", "c", ""]) == "T\n\na b\n\nc"
