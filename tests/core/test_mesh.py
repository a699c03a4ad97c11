"""One device and eight: the same bits. The work is done by mesh_program.py, once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import photonjax

pytestmark = pytest.mark.slow  # minutes together

HERE = Path(__file__).parent


def run_on(devices: int, program: Path):
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "PHOTONJAX_ARITHMETIC": "int8",
        "PYTHONPATH": str(Path(photonjax.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_sharded_products_are_bit_identical():
    found = run_on(8, HERE / "mesh_program.py")
    assert run_on(1, HERE / "mesh_program.py") == found["fingerprint"]  # row blocks there, not here
    found = found["differences"]
    assert len(found) == 7
    different = {
        f"{core}, {layout}": error
        for core, layouts in found.items()
        for layout, error in layouts.items()
        if error
    }
    assert not different
