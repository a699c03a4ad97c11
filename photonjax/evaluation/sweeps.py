"""What a traced program takes as a size grows: rows of counts, joules and seconds.

Nothing here knows a formula of a model: every number follows from the workload of a traced program and
the costs that :mod:`photonjax.cost` works out for it. :mod:`photonjax.evaluation.exponents` fits how
they grow.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from photonjax import cost, models
from photonjax.core import OpticalCore, set_fields
from photonjax.evaluation.crossings import Crossing, crossings
from photonjax.machines import DigitalAccelerator
from photonjax.workload import MatmulSite, Workload, trace_workload

__all__ = [
    "COMPONENT",
    "VARIANTS",
    "SweepMachines",
    "component_columns",
    "matrix_workload",
    "model_workload",
    "overtakings",
    "sweep",
    "switched",
    "trace_row",
]

Row = dict[str, Any]
OnLight = Callable[[MatmulSite], bool] | None

# What is charged: the whole machine, and the same with parts of it for nothing; `optics`: with neither
# memory, nor loading, nor converters.
VARIANTS: dict[str, dict[str, bool]] = {
    "": {},
    "_no_memory": {"memory": False},
    "_no_loading": {"loading": False},
    "_neither": {"memory": False, "loading": False},
    "_optics": {"memory": False, "loading": False, "converters": False},
}
COMPONENT = "light_j: "  # before the name of a component of the light's cost


# Rows: what a program takes ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class SweepMachines:
    """What a sweep is estimated on.

    Attributes:
      core: the optical machine, or a function from the swept size to one (an array that grows with it).
      accelerator: the digital baseline; also does what the core does not.
      dtype: of products with weights on the accelerator as a baseline.
      attention_dtype: of products of two computed operands, on the accelerator and beside the core.
      where: which sites run on light; by default those with weights.
    """

    core: OpticalCore | Callable[[int], OpticalCore]
    accelerator: DigitalAccelerator
    dtype: str = "int8"
    attention_dtype: str = "bfloat16"
    where: OnLight = None

    def core_at(self, value: int) -> OpticalCore:
        """The core for one size."""
        return self.core if isinstance(self.core, OpticalCore) else self.core(value)


def sweep(
    over: str, values: Iterable[int], program: Callable[[int], Workload], machines: SweepMachines
) -> list[Row]:
    """A row for each size: :func:`trace_row` of the program traced with it.

    Args:
      over: name of what is swept; stands in each row.
      values: sizes.
      program: from a size to a workload (:func:`matrix_workload`, :func:`model_workload`).
      machines: what it is estimated on.

    Example:
      >>> from photonjax import machines
      >>> both = SweepMachines(machines.optical("display-1024"), machines.digital("h100-sxm"))
      >>> rows = sweep("N", [256, 512], lambda n: matrix_workload(n, tokens=64), both)
      >>> [row["macs"] for row in rows]
      [4194304, 16777216]
    """
    return [
        {"over": over, "value": v, **trace_row(program(v), machines.core_at(v), machines)}
        for v in values
    ]


def trace_row(workload: Workload, core: OpticalCore, machines: SweepMachines) -> Row:
    """Counts, joules and seconds of one program, as plain numbers.

    * ``macs`` = ``weight_macs`` + ``attention_macs`` (products of two computed operands);
    * of what runs on light: ``symbols``, ``conversions`` (by ADCs), ``samples`` (by DACs),
      ``weight_loads`` (arrays written), ``memory_bytes`` (activation and weight memory, and partial sums of
      4 bytes read and written);
    * ``light_j``, ``light_s``: what runs on light, whole and with each of :data:`VARIANTS` for nothing;
      ``light_j: name``: each component; ``memory_j``, ``loading_j``: what memory, and loading, add to it (the
      laser and the rest that wait for weights included);
    * ``beside_j``, ``beside_s``: what the accelerator beside does; ``optical_j``, ``optical_s``: both;
    * ``digital_j``, ``digital_s``, ``floor_j``: everything on the accelerator, and its arithmetic alone.
    """
    chosen = machines.where or (lambda site: site.stationary)

    def on_light(site: MatmulSite) -> bool:
        return chosen(site) and not site.complex

    light = [site for site in workload.matmuls if on_light(site)]
    counts = [cost.count(site, core) for site in light]
    row: Row = {
        "macs": workload.macs,
        "weight_macs": sum(s.macs for s in workload.matmuls if s.stationary),
        "attention_macs": sum(s.macs for s in workload.matmuls if not s.stationary),
        "light_macs": sum(s.macs for s in light),
        "symbols": sum(c.symbols for c in counts),
        "conversions": sum(c.conversions for c in counts) if core.adc.bits is not None else 0.0,
        "samples": sum(c.inputs + c.weights for c in counts)
        if core.input.bits is not None
        else 0.0,
        "weight_loads": sum(c.loads for c in counts),
        "memory_bytes": _memory_bytes(workload, core, on_light),
    }
    both = cost.estimate(
        workload, core, where=on_light, digital=machines.accelerator, dtype=machines.attention_dtype
    )
    beside = [e for e in both.entries if e.where == "digital"]
    for name, switches in VARIANTS.items():
        alone = cost.estimate(workload, switched(core, **switches), where=on_light)
        row[f"light_j{name}"], row[f"light_s{name}"] = float(alone.joules), float(alone.seconds)
        if not name:
            components = {COMPONENT + k: float(v) for k, v in alone.by_component().items()}
    row["memory_j"] = row["light_j"] - row["light_j_no_memory"]
    row["loading_j"] = row["light_j"] - row["light_j_no_loading"]
    row["beside_j"] = float(sum(sum(e.joules.values()) for e in beside))
    row["beside_s"] = float(sum(sum(e.seconds.values()) for e in beside))
    row["optical_j"], row["optical_s"] = float(both.joules), float(both.seconds)

    def precision(site: MatmulSite) -> str:
        return machines.dtype if site.stationary else machines.attention_dtype

    base = cost.estimate(workload, machines.accelerator, dtype=precision)
    assert base.floor is not None
    row["digital_j"], row["digital_s"] = float(base.joules), float(base.seconds)
    return {**row, "floor_j": float(base.floor.joules), **components}


def switched(
    core: OpticalCore, *, memory: bool = True, loading: bool = True, converters: bool = True
) -> OpticalCore:
    """The core with parts of it for nothing, in energy and in time.

    Args:
      core: with costs.
      memory: activation memory and hierarchy, partial sums, weight memory.
      loading: writing weights into the array, and fetching them from the weight memory.
      converters: DACs and ADCs.
    """
    costs = core.costs
    if costs is None:
        raise ValueError(
            "OpticalCore.costs is None: take one of machines.optical_names() that has costs"
        )
    free: dict[str, Any] = {}
    if not memory:
        free |= {"activation_energy_j_per_byte": 0.0, "activation_bytes_per_s": None}
        free |= {"accumulate_energy_j": 0.0}
        free |= {"memories": ()} if costs.memories else {}
    if not loading:
        free |= {"load_time_s": 0.0, "load_energy_j": 0.0}
    if not (memory and loading):
        free |= {"weight_memory_energy_j_per_byte": 0.0, "weight_memory_bytes_per_s": None}
    if not converters:
        free |= {"dac_energy_j": 0.0, "adc_energy_j": 0.0}
    return core.replace(costs=dataclasses.replace(costs, **free))


def _memory_bytes(workload: Workload, core: OpticalCore, on_light: OnLight) -> float:
    """At one joule a byte the joules are bytes."""
    each = {"activation": 1.0, "weight_memory": 1.0}
    prices = {f"costs.{name}_energy_j_per_byte": value for name, value in each.items()}
    metered = set_fields(core, prices | {"costs.accumulate_energy_j": 8.0})
    joules = cost.estimate(workload, metered, where=on_light).by_component()
    return float(sum(joules.get(k, 0.0) for k in ("activations", "weight memory", "partial sums")))


# Programs ----------------------------------------------------------------------------------------


@functools.cache
def matrix_workload(n: int, tokens: int) -> Workload:
    """``tokens`` vectors through one square matrix of weights."""
    weights = {"w": jax.ShapeDtypeStruct((n, n), jnp.bfloat16)}
    x = jax.ShapeDtypeStruct((tokens, n), jnp.bfloat16)
    return trace_workload(lambda p, x: x @ p["w"], weights, x)


@functools.cache
def model_workload(
    model: str | models.DecoderConfig, context: int, batch: int = 1, width: int | None = None
) -> Workload:
    """A prefill of a model, by name or configuration, at another width if one is given.

    Equal products are counted together. For widths see :func:`photonjax.models.widened`.
    """
    config: Any = models.named(model) if isinstance(model, str) else model
    if width is not None:
        config = models.widened(config, width)
    return cost.group_sites(models.prefill_workload(config, tokens=context, batch=batch))


# Components --------------------------------------------------------------------------------------


def overtakings(rows: Sequence[Row], fraction: float = 0.02, x: str = "value") -> list[Crossing]:
    """Crossings among components of the light's energy, where both are at least this fraction of it."""
    names = component_columns(rows)
    found = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            for c in crossings(rows, a, b, x):
                near = min(rows, key=lambda row: abs(math.log(row[x] / c.at)))
                if min(near[a], near[b]) >= fraction * near["light_j"]:
                    found.append(Crossing(c.at, *(n.removeprefix(COMPONENT) for n in c[1:])))
    return sorted(found)


def component_columns(rows: Sequence[Row]) -> list[str]:
    """Columns of the light's components that are above zero somewhere, largest fraction first."""
    names = [k for k in rows[0] if k.startswith(COMPONENT)]
    most = {k: max(row[k] / row["light_j"] for row in rows if row["light_j"]) for k in names}
    return sorted((k for k in names if most[k] > 0), key=lambda k: -most[k])
