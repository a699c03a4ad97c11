"""Row-parallel layers on an explicit mesh: the bits of one device. Done by row_parallel_program.py, once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import photonjax

pytestmark = pytest.mark.slow  # minutes together


def test_contracted_axes_may_be_sharded():
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PHOTONJAX_ARITHMETIC": "int8",
        "PYTHONPATH": str(Path(photonjax.__file__).parents[1]),
    }
    program = Path(__file__).with_name("row_parallel_program.py")
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert len(found["products"]) == 7
    assert not {name: result for name, (result, _) in found["products"].items() if result}
    # backward products are sums in floating point, whose order is the mesh's
    assert all(slope < 2e-6 for _, slope in found["products"].values()), found
    assert found["ranges"] < 1e-4  # measured sums are in floating point too
