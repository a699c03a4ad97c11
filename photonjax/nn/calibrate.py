"""Fixed ranges as users of hardware set them: of each site's ADC and drivers, from sample inputs."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx

from photonjax.core.measure import Measurement
from photonjax.nn.nnx import (
    HardwareParam,
    optical_dots,
    start_measuring,
    stop_measuring,
)

# Of a Measurement's vector.
_RAW_PEAK, _INPUT_PEAK = (Measurement._fields.index(name) for name in ("raw_peak", "input_peak"))


@nnx.jit
def _run(model: nnx.Module, inputs: tuple[Any, ...]) -> None:
    model(*inputs)  # type: ignore[operator]


def calibrate(model: nnx.Module, *inputs: Any, margin: float = 1.1) -> None:
    """Give every optical product of a model the ranges that sample inputs ask for; in place.

    Runs the model once on the inputs, without noise and without ADCs, and sets each site's ADC range
    to ``margin`` times the largest magnitude that its ADC would have met; a site's tiles share a
    range. Where a core's ``input.scale`` is ``"static"``, its full scale becomes ``margin`` times
    the largest input. Signals beyond saturate later, so the sample should be like the data to come.

    Args:
      model: a converted NNX model.
      inputs: what to call it with.
      margin: head room, at least 1.

    Raises:
      ValueError: for a margin below 1, or a model without optical products.

    Example:
      >>> import jax.numpy as jnp, photonjax as pj
      >>> from flax import nnx
      >>> model = nnx.Sequential(nnx.Linear(8, 4, rngs=nnx.Rngs(0)))
      >>> optical, _ = pj.convert(model, [pj.Rule("*", pj.OpticalCore())])
      >>> pj.calibrate(optical, jnp.ones((2, 8)))
    """
    if not margin >= 1:
        raise ValueError(f"calibrate: margin = {margin} is below 1: the sample itself would clip")
    dots = [dot for _, dot in optical_dots(model)]
    if not dots:
        raise ValueError("calibrate: the model has no optical products; convert it first")
    kept = [(dot.structure, dot.stream) for dot in dots]
    for dot in dots:
        loose = {"scale": "per_tensor"} if dot.structure.input.scale == "static" else {}
        dot.structure = dot.structure.replace(
            adc={"bits": None, "enob": None, "inl_lsb": None}, input=loose
        )
        dot.stream = nnx.data(None)
    start_measuring(model)
    try:
        _run(model, inputs)
        found = [dot.measurement[...] for dot in dots if dot.measurement is not None]
    finally:
        stop_measuring(model)
        for dot, (structure, stream) in zip(dots, kept, strict=True):
            dot.structure, dot.stream = structure, nnx.data(stream)
    for dot, values in zip(dots, found, strict=True):
        peak = margin * jnp.maximum(values, 1e-6)
        dot.adc_range = nnx.data(HardwareParam(peak[..., _RAW_PEAK]))
        if dot.structure.input.scale == "static":
            dot.input_range = nnx.data(HardwareParam(peak[..., _INPUT_PEAK]))
