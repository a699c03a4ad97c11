"""The measurements, from a directory or from their owners' repository, and what the sweeps say."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from experiments.harness.errors import UserError, user_errors
from experiments.harness.paths import user_path
from photonjax import data
from photonjax.data.artifacts import Artifact

_OWNER = "https://raw.githubusercontent.com/lightmatter-ai/upaia-paper-2025"
_COMMIT = "4792f49f4cd6be5f18c381401274d99f262cdd52"
FILES = {
    "error_dists.npz": (
        2097670,
        "b55480d47c80e802596b5b8481211d8138cd2c413f69de38a13694b6dd7efeb5",
    ),
    "vector_sweeps.npz": (
        2097416,
        "3d09695a8643883b83f99948db881d72ed1ac450df398ded08f53a356809eeec",
    ),
    "weight_sweeps.npy": (
        2080896,
        "4394b6de82b298c488669acb1f37cabaa6c906457d31da71fda013a99cd212b9",
    ),
}


@dataclasses.dataclass(frozen=True)
class Measurements:
    """Readings in codes of the converter, NaN where there is none.

    Attributes:
      expected, observed: ``[T, N]`` products of one weight matrix with T vectors.
      vectors: ``[N, places, codes]`` readings where ``-codes/2 ... codes/2 - 1`` were expected.
      weights: ``[N, K, levels]`` of each cell alone, its level from one end to the other.
    """

    expected: np.ndarray
    observed: np.ndarray
    vectors: np.ndarray
    weights: np.ndarray


def load(directory: str | None) -> Measurements:
    """The measurements.

    Raises:
      UserError: a file is missing, or holds something else.
    """
    errors = _read(directory, "error_dists.npz")
    vectors = _read(directory, "vector_sweeps.npz")
    weights = _read(directory, "weight_sweeps.npy")
    where = f"readings: {directory or 'what was fetched'}"
    try:
        found = Measurements(
            errors["expected"], errors["observed"], vectors["arr_0"] / 4, np.asarray(weights)
        )
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(f"{where}: an array is missing ({error})") from None
    if (found.vectors.ndim, found.weights.ndim) != (3, 3):
        raise UserError(
            f"{where}: sweeps {found.vectors.shape} and {found.weights.shape} are not [columns, places, "
            "codes] and [columns, inputs, levels]"
        )
    return found


def _read(directory: str | None, name: str) -> Any:
    if directory is None:
        size, sha256 = FILES[name]
        url = f"{_OWNER}/{_COMMIT}/figure_data/{name}"
        with user_errors(data.FetchError, prefix="readings: "):
            path = data.fetch(Artifact(name, size, sha256, "not stated", url=url))
    else:
        path = user_path("readings", directory) / name
    with user_errors(OSError, ValueError, prefix=f"readings: {path}: "):
        return np.load(path, allow_pickle=False)


def sweep_rows(found: Measurements) -> list[dict[str, Any]]:
    """Gains, scatter and departure from a line of both sweeps, each with what a resampled cell gives."""
    vectors, codes = found.vectors, found.vectors.shape[-1]
    flat = vectors.reshape(-1, codes)
    rows = [{"sweep": "vectors", "what": "gaps", "value": float(np.isnan(flat).mean())}]
    gain, offset, rest = lines(np.arange(codes) - codes // 2, flat)
    rows += [
        {"sweep": "vectors", "what": "gain", "value": float(gain.mean())},
        {"sweep": "vectors", "what": "gain spread", "value": float(gain.std() / gain.mean())},
        {"sweep": "vectors", "what": "offset spread (codes)", "value": float(offset.std())},
        {"sweep": "vectors", "what": "residual (codes)", "value": rms(rest)},
    ]
    weights = found.weights.astype(float)
    columns, inputs, levels = weights.shape
    half = (levels - 1) / 2
    gain, offset, rest = lines(np.arange(levels) - half, weights.reshape(-1, levels))
    slope = gain.reshape(columns, inputs) / gain.mean()
    by_input, by_column = slope.mean(axis=0), slope.mean(axis=1)
    alone = slope - by_input[None] - by_column[:, None] + 1
    rows += [
        {"sweep": "weights", "what": "slope spread", "value": float(slope.std())},
        {"sweep": "weights", "what": "... between inputs", "value": float(by_input.std())},
        {"sweep": "weights", "what": "... between columns", "value": float(by_column.std())},
        {"sweep": "weights", "what": "... left to cells", "value": float(alone.std())},
        {
            "sweep": "weights",
            "what": "off its line (of full scale)",
            "value": rms(rest) / float(gain.mean() * half),
        },
    ]
    return rows


def lines(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope, offset and residuals of a line through each row of ``y``, gaps (NaN) left out."""
    there = np.isfinite(y)
    count = there.sum(axis=1)
    of = np.where(there, x, 0.0)
    dx = np.where(there, x - (of.sum(axis=1) / count)[:, None], 0.0)
    mean = np.nansum(y, axis=1) / count
    gain = (dx * np.where(there, y, 0.0)).sum(axis=1) / (dx**2).sum(axis=1)
    offset = mean - gain * of.sum(axis=1) / count
    return gain, offset, y - gain[:, None] * x - offset[:, None]


def rms(of: np.ndarray) -> float:
    """Root mean square, gaps left out."""
    return float(np.sqrt(np.nanmean(of**2)))
