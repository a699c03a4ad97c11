"""Row-parallel layers on an explicit mesh: the bits of one device. Done by row_parallel_program.py, once."""

from pathlib import Path

import pytest

from tests.devices import run_on

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("processes_compile_alike")]


def test_contracted_axes_may_be_sharded():
    found = run_on(8, Path(__file__).with_name("row_parallel_program.py"))
    assert len(found["products"]) == 9
    assert not {name: result for name, (result, _) in found["products"].items() if result}
    # backward products are sums in floating point, whose order is the mesh's
    assert all(slope < 2e-6 for _, slope in found["products"].values()), found
    assert max(found["ranges"]) < 1e-4  # measured sums are in floating point too
