"""A decoder on one device and on eight, data- and tensor-sharded: the same logits, bit for bit."""

from pathlib import Path

import pytest

from tests.devices import run_on

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("processes_compile_alike")]


def test_sharded_decoder_is_bit_identical():
    found = run_on(8, Path(__file__).with_name("mesh_model_program.py"))
    assert found == {"data": 0, "tensor": 0, "data and tensor": 0}
