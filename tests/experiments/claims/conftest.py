"""The audit on small sizes."""

from __future__ import annotations

import importlib

import pytest

from experiments.claims import run
from experiments.claims.config import Claims

SMALL = [
    "models=[smollm2-135m]",
    "contexts=[128,512]",
    "intensity.accelerators=[h100-sxm]",
    "intensity.prompts=[1,64,1024]",
    "context.models=[smollm2-135m]",
    "context.contexts=[128,512]",
    "array.sizes=[16,64]",
    "energy.samples=16",
    "energy.tokens_together=[1]",
    "fleet.model=smollm2-135m",
    "fleet.batches=[1]",
    "fleet.samples=50",
    "rack.cores=[1]",
    "rack.servers=[1]",
    "rack.samples=16",
    "photons_run=null",
    "precision.run=nowhere",
]


@pytest.fixture
def load(ours):
    return importlib.import_module


@pytest.fixture
def claims(in_process, tmp_path):
    """Run experiments.claims on small sizes in this process; later overrides win."""
    settings = [f"results_dir={tmp_path}", "run=a", *SMALL]
    return lambda *o: in_process("claims", Claims, run.claims, settings, *o)


@pytest.fixture
def small():
    """Settings of small sizes."""
    return list(SMALL)
