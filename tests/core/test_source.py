"""The laser's fluctuation against its closed form."""

import numpy as np
import pytest
from closed_forms import (
    ANALOG,
    ENCODINGS,
    SAMPLES,
    assert_moments,
    leak_of,
    operands,
    outputs,
)

pytestmark = pytest.mark.slow  # physics, not interfaces: run on one Python


@pytest.mark.parametrize("encoding", [*ENCODINGS, "quadrature"])
def test_laser_noise_goes_with_all_light_of_a_symbol(encoding):
    """Common to the columns of a tile; independent between column tiles, k-tiles and tokens. On one rail
    the biases and the leak are light too; balanced detectors see the fluctuation of the difference."""
    K, rows, cols = 13, 8, 3
    core = ANALOG.replace(encoding=encoding, rows=rows, cols=cols, input={"extinction_db": 10.0})
    a, b = operands(K, N=7)
    columns = np.arange(7) // cols
    for seed, (rin, rate, extinction) in enumerate(
        [(-120.0, 1e9, 100.0), (-130.0, 1e10, 10.0), (-110.0, 1e8, 6.0), (-140.0, 5e9, 20.0)]
    ):
        c = 1 + 2 * leak_of(extinction) if encoding == "offset" else 0.0
        light = (a[:, None] + c) * (b + c)
        tiles = [light[k : k + rows].sum(0) for k in range(0, K, rows)]
        expected = 10 ** (rin / 10) * rate / 2 * sum(np.outer(t, t) for t in tiles)
        expected = expected * (columns[:, None] == columns)
        fields = dict(
            source={"rin_db_hz": rin}, symbol_rate_hz=rate, input={"extinction_db": extinction}
        )
        found = outputs(core.replace(**fields), a, b, seed)
        p = (a[:, None] * b).sum(0)
        assert_moments(found, p, expected)
        error = (found - p) / np.sqrt(np.diag(expected))
        following = error[1:].T @ error[:-1] / len(error)
        assert np.abs(following).max() < 5 / np.sqrt(SAMPLES)
