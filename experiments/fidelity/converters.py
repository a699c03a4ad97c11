"""What converters take: the conversion floor of an N x N product, and a survey of ADCs."""

from __future__ import annotations

import photonjax as pj
from experiments.fidelity.rows import Row, published, range_row, row
from photonjax.machines import converters

SIZES = (128, 512, 1024, 2048)
ADC_PJ = 3.5
TOKENS = 256

# Middle of each class's range of effective bits.
ENOB = {"8bit": 7.7, "7bit": 6.7, "4bit": 4.0}
MACHINE = "display-1024"


def converter_rows() -> list[Row]:
    """Conversion floor, ADC survey, laser's plug."""
    return [*floor_rows(), *survey_rows(), *preset_rows()]


def floor_rows() -> list[Row]:
    """One DAC an input and one ADC an output, shared by N x N multiplies."""
    rows = []
    for n in SIZES:
        paid = {encoding: floor_j(n, encoding) for encoding in ("offset", "differential")}
        rows.append(
            row(
                f"conversion per MAC, N = {n}",
                f"conversion_{n}",
                1e15 * paid["offset"],
                "cost.estimate, offset (one DAC an input); differential has two: "
                f"{1e15 * paid['differential']:.3g} fJ",
            )
        )
    return rows


def floor_j(n: int, encoding: str) -> float:
    """Energy per multiply of the converters alone, by the cost model [J]."""
    dac_j = published()["conversion_dac"]["value"] * 1e-12
    core = pj.OpticalCore(
        rows=n,
        cols=n,
        encoding=encoding,  # type: ignore[arg-type]
        costs=pj.CoreCosts(dac_energy_j=dac_j, adc_energy_j=ADC_PJ * 1e-12),
    )
    site = pj.MatmulSite("w", 1, M=TOKENS, K=n, N=n, count=1, dtype="float32", stationary=True)
    return float(pj.cost.estimate(pj.Workload([site], []), core).joules) / site.macs


def survey_rows() -> list[Row]:
    """Our figures of merit against the survey they were taken from, and against its other classes."""
    figures = {
        "best": converters.WALDEN_BEST_J,
        "p10": converters.WALDEN_P10_J,
        "median": converters.WALDEN_MEDIAN_J,
    }
    rows = [
        row(
            f"Walden figure of 8-bit ADCs, {which}",
            f"walden_{which}",
            1e15 * figures[which],
            adopted=True,
        )
        for which in ("best", "median")
    ]
    for name, enob in ENOB.items():
        for which, figure in figures.items():
            key = f"adc_{name}_{which}"
            if key not in published():
                continue
            note = f"adc_walden_j at ENOB {enob}, mid-class, with the {which} figure of 8-bit ADCs"
            rows.append(
                row(
                    f"ADC energy, {name}, {which}",
                    key,
                    1e12 * converters.adc_walden_j(enob, figure),
                    note,
                    adopted=key == "adc_8bit_p10",  # the figure was worked out from this energy
                )
            )
    return rows


def preset_rows() -> list[Row]:
    """What the named machine is built with."""
    machine = pj.machines.optical(MACHINE)
    costs = machine.costs
    assert costs is not None
    dac = converters.dac_exponential_w(8, 14e9) / 14e9
    linear = converters.adc_linear_w(8, 10e9) / 10e9
    return [
        range_row(
            f"ADC energy of {MACHINE}",
            "adc_8bit_best",
            "adc_8bit_median",
            1e12 * float(costs.adc_energy_j),
            f"best ... median; at ENOB {float(machine.adc.enob):g}, above the class",
        ),
        range_row(
            "ADC energy, Lightening-Transformer's law at 8 bits",
            "adc_8bit_best",
            "adc_8bit_median",
            1e12 * linear,
            "best ... median; adc_linear_w: 14.8 mW at 10 GS/s, of bits and not of effective ones",
        ),
        row(
            f"DAC energy of {MACHINE}",
            "conversion_dac",
            1e12 * float(costs.dac_energy_j),
            f"Lightening-Transformer's 50 mW at 14 GS/s is {1e12 * dac:.3g} pJ",
            adopted=True,
        ),
        row(
            f"laser wall-plug efficiency of {MACHINE}",
            "wall_plug",
            float(costs.wall_plug_efficiency),
            adopted=True,
        ),
    ]
