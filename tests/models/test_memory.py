"""What loading takes of memory, and what is said where there is too little."""

import dataclasses
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from safetensors import numpy as safetensors

from photonjax.models import (
    CheckpointError,
    load_huggingface,
    memory,
)
from photonjax.models.safetensors import SafetensorsFile
from tests.models.huggingface_files import CONFIG, save


def test_too_little_memory_is_one_line(tmp_path, monkeypatch):
    """Told before anything is read, or when the system gives no more."""
    save(tmp_path)
    size = sum(t.nbytes for t in safetensors.load_file(tmp_path / "model.safetensors").values())
    monkeypatch.setattr(memory, "memory_bytes", lambda: size)
    load_huggingface(tmp_path)
    monkeypatch.setattr(SafetensorsFile, "copy", lambda *_: 1 / 0)
    monkeypatch.setattr(memory, "memory_bytes", lambda: size - 1)
    with pytest.raises(CheckpointError, match="GiB of memory, and there are .* dtype=bfloat16"):
        load_huggingface(tmp_path)

    def none_left(*_):
        raise MemoryError

    monkeypatch.setattr(SafetensorsFile, "copy", none_left)
    monkeypatch.setattr(memory, "memory_bytes", lambda: size)
    with pytest.raises(CheckpointError, match="GiB of memory, and it ran out"):
        load_huggingface(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stored", "dtype", "scan_layers"),
    [("float32", "float32", True), ("bfloat16", "float32", False), ("float32", "bfloat16", False)],
)
def test_peak_memory_is_below_1_3_times_the_weights(tmp_path, stored, dtype, scan_layers):
    """Resident memory of a process that loads some 200 MB, beyond what a tiny load needed."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    big = dataclasses.replace(CONFIG, hidden_size=768, intermediate_size=2048, vocab_size=16_384)
    big = dataclasses.replace(big, num_layers=6 if dtype == "float32" else 14, head_dim=96)
    save(tmp_path / "big", big, param_dtype=stored)
    save(tmp_path / "tiny")
    program = f"""
        import re
        import jax, jax.numpy as jnp
        from flax import nnx
        from photonjax.models import load_huggingface

        def load(name):
            options = dict(dtype=jnp.{dtype}, scan_layers={scan_layers})
            return load_huggingface("{tmp_path}/" + name, **options)

        def peak():  # not getrusage: its maximum survives exec, so a child starts with its parent's
            return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

        load("tiny")
        before = peak()
        leaves = jax.tree.leaves(nnx.state(load("big"), nnx.Param))
        print((peak() - before) / sum(leaf.nbytes for leaf in leaves))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert 0.9 < float(done.stdout) < 1.3
