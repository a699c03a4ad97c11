"""Safetensors files whose header and bytes do not agree: one line that names the tensor."""

import json

import pytest

from photonjax.models import (
    CheckpointError,
    load_huggingface,
)
from photonjax.models.safetensors import SafetensorsFile
from tests.models.huggingface_files import Q, edit_header, save


def _moved(header, by):
    """The header with Q's bytes further on or back, and Q's neighbours."""
    order = sorted((e["data_offsets"], name) for name, e in header.items() if name[0] != "_")
    at = [name for _, name in order].index(Q)
    header[Q]["data_offsets"] = [n + by for n in header[Q]["data_offsets"]]
    return json.dumps(header), (order[at - 1][1], Q, order[at + 1][1])


@pytest.mark.parametrize(("by", "neighbour"), [(-4, 0), (4, 2)])
def test_tensors_that_overlap_are_named(tmp_path, by, neighbour):
    save(tmp_path)
    names = []

    def change(header):
        text, near = _moved(header, by)
        names.extend([Q, near[neighbour]])
        return text

    edit_header(tmp_path / "model.safetensors", change)
    with pytest.raises(CheckpointError, match="overlap") as error:
        load_huggingface(tmp_path)
    assert all(repr(name) in str(error.value) for name in names), error.value


def test_a_hole_and_a_tensor_that_is_there_twice(tmp_path):
    save(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    edit_header(path, lambda h: json.dumps({name: e for name, e in h.items() if name != Q}))
    with pytest.raises(CheckpointError, match="begins at .*, but the one before ends at"):
        load_huggingface(tmp_path)
    path.write_bytes(whole)
    edit_header(path, lambda h: json.dumps(h)[:-1] + f', "{Q}": {json.dumps(h[Q])}}}')
    with pytest.raises(CheckpointError, match=rf"tensor '{Q}' is there twice"):
        load_huggingface(tmp_path)


def _entry(kind, shape, first, last):
    return {"dtype": kind, "shape": shape, "data_offsets": [first, last]}


@pytest.mark.parametrize(
    ("entries", "size", "culprit"),
    [
        (
            {"a": _entry("F16", [1], 0, 2), "b": _entry("F32", [1], 2, 6)},
            6,
            "'b' of F32 begins at 2, not a multiple of 4",
        ),
        ({"a": _entry("F32", [2], 0, 4)}, 4, "'a' has 4 bytes for F32[2]"),
        ({"a": _entry("F32", [1], 0, 4)}, 9, "5 bytes follow the last tensor"),
        ({"a": _entry("F32", [1], 0, 4)}, 3, "'a' ends after the file does"),
        ({"a": _entry("F32", [1.5], 0, 4)}, 4, "'a' has no valid entry"),
        ({"a": _entry(["F32"], [1], 0, 4)}, 4, "'a' has no valid entry"),
        ({"a": _entry("F32", 1, 0, 4)}, 4, "'a' has no valid entry"),
        ({"a": 3}, 4, "'a' has no valid entry"),
    ],
)
def test_entries_that_do_not_fit_their_bytes(tmp_path, entries, size, culprit):
    path, header = tmp_path / "m.safetensors", json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(CheckpointError) as error:
        SafetensorsFile(path)
    assert culprit in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.05, 0.5, 0.999])
def test_truncated_weights(tmp_path, share):
    save(tmp_path)
    path = tmp_path / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: truncated or corrupt"):
        load_huggingface(tmp_path)
