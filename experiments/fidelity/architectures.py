"""Two published photonic accelerators, priced by our cost model: power, area, energy and latency.

    python -m experiments.fidelity.architectures

Lightening-Transformer (HPCA 2024): power split and area of its Base version, and one inference of DeiT and
BERT at 4 bits, against what its own simulator prints. Albireo (ISCA 2021), conservative devices: power
split, against the paper's table as CiMLoop checks it.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import photonjax as pj
from experiments.fidelity.rows import DIFFERS, KEYS, REPRODUCED, Row
from photonjax.core.costs import SharedCosts
from photonjax.cost import CostEntry
from photonjax.machines.optical.albireo import albireo
from photonjax.machines.optical.lightening_transformer import NUMBERS, lightening_transformer
from photonjax.tables import text_table

LT_SOURCE = "Lightening-Transformer (HPCA 2024), its hardware_simulator run with its own parameters"
ALBIREO_SOURCE = "Albireo (ISCA 2021), conservative, table III as quoted by CiMLoop's _tests.py"

LT_SPLIT_W = {
    "laser": 0.770,
    "dac": 3.214,
    "mzm": 4.032,
    "adc": 2.131,
    "tia": 1.728,
    "photodetector": 2.534,
    "memory": 0.316,
}
LT_POWER_W = {4: 14.753, 8: 50.935}
LT_AREA_MM2 = 60.30
LT_WITHIN = 0.01

ALBIREO_SPLIT_W = {
    "mrr": 7.52,
    "mzm": 3.45,
    "laser": 2.36,
    "tia": 0.14,
    "dac": 7.93,
    "adc": 1.31,
    "cache": 0.03,
}
ALBIREO_WITHIN = 0.02
ALBIREO_NOTES = {
    "mrr": "2 rings at each of 1,215 crossings; 63 more put inputs on wavelengths, outside this line",
    "tia": "0.625 pJ a sample (the authors' library); CiMLoop's table of 0.6 pJ gives 4 % less than printed",
    "adc": "survey ADC times 21.4, CiMLoop's calibration to this very line: checks the count of 45 only",
    "cache": "0.03 W is 0.025 to 0.035 W, rounded; each symbol reads 63 input and writes 45 output bytes",
}


@dataclasses.dataclass(frozen=True)
class Workload:
    """One inference of a transformer encoder, batch 1.

    Attributes:
      name: as printed.
      tokens: of the sequence, the class token included.
      dim, heads, layers: of the encoder; heads of ``dim / heads``, and four times ``dim`` in the MLP.
      classes: outputs of the head, which sees one token.
      patches: image patches of 16 x 16 x 3 that are embedded by a product; 0 where tokens are looked up.
      joules, seconds: as published, at 4 bits.
    """

    name: str
    tokens: int
    dim: int
    heads: int
    layers: int
    classes: int
    patches: int
    joules: float
    seconds: float

    def sites(self) -> list[pj.MatmulSite]:
        """The products that the simulator counts: all of the encoder, patch embedding and head.

        Attention multiplies probabilities by values with the probabilities as the operand that each core
        modulates for itself, so values are the streaming rows: ``V^T P^T`` instead of ``P V``.
        """
        t, d, deep = self.tokens, self.dim, self.dim // self.heads

        def site(path: str, M: int, K: int, N: int, count: int, heads: int = 0) -> pj.MatmulSite:
            return pj.MatmulSite(path, max(heads, 1), M, K, N, count, "int4", stationary=not heads)

        return [
            *([site("embed", self.patches, 3 * 16 * 16, d, 1)] if self.patches else []),
            site("qkv", t, d, 3 * d, self.layers),
            site("scores", t, deep, t, self.layers, self.heads),
            site("values", deep, t, t, self.layers, self.heads),
            site("proj", t, d, d, self.layers),
            site("ffn1", t, d, 4 * d, self.layers),
            site("ffn2", t, 4 * d, d, self.layers),
            site("head", 1, d, self.classes, 1),
        ]


WORKLOADS = (
    Workload("DeiT-tiny", 197, 192, 3, 12, 1000, 196, 0.3843e-3, 0.01935e-3),
    Workload("DeiT-base", 197, 768, 12, 12, 1000, 196, 5.437e-3, 0.2653e-3),
    Workload("BERT-base, 128 tokens", 128, 768, 12, 12, 2, 0, 3.952e-3, 0.1674e-3),
)


def other_operations(work: Workload, layers: int) -> CostEntry:
    """Softmax, normalisation, GELU and residual sums of ``layers`` layers, priced as the simulator does.

    0.1 pJ an operation (5 for each normalised number, 8 for a GELU, 1 for a sum), 51.6/44.8 pJ a byte
    of softmax; every number is read from and written to the global buffer, in 4 bits, and the time is
    one pass through a memory of 64 x 64 GiB per 0.604347 s (utils/model.py, hardware/SRAM.py).
    """
    t, d, nbytes = work.tokens, work.dim, 4 / 8
    softmax, norm, residual, gelu = t * t * work.heads, t * (d + 1), 2 * t * d, 4 * t * d
    numbers = softmax + norm + residual + gelu
    buffer = NUMBERS["memory.global"].value
    joules = (
        0.1e-12 * (5 * norm + 8 * gelu + residual)
        + 51.6e-12 / 44.8 * softmax * nbytes
        + 2 * buffer * numbers * nbytes
    )
    seconds = numbers * nbytes / (64 * 64 * 2**30 / 0.604347)
    name = "other operations"
    return CostEntry(f"({name})", "digital", {name: layers * joules}, {name: layers * seconds})


def charged(work: Workload, bits: int = 4, layers: int = 1) -> pj.cost.CostBreakdown:
    """One inference on Lightening-Transformer Base.

    Args:
      work: the model.
      bits: of both operands and the ADC.
      layers: whose other operations are charged; the simulator counts those of one layer.
    """
    core = lightening_transformer(bits).core()
    workload = pj.Workload(work.sites(), [])
    light = pj.cost.estimate(workload, core, where=lambda site: True)
    other = other_operations(work, layers)
    return dataclasses.replace(light, title=work.name, entries=(*light.entries, other))


def architecture_rows() -> list[dict[str, Any]]:
    """The lines of the table, as :mod:`fidelity_rows` has them."""
    return [*power_rows(), *workload_rows(), *albireo_rows()]


def power_rows() -> list[Row]:
    """Power split and area of Lightening-Transformer Base."""
    machines = {bits: lightening_transformer(bits) for bits in LT_POWER_W}
    split = machines[4].power_split()
    rows = [
        _row(f"LT-Base, 4 bits: {group}", known, split[group], "W", LT_SOURCE, LT_WITHIN)
        for group, known in LT_SPLIT_W.items()
    ]
    rows += [
        _row(
            f"LT-Base, {bits} bits: power", known, machines[bits].power_w, "W", LT_SOURCE, LT_WITHIN
        )
        for bits, known in LT_POWER_W.items()
    ]
    area = machines[4].area_m2 * 1e6
    note = "rings that tiles share are counted once; the simulator counts them for every tile"
    return [*rows, _row("LT-Base: area", LT_AREA_MM2, area, "mm2", LT_SOURCE, LT_WITHIN, note)]


def workload_rows() -> list[Row]:
    """Energy and latency of one inference on Lightening-Transformer Base at 4 bits."""
    rows = []
    for work in WORKLOADS:
        ours = charged(work)
        whole = charged(work, layers=work.layers)
        reads = operand_reads_j(work)
        energy = (
            f"{reads / ours.joules:.2%} of ours are attention's operands read from the global buffer, which "
            "the simulator multiplies by that energy twice, to nothing; softmax, GELU and the like of one "
            f"layer, as there: all {work.layers} give {1e3 * whole.joules:.4g} mJ"
        )
        latency = (
            "weights stream without waiting for whole memory cycles; the time of softmax, GELU and the like "
            "is taken in ms, where the simulator adds seconds to ms"
        )
        for what, unit, known, value, note in (
            ("energy", "mJ", work.joules, ours.joules, energy),
            ("latency", "ms", work.seconds, ours.seconds, latency),
        ):
            name = f"LT-Base, 4 bits, {work.name}: {what}"
            rows.append(_row(name, 1e3 * known, 1e3 * value, unit, LT_SOURCE, LT_WITHIN, note))
    return rows


def operand_reads_j(work: Workload) -> float:
    """Energy of bringing attention's computed operands from the global buffer, as we charge it [J]."""
    core = lightening_transformer(4).core()
    assert isinstance(core.costs, SharedCosts)
    buffer = next(m for m in core.costs.memories if m.name == "global buffer")
    bare = dataclasses.replace(buffer, results=0.0)
    core = core.replace(costs=dataclasses.replace(core.costs, memories=(bare,)))
    workload = pj.Workload([s for s in work.sites() if not s.stationary], [])
    joules = pj.cost.estimate(workload, core, where=lambda site: True).by_component()
    return float(joules["memory: global buffer"])


