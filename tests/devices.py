"""Programs that run in a process of their own, with as many devices as they ask for."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import photonjax


def run_on(devices: int, program: Path) -> Any:
    """What a program prints as JSON, run on that many devices of the CPU with exact 8-bit arithmetic."""
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "PHOTONJAX_ARITHMETIC": "int8",
        "PYTHONPATH": str(Path(photonjax.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
