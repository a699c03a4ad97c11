"""Run by test_whole_core.py in a process of its own with 8 virtual devices; prints one JSON object.

With every source of error on: is the sharded product the single-device one, bit for bit?
"""

import json

import jax
import mesh_program
from jax.sharding import PartitionSpec as P

import photonjax as pj
from photonjax.core.spread import gaussian_spot

PLAIN = pj.OpticalCore(
    rows=72, cols=24, adc={"bits": None}
)  # tiles whose boundaries are not the shards'
SOURCES = dict(
    photons=300.0,
    source={"rin_db_hz": -125.0, "channel_rin_db_hz": -125.0},
    input={"extinction_db": 12.0, "noise": 0.01, "relative_noise": 0.01, "bandwidth_hz": 5e8,
           "enob": 6.0, "inl_lsb": 0.5},
    array={
        "noise": 0.01, "seconds_since_programming": 1e5, "drift_exponent": 0.02, "drift_spread": 0.01,
        "flicker_noise": 0.01, "dead_fraction": 0.02, "stuck_fraction": 0.02, "crosstalk_rows": 0.02,
        "crosstalk_cols": 0.02, "vignetting": 0.1, "misalignment_rows": 0.05, "misalignment_cols": 0.05,
        "point_spread": gaussian_spot(0.4, 0.3, reach=1),
    },
    receiver={
        "noise_a_per_rthz": 1e-13, "dark_current_a": 1e-9, "saturation_electrons": 3e3,
        "relative_noise": 0.02, "gain_error": 0.02, "offset_error": 0.02, "common_noise": 0.05,
        "outlier_fraction": 0.05, "outlier_ratio": 3.0,
    },
)  # fmt: skip
EMITTERS = {"threshold_fraction": 0.1, "threshold_error": 0.02, "bandwidth_hz": 6e8}
PHASES = {"phase_error": 0.1, "phase_noise": 0.1}
CURVES = dict(
    input={"curve": "lorentzian", "resonance_detuning": 3.0},
    array={"curve": "sin2", "resonance_detuning": 3.0},
)
SLICES = dict(
    rows=96,
    input={"slices": 2, "scale": "per_tile", "power_of_two_scale": True},
    array={"slices": 2, "scale": "per_tile", "power_of_two_scale": True},
)
ALL = PLAIN.replace(**SOURCES)
BENT = ALL.replace(**CURVES)
RAW = BENT.replace(input={"lookup": False}, array={"lookup": False})
# Without the ADC, whose rounding would hide a last-bit difference from all but a few outputs; then with.
CORES = {
    "differential": BENT.replace(
        encoding={"shot_estimate": "exact"},
        source=EMITTERS,
        array={"interleaved": True},
        receiver={"imbalance": 0.05},
    ),
    "offset": RAW.replace(encoding="offset", source=EMITTERS),
    "homodyne, slices": ALL.replace(
        **SLICES, encoding="homodyne", receiver=PHASES | {"imbalance": 0.05}
    ),
    "quadrature": RAW.replace(
        receiver={"saturation_electrons": None} | PHASES, encoding="quadrature"
    ),
    "dither, counts, ADC": ALL.replace(
        rows=96,
        encoding={"photon_statistics": "poisson"},
        input={"extinction": "dither", "bits": 4, "scale": "static", "range": 3.0},
        array={"bits": 4},
        adc={"bits": 8, "enob": 7.0, "inl_lsb": 1.0, "gain": 2.0},
        sampler="threefry",
    ),
}
LAYOUT = {"data, columns and rows": (P("i", "k"), P("k", "j"))}


if __name__ == "__main__":
    assert jax.device_count() == 8
    mesh = jax.make_mesh((2, 2, 2), ("i", "j", "k"), axis_types=(jax.sharding.AxisType.Auto,) * 3)
    print(
        json.dumps({name: mesh_program.compare(core, mesh, LAYOUT) for name, core in CORES.items()})
    )
