"""What Google's TPUs share: vector lanes, and the fraction of their peak that real programs reach."""

from __future__ import annotations

from photonjax.machines.number import Number, assumed

__all__ = ["TRANSCENDENTAL", "UTILISATION", "vector_lanes"]

UTILISATION = assumed(
    0.5,
    "",
    "high: 0.76 MFU in prefill of PaLM 540B on TPU v4, Pope et al., MLSys 2023, abstract; low: as h100-sxm",
    0.35,
    0.76,
)

TRANSCENDENTAL = assumed(
    4.0, "operations", "one a lane and cycle; high: a polynomial of as many terms", 1.0, 16.0
)


def vector_lanes(cores: int, clock_hz: float, clock: str) -> Number:
    """Vector rate of a TPU: 8 x 128 lanes a core, four operations each, at the clock that is implied."""
    rate = cores * 8 * 128 * clock_hz
    return assumed(
        4 * rate,
        "op/s",
        f"{cores} x 8 x 128 lanes (Google Cloud documentation, TPU v6e) at {clock_hz / 1e9:.2f} GHz "
        f"({clock}), four operations each (second-hand); low: one; high: eight",
        rate,
        8 * rate,
    )
