"""The trainings of a study, one after another, and how long those that are left may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from experiments.harness import Parts, note
from experiments.harness.progress import duration
from experiments.width.config import Width


class Trainings:
    """Parts of a run that are trainings.

    Before each, a line says how many are left and, from those that were done in this process, how long they
    may take: as many operations a second as so far, narrow decoders and wide ones alike.

    Args:
      parts: of the run.
      flops: floating-point operations of each training, by the name of its part.
    """

    def __init__(self, parts: Parts, flops: Mapping[str, float]):
        self.parts = parts
        self.left = {name: each for name, each in flops.items() if name not in parts.known}
        self.done = self.seconds = 0.0

    def get(self, name: str, work: Callable[[], Any]) -> Any:
        """The result of one."""
        if name not in self.left:
            return self.parts.get(name, work)
        rest = sum(self.left.values())
        several = "s" if len(self.left) > 1 else ""
        text = f"{name}: {len(self.left)} training{several} left, {rest / 1e12:,.3g} TFLOP"
        if self.done:
            text += f", about {duration(rest * self.seconds / self.done)}"
        note(text)
        start = time.perf_counter()
        found = self.parts.get(name, work)
        self.seconds += time.perf_counter() - start
        self.done += self.left.pop(name)
        return found


def training_flops(config: Width, mlp: str, width: int, steps: int) -> float:
    """Of one training: 6 for each weight of a product and token (2 forwards, 4 back), attention aside."""
    of = config.decoder(width, mlp)
    matrices = 4 * width + (3 if of.gated_mlp else 2) * of.intermediate_size
    weights = width * (of.num_layers * matrices + of.vocab_size)
    return 6.0 * weights * steps * config.training.batch * config.text.length
