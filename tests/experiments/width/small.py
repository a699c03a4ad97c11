"""A study of decoders of widths 8 and 16 on a text that repeats itself."""

from __future__ import annotations

import json
import pathlib

WORDS = (
    "light falls on the page and the lamp counts photons while she reads of fields that add".split()
)


def text_file(folder: pathlib.Path) -> pathlib.Path:
    """Twenty documents of few words in many orders."""
    file = folder / "text.jsonl"
    documents = [
        " ".join(WORDS[(i * i + 3 * d * i + d) % len(WORDS)] for i in range(150)) for d in range(20)
    ]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return file


def overrides(folder: pathlib.Path) -> list[str]:
    """Settings of the study; ``folder``: for its text and results."""
    return [
        f"text.corpora=['file:{text_file(folder)}']",
        "text.held_out_every=5",
        "text.vocabulary=280",
        "text.length=16",
        "shape={layers: 2, head_size: 4, swiglu_ratio: 3, relu_ratio: 4}",
        "grid.widths=[8, 16]",
        "grid.scalings=[mup]",
        "grid.mlps=[relu]",
        "grid.seeds=2",
        "grid.steps=60",
        "grid.tuning_steps=20",
        "training={batch: 8, keep_every: 20}",
        "rates=[0.01, 0.03]",
        "tuning_windows=4",
        "windows=2",
        "noise_seeds=2",
        "uncorrected_noise_seeds=3",
        "grid.operands=[plain, hadamard]",
        "core.rows=64",
        "~encodings.homodyne",
        f"results_dir={folder / 'results'}",
    ]
