"""The errors of the measured processor beside its twin's, as lines of the fidelity table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.harness import UserError
from experiments.harness.finished import finished_run, read_metrics

SOURCE = "lightmatter-ai/upaia-paper-2025, figure_data: 4,096 vectors, 64 outputs"
UNITS = {
    "offset_spread": "codes",
    "residual": "codes",
    "residual_cycle": "codes",
    "residual_fixed": "codes",
}


def measured_rows(results: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """One line for each statistic: the machine's, and that of products on the twin.

    Args:
      results: what a run of experiments.measured left in metrics.json; None: the newest finished one.

    Raises:
      UserError: there is none.
    """
    if results is None:
        place = finished_run("measured")
        if place is None:
            raise UserError(
                "no finished run in results/measured; run python -m experiments.measured first"
            )
        results = read_metrics(place, {"statistics": list}, "measured")
    return [
        {
            "name": f"measured processor: {row['statistic']}",
            "published": row["machine"],
            "ours": row["twin"],
            "unit": UNITS.get(row["statistic"], ""),
            "deviation": row["twin"] / row["machine"] - 1,
            "verdict": "reproduced" if row["low"] <= row["twin"] <= row["high"] else "differs",
            "source": SOURCE,
            "note": f"machine {row['low']:.3g} ... {row['high']:.3g}, twin {row['twin low']:.3g} ... "
            f"{row['twin high']:.3g} (95 %); the twin was fitted to these readings",
        }
        for row in results["statistics"]
    ]
