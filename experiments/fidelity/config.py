"""Settings of the fidelity table, with their types and ranges; values are in ``configs/fidelity.yaml``."""

from __future__ import annotations

import dataclasses

from experiments.harness import settings
from experiments.harness.schema import setting

GROUPS = (
    "noise",
    "receiver",
    "converters",
    "digital",
    "architectures",
    "digits",
    "classifier",
    "measured",
    "photons",
)
MOST = 2**16  # terms of a sampled sum


@dataclasses.dataclass
class Sampling:
    """How many outputs are sampled at every point."""

    tokens: int = setting(low=2, high=2**14)
    outputs: int = setting(low=2, high=2**12)


@dataclasses.dataclass
class Law:
    """Where Hamerly's noise law is sampled."""

    terms: list[int] = setting(low=1, high=MOST, empty=False)
    photons: list[float] = setting(above=0, below=1e9, empty=False)


@dataclasses.dataclass
class Snr:
    """For which sums and SNRs light is asked for."""

    terms: list[int] = setting(low=1, high=MOST, empty=False)
    bits: list[int] = setting(low=1, high=16, empty=False)


@dataclasses.dataclass
class Fidelity(settings.Experiment):
    """Published values beside ours."""

    seed: int = setting(low=0, high=2**32 - 1)
    groups: list[str] = setting(choices=GROUPS, empty=False)
    train_digits: bool = setting()
    classifier_updates: int = setting(low=1, high=10**6)
    sampling: Sampling = setting()
    law: Law = setting()
    snr: Snr = setting()
