"""What the report says of its intervals, and that every row says what they are over."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.evaluate import report
from photonjax.evaluation import Evaluation, Result, Window


def result(windows: int, dies: int, draws: int) -> Result:
    rng = np.random.default_rng(0)
    rows = [Window(x, 0.1, 9, 10, 1.0) for x in rng.uniform(20, 30, windows * dies * draws)]
    digital = [Window(x, 0.0, 10, 10, 1.0) for x in rng.uniform(20, 30, windows)]
    return Result("dim", rows, digital, dies=dies, draws=draws)


@pytest.mark.parametrize(
    ("shape", "line"),
    [
        ((1, 1, 3), "none from a single window on a single die"),
        (
            (6, 1, 1),
            "95%, Student's t over 6 windows paired with the digital model's; they cover the choice of text "
            "and the noise of each window, not the die, its calibration or the corpus",
        ),
        (
            (6, 4, 2),
            "95%, Student's t over 6 windows paired with the digital model's and 4 dies, 2 draws of noise "
            "each; they cover the choice of text, the noise of each window, the die and its calibration, "
            "not the corpus",
        ),
        (
            (1, 4, 1),
            "95%, Student's t over 4 dies; they cover the noise of each window, the die and its "
            "calibration, not the choice of text or the corpus",
        ),
    ],
)
def test_what_intervals_cover(shape, line):
    assert " ".join(report.intervals(result(*shape)).split()) == f"intervals: {line}"


def test_rows_and_table_say_what_they_are_over():
    found = result(3, 4, 2)
    row = report.row(found, {})
    assert (row["dies"], row["draws"]) == (4, 2)
    value, low, high = found.perplexity_change_percent
    assert row["perplexity_change_percent_low"] == low < value < high
    assert f"{low:+.2f} ... {high:+.2f}" in report.table(Evaluation({"dim": found}), [row])
