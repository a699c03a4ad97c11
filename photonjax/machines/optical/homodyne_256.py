"""A homodyne tensor processor: both operands modulated, 256 x 256 pairs of detectors that add up in time.

L. Zhou et al., Homodyne Photonic Tensor Processor exceeds 1,000-TOPS, arXiv 2604.18496 (2026), of which the
abstract was read. It states 7 bits of accuracy over 8 x 8 channels at 120 Gbaud, 6 bits (statistical) over
256 x 100 channels at 20 to 128 Gbaud, and 330 TOPS/W; accuracies are taken for effective bits of a
result. The 330 TOPS/W are not split, so that it has no costs here. Summation is in time: ``rows`` symbols
are added up before a converter reads.
"""

from __future__ import annotations

from photonjax.machines.named import optical_machine
from photonjax.machines.number import Number, assumed

__all__ = ["MACHINES"]

_PAPER = "L. Zhou et al., arXiv 2604.18496, abstract"


def _numbers(enob: Number, cols: int) -> dict[str, Number]:
    return {
        "rows": assumed(256, "symbols summed", "not in the abstract; as its columns", 8, 4096),
        "cols": Number(cols, "outputs", f"{_PAPER}: of 256 x 256 homodyne units"),
        "input.bits": assumed(8, "bits", "the accuracy, and one bit more", 6, 8),
        "array.bits": assumed(8, "bits", "as the inputs: both are modulated alike", 6, 8),
        "adc.bits": assumed(8, "bits", "the accuracy, and one bit more", 7, 12),
        "adc.enob": enob,
        "adc.range": assumed(
            1.0,
            "sqrt(rows)",
            "wide enough not to clip; sites are calibrated; high: counted from the largest possible sum",
            0.1,
            16.0,
        ),
        "photons": Number(None, "detected/multiply at full scale", "within the accuracy"),
        "symbol_rate_hz": Number(120e9, "Hz", f"{_PAPER}: 120 Gbaud; 20 to 128", 20e9, 128e9),
    }


MACHINES = tuple(
    optical_machine(name, numbers, {"encoding": "homodyne", "costs": None})
    for name, numbers in {
        "homodyne-256": _numbers(
            Number(6.0, "bits", f"{_PAPER}: 6-bit statistical accuracy across 256 x 100"), 256
        ),
        "homodyne-8": _numbers(Number(7.0, "bits", f"{_PAPER}: up to 7-bit across 8 x 8"), 8),
    }.items()
)
