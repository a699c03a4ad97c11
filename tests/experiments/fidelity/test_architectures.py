"""The table of published values of machines that are put together from parts."""

import math

import pytest

from experiments.fidelity import architectures as table


def test_published_values_but_one_are_reproduced():
    rows = table.architecture_rows()
    assert len(rows) == len({r["name"] for r in rows}) == 23
    for row in rows:
        assert row["deviation"] == pytest.approx(row["ours"] / row["published"] - 1)
        assert row["source"] and math.isfinite(row["ours"])
        if row["name"] == "Albireo, conservative: cache":  # one printed digit, and it differs
            assert row["verdict"] == "differs" and 0.025 <= row["ours"] <= 0.035
            continue
        assert row["verdict"] == "reproduced", row
        assert abs(row["deviation"]) <= (0.01 if row["name"].startswith("LT") else 0.02), row


def test_what_differs_from_the_simulator_is_what_the_notes_say():
    # Without the reads it loses, and rounding of adders aside, the published energies are met closely.
    for work in table.WORKLOADS:
        ours = table.charged(work).joules - table.operand_reads_j(work)
        assert ours == pytest.approx(work.joules, rel=2e-4), work.name


def test_workloads_by_hand():
    tiny = table.WORKLOADS[0]
    macs = {s.path: s.macs for s in tiny.sites()}
    assert macs["embed"] == 196 * 768 * 192 and macs["head"] == 192 * 1000
    assert macs["scores"] == macs["values"] == 12 * 3 * 197 * 197 * 64
    assert macs["qkv"] + macs["proj"] + macs["ffn1"] + macs["ffn2"] == 12 * 197 * 12 * 192**2
    assert "embed" not in {s.path for s in table.WORKLOADS[2].sites()}
