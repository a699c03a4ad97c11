"""Settings of the digits, with their types and ranges; values are in ``configs/digits.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.harness import settings
from experiments.harness.schema import setting

MOST = 2**32 - 1


@dataclasses.dataclass
class Training:
    """How a network is trained: :mod:`experiments.digits.networks`."""

    folds: int = setting(low=2, high=MOST)
    digits: int | None = setting(low=10, high=MOST)
    epochs: int = setting(low=1, high=MOST)
    updates: int = setting(low=1, high=MOST)
    batch: int = setting(low=1, high=MOST)
    learning_rate: float = setting(low=0, high=1)
    momentum: float = setting(low=0, high=1)
    decay: float = setting(low=0, high=1)
    decay_epochs: int = setting(low=1, high=MOST)
    warm_up: int = setting(low=0, high=MOST)
    activation_levels: int = setting(low=2, high=MOST)
    distorted: int = setting(low=0, high=MOST)


@dataclasses.dataclass
class Digits(settings.Experiment):
    """Handwritten digits recognised by counted photons."""

    seed: int = setting(low=0, high=MOST)
    weights: str | None = setting()
    digits: str | None = setting()
    noise_seeds: int = setting(low=1, high=MOST)
    core: dict[str, Any] = setting(empty=True)
    training: Training = setting()
