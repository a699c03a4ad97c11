"""A decoder on one device and on eight, data- and tensor-sharded: the same logits, bit for bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import photonjax

pytestmark = pytest.mark.slow  # minutes together: on one Python


def test_sharded_decoder_is_bit_identical():
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PHOTONJAX_ARITHMETIC": "int8",
        "PYTHONPATH": str(Path(photonjax.__file__).parents[1]),
    }
    program = Path(__file__).with_name("mesh_model_program.py")
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {"data": 0, "tensor": 0, "data and tensor": 0}
