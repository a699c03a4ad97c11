"""One device and eight: the same bits. The work is done by mesh_program.py, once.

Compiled quickly; test_whole_core.py does all sources at once, compiled as a user's program is.
"""

from pathlib import Path

import pytest

from tests.devices import run_on

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("processes_compile_alike")]

HERE = Path(__file__).parent


def test_sharded_products_are_bit_identical():
    found = run_on(8, HERE / "mesh_program.py")
    assert run_on(1, HERE / "mesh_program.py") == found["fingerprint"]  # row blocks there, not here
    found = found["differences"]
    assert len(found) == 7
    different = {
        f"{core}, {layout}": error
        for core, layouts in found.items()
        for layout, error in layouts.items()
        if error
    }
    assert not different
