"""Run by test_whole_core.py in a process of its own with 8 virtual devices; prints one JSON object.

With every source of error on: is the sharded product the single-device one, bit for bit?
"""

import dataclasses
import json

import jax
import mesh_program

import photonjax as pj

PLAIN = pj.OpticalCore(
    rows=72, cols=24, bits_out=None
)  # tiles whose boundaries are not the shards'
SOURCES = dict(
    photons=300.0, receiver_noise_a_per_rthz=1e-13, dark_current_a=1e-9, saturation_electrons=3e3,
    extinction_db=12.0, laser_rin_db_hz=-125.0, channel_rin_db_hz=-125.0, output_relative_noise=0.02,
    input_noise=0.01, input_relative_noise=0.01, modulator_bandwidth_hz=5e8, weight_noise=0.01,
    seconds_since_programming=1e5, drift_exponent=0.02, drift_spread=0.01, flicker_noise=0.01,
    dead_share=0.02, stuck_share=0.02, crosstalk_rows=0.02, crosstalk_cols=0.02, gain_error=0.02,
    offset_error=0.02,
)  # fmt: skip
CURVES = dict(input_curve="lorentzian", weight_curve="sin2", resonance_detuning=3.0)
SLICES = dict(
    rows=96,
    slices_in=2,
    slices_weight=2,
    input_scale="per_tile",
    weight_scale="per_tile",
    scale_exponents=True,
)
ALL = dataclasses.replace(PLAIN, **SOURCES)
DROWNED = dict.fromkeys(("receiver_noise_a_per_rthz", "dark_current_a", "saturation_electrons"))
# Without the ADC, whose rounding would hide a last-bit difference from all but a few outputs; then with.
CORES = {
    "differential": dataclasses.replace(ALL, **CURVES, shot_estimate="exact"),
    "offset": dataclasses.replace(ALL, **CURVES, encoding="offset", lookup=False),
    "homodyne, slices": dataclasses.replace(ALL, **SLICES, encoding="homodyne"),
    "quadrature": dataclasses.replace(ALL, **CURVES, **DROWNED, encoding="quadrature", lookup=False),
    "dither, counts, ADC": dataclasses.replace(
        ALL, extinction="dither", photon_statistics="poisson", sampler="threefry", bits_in=4,
        rows=96, bits_weight=4, bits_out=8, enob=7.0, inl_lsb=1.0, input_scale="static", input_range=3.0,
    ),
}  # fmt: skip
LAYOUTS = {name: mesh_program.LAYOUTS[name] for name in ("data and columns", "data and rows")}


if __name__ == "__main__":
    assert jax.device_count() == 8
    mesh = jax.make_mesh((4, 2), ("i", "j"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    print(
        json.dumps(
            {name: mesh_program.compare(core, mesh, LAYOUTS) for name, core in CORES.items()}
        )
    )