def albireo_rows() -> list[Row]:
    """Power split of Albireo."""
    split = albireo().power_split()
    return [
        _row(
            f"Albireo, conservative: {group}",
            known,
            split[group],
            "W",
            ALBIREO_SOURCE,
            ALBIREO_WITHIN,
            ALBIREO_NOTES.get(group, ""),
        )
        for group, known in ALBIREO_SPLIT_W.items()
    ]


def _row(
    name: str,
    known: float,
    ours: Any,
    unit: str,
    source: str,
    within: float,
    note: str = "",
) -> Row:
    deviation = float(ours) / known - 1
    verdict = REPRODUCED if abs(deviation) <= within else DIFFERS
    values = (name, known, float(ours), unit, deviation, verdict, source, note)
    return dict(zip(KEYS, values, strict=True))


def main() -> None:
    """Print the table, and what each line rests on."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    rows = architecture_rows()
    shown = [
        {
            "name": row["name"],
            "published": f"{row['published']:.4g}",
            "ours": f"{row['ours']:.4g}",
            "unit": row["unit"],
            "deviation": f"{row['deviation']:+.2%}",
            "verdict": row["verdict"],
        }
        for row in rows
    ]
    print(text_table(shown))
    for source in dict.fromkeys(row["source"] for row in rows):
        print(f"\n{source}")
        for row in rows:
            if row["source"] == source and row["note"]:
                print(f"  {row['name']}: {row['note']}")


if __name__ == "__main__":
    main()
