"""A network of the published sizes, trained for seconds, that the tests of this folder share."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from experiments.digits.config import Digits as Settings
from experiments.harness.cores import make_core
from tests.experiments.digits.small import TRAINING, patterns


@pytest.fixture
def modules(ours):
    names = ("digits.run", "digits.networks", "digits.optics", "digits.report", "harness")
    found = [importlib.import_module(f"experiments.{name}") for name in names]
    return SimpleNamespace(**{n.rpartition(".")[2]: m for n, m in zip(names, found, strict=True)})


@pytest.fixture
def core(modules):
    """The machine of configs/digits.yaml."""
    return make_core(modules.harness.load_config("digits", Settings).core)


@pytest.fixture(scope="session")
def learnt():
    """What one short training gave, shared by the tests here."""
    return {}


@pytest.fixture
def network(modules, core, learnt):
    """Trained for a few seconds on the patterns."""
    if not learnt:
        networks = modules.networks
        learnt["network"] = networks.train(core, patterns(512, seed=1), TRAINING, seed=0)
    return learnt["network"]
