"""The stand-in classifier, on digits that the test makes up."""

from __future__ import annotations

import numpy as np
import pytest

from photonjax.data.digits import Digits

pytestmark = pytest.mark.slow  # trains two networks


def test_gain_and_training_on_shot_noise(ours, monkeypatch):
    from experiments.fidelity import classifier

    rng = np.random.default_rng(0)
    shapes = rng.uniform(0, 255, (10, 784)) * (rng.random((10, 784)) < 0.2)
    labels = rng.integers(0, 10, 1000).astype(np.int32)
    images = np.clip(shapes[labels] + rng.normal(0, 60, (1000, 784)), 0, 255).astype(np.uint8)
    monkeypatch.setattr(classifier, "read_packaged", lambda file: Digits(images, labels))
    monkeypatch.setattr(classifier.data, "fetch", lambda name: name)
    rows = {row["name"]: row for row in classifier.classifier_rows(0, updates=120)}
    snr = [row for name, row in rows.items() if name.endswith("SNR")]
    assert [row["verdict"] for row in snr] == ["reproduced"] * 2
    assert snr[1]["ours"] - snr[0]["ours"] == pytest.approx(20 * np.log10(8), abs=0.3)
    gains = [row for name, row in rows.items() if "8 bits, gain" in name and "SNR" not in name]
    assert [row["published"] for row in gains] == [0.7, None, None, 75.2]
    digital = rows["the same, digital"]["ours"]
    assert gains[-1]["ours"] == pytest.approx(digital, abs=1.0) and digital > 90
    lit = [row for name, row in rows.items() if name.startswith("classifier")]
    assert {row["verdict"] for row in lit} == {"stand-in"}
    assert lit[1]["ours"] > lit[0]["ours"] + 20, lit  # what was trained on noise bears more of it
