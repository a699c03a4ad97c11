"""The small study and its modules."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from experiments.width.config import Width
from tests.experiments.width.small import overrides


@pytest.fixture
def modules(ours):
    names = ("run", "train", "light", "operands", "scaling", "text", "exponents", "work")
    found = {name: importlib.import_module(f"experiments.width.{name}") for name in names}
    return SimpleNamespace(**found)


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    return overrides(tmp_path_factory.mktemp("width"))


@pytest.fixture
def config(load, settings):
    """Takes further overrides."""
    return lambda *more: load("width", Width, settings, *more)
