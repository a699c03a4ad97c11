"""Ten patterns for digits, and a training of seconds."""

from __future__ import annotations

import numpy as np

from experiments.digits.config import Training
from photonjax.data.digits import Digits

RECIPE = dict(epochs=3, updates=60, batch=64, learning_rate=0.043, momentum=0.874)
RECIPE |= dict(decay=0.5, decay_epochs=2, warm_up=1, activation_levels=16, distorted=0)
TRAINING = Training(folds=2, digits=None, **RECIPE)


def patterns(count: int, seed: int) -> Digits:
    """Ten patterns of ink on paper, each copy with other specks."""
    inked = np.random.default_rng(7).random((10, 784)) < 0.2
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count).astype(np.int32)
    specks = rng.random((count, 784)) < 0.03
    grey = np.where(inked[labels] ^ specks, rng.integers(100, 256, (count, 784)), 0)
    return Digits(grey.astype(np.uint8), labels)
