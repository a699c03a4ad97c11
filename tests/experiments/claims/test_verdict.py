"""Verdicts from fractions of draws, and published numbers with their sources."""

from __future__ import annotations

import pytest


def test_verdict_on_shares(load):
    by = load("experiments.claims.verdict").by_fractions
    assert by([0.9, 1.0], 0.9) == "holds"
    assert by([0.05, 0.95], 0.9) == "holds if ..."
    assert by([0.05, 0.1], 0.9) == "does not hold"
    assert by([0.0, 0.5], 0.9) == "cannot be decided from published numbers"


def test_a_word_that_is_no_verdict_is_refused(load):
    with pytest.raises(ValueError, match="perhaps"):
        load("experiments.claims.verdict").Verdict(9, "", "", "", "perhaps", "", {}, [], [], None)


def test_every_published_number_has_a_source_and_a_sound_range(load):
    verdict = load("experiments.claims.verdict")
    for section in ("claims", "light", "fleet", "rack"):
        for name, number in verdict.published(section).items():
            assert len(number.source) >= 4, name
    assert all("source" in t for t in verdict.published("requests").values())
