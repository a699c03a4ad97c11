"""Settings of the digits, with their types and ranges; values are in ``configs/digits.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

import photonjax as pj
from experiments.harness import settings
from experiments.harness.cores import make_core
from experiments.harness.errors import UserError
from experiments.harness.paths import user_path
from experiments.harness.schema import setting


@dataclasses.dataclass(unsafe_hash=True)  # a static argument of what is compiled
class Training:
    """How a network is trained: :mod:`experiments.digits.networks`."""

    folds: int = setting(low=2, high=100)
    digits: int | None = setting(low=10, high=10**6)
    epochs: int = setting(low=1, high=10**5)
    updates: int = setting(low=1, high=10**6)
    batch: int = setting(low=1, high=2**16)
    learning_rate: float = setting(low=0, high=1)
    momentum: float = setting(low=0, high=1)
    decay: float = setting(low=0, high=1)
    decay_epochs: int = setting(low=1, high=10**5)
    warm_up: int = setting(low=0, high=10**5)
    activation_levels: int = setting(low=2, high=2**16)
    distorted: int = setting(low=0, high=10**6)


@dataclasses.dataclass
class Digits(settings.Experiment):
    """Handwritten digits recognised by counted photons."""

    seed: int = setting(low=0, high=2**32 - 1)
    weights: str | None = setting()
    digits: str | None = setting()
    noise_seeds: int = setting(low=1, high=1000)
    core: dict[str, Any] = setting(empty=True)
    training: Training = setting()

    def check(self) -> None:
        self.machine()
        if self.weights is not None and not user_path("weights", self.weights).is_file():
            raise UserError(f"weights: {self.weights} does not exist; give a .pt or .npz file")
        if self.digits is not None and not user_path("digits", self.digits).is_dir():
            raise UserError(
                f"digits: {self.digits} is not a directory; give the one of MNIST's files"
            )

    def machine(self) -> pj.OpticalCore:
        """The core."""
        core = make_core(self.core)
        if core.encoding.kind != "differential" or core.array.scale != "per_tensor":
            raise UserError(
                "core: photons are counted for intensities scaled as a whole; leave encoding.kind at "
                "differential and array.scale at per_tensor"
            )
        if core.photons is None:
            raise UserError("core.photons: is null; without light there is nothing to count")
        return core
