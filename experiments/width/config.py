"""Settings of the study of widths, with their types and ranges; values are in ``configs/width.yaml``."""

from __future__ import annotations

import dataclasses
from typing import Any

import photonjax as pj
from experiments.evaluate.config import rung_cores
from experiments.harness import settings
from experiments.harness.errors import UserError, user_errors
from experiments.harness.schema import setting
from photonjax import data
from photonjax.models import DecoderConfig

SCALINGS = ("standard", "mup")
MLPS = ("swiglu", "relu")
OPERANDS = ("plain", "smoothed", "hadamard")
SHARES = ("kind", "site", "equal")


@dataclasses.dataclass
class Grid:
    """Which decoders are trained, and what of them is put on light."""

    widths: list[int] = setting(low=8, high=2**14)
    scalings: list[str] = setting(choices=SCALINGS)
    mlps: list[str] = setting(choices=MLPS)
    operands: list[str] = setting(choices=OPERANDS)
    seeds: int = setting(low=1, high=100)
    steps: int = setting(low=1, high=10**7)
    tuning_steps: int = setting(low=1, high=10**7)


@dataclasses.dataclass
class Shape:
    """What all decoders have, whatever their width."""

    layers: int = setting(low=1, high=1000)
    head_size: int = setting(low=2, high=1024)
    swiglu_ratio: int = setting(low=1, high=64)
    relu_ratio: int = setting(low=1, high=64)


@dataclasses.dataclass
class Corpora:
    """Text to train on, with every so manieth document held out, and how it is cut."""

    corpora: list[str] = setting()
    held_out_every: int = setting(low=2, high=10**6)
    vocabulary: int = setting(low=257, high=2**17)
    length: int = setting(low=2, high=2**16)

    def check(self) -> None:
        for i, name in enumerate(self.corpora):
            with user_errors(ValueError, prefix=f"text.corpora[{i}]: "):
                data.check_corpus(name)


@dataclasses.dataclass(unsafe_hash=True)  # a static argument of what is compiled
class Training:
    """AdamW, with a warm-up and a cosine."""

    batch: int = setting(low=1, high=2**16)
    warm_up_fraction: float = setting(low=0, high=1)
    last_fraction: float = setting(low=0, high=1)
    weight_decay: float = setting(low=0, high=1)
    keep_every: int = setting(low=1, high=10**6)


@dataclasses.dataclass
class Solver:
    """How light is shared among sites, and how much of it a loss allows is sought."""

    shares: str = setting(choices=SHARES)
    snr_db: float = setting(low=-50, high=150)
    tolerance: float = setting(low=1e-6, high=1)
    most: int = setting(low=1, high=1000)


@dataclasses.dataclass
class Width(settings.Experiment):
    """Light against width."""

    seed: int = setting(low=0, high=2**31)
    grid: Grid = setting()
    shape: Shape = setting()
    text: Corpora = setting()
    training: Training = setting()
    rates: list[float] = setting(above=0, high=1)
    windows: int = setting(low=1, high=settings.MOST_WINDOWS)
    tuning_windows: int = setting(low=1, high=settings.MOST_WINDOWS)
    noise_seeds: int = setting(low=1, high=1000)
    uncorrected_noise_seeds: int = setting(low=1, high=1000)
    targets_percent: list[float] = setting(low=0.01, high=1000)
    smoothing: float = setting(low=0, high=1)
    core: dict[str, Any] = setting(empty=True)
    encodings: dict[str, Any] = setting()
    solver: Solver = setting()

    def check(self) -> None:
        grid, every = self.grid, self.training.keep_every
        for name in ("widths", "scalings", "mlps", "operands"):
            values = getattr(grid, name)
            if len(set(values)) < len(values):
                raise UserError(f"grid.{name}: {values} has one twice; give each once")
        for name in ("steps", "tuning_steps"):
            if getattr(grid, name) % every:
                raise UserError(
                    f"grid.{name}: {getattr(grid, name)} is not a multiple of training.keep_every = {every}"
                )
        shapes = [self.decoder(width, mlp) for mlp in grid.mlps for width in grid.widths]
        largest = max(max(of.hidden_size, of.intermediate_size) for of in shapes)
        for name, core in self.cores().items():
            bits = core.adc.bits, core.input.bits, core.array.bits
            if core.photons != 1.0 or any(b is not None for b in bits):
                raise UserError(
                    f"encodings.{name}: photons must stay 1.0, which the solver scales, and adc.bits, "
                    "input.bits and array.bits null"
                )
            if core.rows < largest:
                raise UserError(
                    f"core.rows: {core.rows} rows are fewer than the largest fan-in, {largest}; raise it"
                )
            kind = core.encoding.kind
            if kind == "quadrature" and core.encoding.oscillator_electrons(core) is None:
                raise UserError(
                    f"encodings.{name}: the light of quadrature's local oscillator has to be counted: give "
                    "encoding.oscillator, or receiver.noise_a_per_rthz, whose variance it has ten times"
                )

    def cores(self) -> dict[str, pj.OpticalCore]:
        """The core of every encoding, by its name."""
        return rung_cores(self.core, self.encodings, apart=(), where="encodings")

    def decoder(self, width: int, mlp: str) -> DecoderConfig:
        """Sizes of one decoder: heads of one size, as many as make the width.

        Raises:
          UserError: the width is no multiple of the heads' size, or that is odd.
        """
        if width % self.shape.head_size:
            raise UserError(
                f"grid.widths: {width} is not a multiple of shape.head_size = {self.shape.head_size}"
            )
        gated = mlp == "swiglu"
        with user_errors(ValueError, prefix="shape: "):
            return DecoderConfig(
                vocab_size=self.text.vocabulary,
                hidden_size=width,
                intermediate_size=width
                * (self.shape.swiglu_ratio if gated else self.shape.relu_ratio),
                num_layers=self.shape.layers,
                num_heads=width // self.shape.head_size,
                head_dim=self.shape.head_size,
                activation="silu" if gated else "relu",
                gated_mlp=gated,
                max_length=self.text.length,
            )
