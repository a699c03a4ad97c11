"""What a prefill costs on a core and on a digital baseline, with the spread of assumed numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from flax import nnx

import photonjax as pj
from experiments.evaluate.config import Evaluate
from photonjax.machines import DigitalAccelerator


class Costs:
    """Costs of one model's prefill of ``[windows, length]`` tokens in one batch.

    Products that a conversion left digital, and every other operation, are charged to the digital
    accelerator in both.
    """

    def __init__(
        self,
        config: Evaluate,
        model: nnx.Module,
        shape: tuple[int, ...],
        accelerator: DigitalAccelerator,
    ):
        self.config = config
        self.accelerator = accelerator
        self.tokens = math.prod(shape)
        graph, state = nnx.split(model)
        self.workload = pj.trace_workload(
            lambda state, tokens: nnx.merge(graph, state)(tokens),
            state,
            jax.ShapeDtypeStruct(shape, jnp.int32),
        )
        cost = pj.cost.estimate(self.workload, accelerator, dtype=config.cost.dtype)
        self.baseline = {
            "name": config.digital.name,
            "dtype": config.cost.dtype,
            "tokens": self.tokens,
            "joules_per_token": float(cost.joules) / self.tokens,
            "floor_joules_per_token": float(cost.floor.joules) / self.tokens
            if cost.floor
            else None,
        }

    def of(
        self, core: pj.OpticalCore, report: pj.ConversionReport, fields: set[str]
    ) -> dict[str, float | None]:
        """Joules per token on a core: as set, and percentiles over the ranges of assumed numbers.

        Args:
          core: the machine; without ``photons`` there is no laser to charge, hence no estimate.
          report: says which products are on light.
          fields: fields that the experiment sets itself; they are not varied.
        """
        names = ("joules_per_token", *(f"joules_per_token_p{p}" for p in (10, 50, 90)))
        if core.photons is None or core.costs is None:
            return dict.fromkeys(names)
        parameters = {site.parameter for site in report.optical}

        def joules(core: pj.OpticalCore) -> jax.Array:
            return self._joules(core, lambda site: site.path in parameters)

        known = pj.cost.UncertainMachine.named(self.config.core["name"], core, fixed=fields)
        drawn = pj.cost.monte_carlo(
            joules, known, samples=self.config.cost.samples, seed=self.config.seed
        )
        spread = pj.cost.quantiles(drawn, (0.1, 0.5, 0.9))
        return dict(zip(names, [float(joules(known.machine)), *spread.values()], strict=True))

    def check(self, cores: Iterable[pj.OpticalCore]) -> None:
        """Refuse an accelerator that cannot be charged, before anything is evaluated."""
        for core in cores:
            if core.photons is not None and core.costs is not None:
                self._joules(core, lambda site: site.stationary)
                return

    def _joules(self, core: pj.OpticalCore, where: Callable[[pj.MatmulSite], bool]) -> jax.Array:
        """Per token; products that are not ``where`` are charged to the accelerator."""
        cost = pj.cost.estimate(
            self.workload,
            core,
            where=where,
            digital=self.accelerator,
            dtype=self.config.cost.dtype,
        )
        return cost.joules / float(self.tokens)  # an integer beyond 2**31 has no place in a program

    def describe(self) -> str:
        """What the energies mean, in a few lines."""
        base = self.baseline
        floor = base["floor_joules_per_token"]
        return (
            f"digital baseline {base['name']}, {base['dtype']}: "
            f"{1e3 * base['joules_per_token']:.3g} mJ/token whole accelerator, "
            + (f"{1e3 * floor:.3g} mJ/token bare arithmetic\n" if floor else "\n")
            + f"energies: {self.tokens:,} tokens in one batch; on a core, the range is the tenth to the "
            f"ninetieth percentile over {self.config.cost.samples:,} draws of the numbers that nobody "
            "has published\n(see photonjax.machines.describe), all assumed independent; everything "
            f"but the products on light is charged to {base['name']}"
        )
