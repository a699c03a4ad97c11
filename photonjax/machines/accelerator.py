"""A digital accelerator, as far as its time and energy are concerned."""

from __future__ import annotations

import dataclasses
from typing import Any

from photonjax.core.pytree import check_leaves, check_number, leaf, register

__all__ = ["DTYPE_BITS", "DigitalAccelerator"]

DTYPE_BITS = {
    "float32": 32,
    "bfloat16": 16,
    "float16": 16,
    "float8": 8,
    "int8": 8,
    "float4": 4,
    "int4": 4,
}
"""Names a product's precision may have, and the bits that one number takes in memory."""


@register
@dataclasses.dataclass(frozen=True)
class DigitalAccelerator:
    """Peak rates, bandwidth, power and arithmetic energy of a digital accelerator.

    A baseline is always shown in two views: the whole accelerator (roofline time at the stated
    utilisation, times its power) and the bare floor of its arithmetic (energy per
    multiply-accumulate). Everything is a pytree leaf.

    Attributes:
      ops_per_s: dense peak rate of matrix products by precision [operations/s; one
        multiply-accumulate is two]. Empty for a reference that is only an energy per
        multiply-accumulate.
      mac_energy_j: of one multiply-accumulate alone, by precision [J]: no memory, control or idle
        silicon.
      vector_ops_per_s: peak rate of operations that are not matrix products [1/s]; ``None``: they are
        not charged.
      transcendental_ops: such operations that one exponential, root or sine takes the time of.
      bandwidth_bytes_per_s: of the main memory [B/s]; ``None``: never the limit.
      power_w: of all of it, memory included, while it works [W]; ``None``: only the floor can be
        charged.
      utilisation: fraction of the products' peak rates that real programs reach: model FLOP utilisation
        (MFU), which contains all waiting, also for operations that are not products.
      energy_per_byte_j: of main memory traffic, added to the floor as a component of its own [J/B];
        ``None``: left out.
      memory_bytes: capacity of the main memory [B]; ``None``: not checked.
      area_m2: of the silicon [m2]; ``None`` where nobody has published it. No formula uses it.

    Raises:
      ValueError, TypeError: on construction, naming the field, its value and what is allowed.

    Example:
      >>> from photonjax.machines import DigitalAccelerator
      >>> accelerator = DigitalAccelerator({"int8": 4e14}, {"int8": 1e-13}, power_w=200.0, utilisation=0.5)
      >>> accelerator.rate("int8")
      400000000000000.0
      >>> accelerator.rate("float32")
      Traceback (most recent call last):
      ...
      ValueError: DigitalAccelerator.ops_per_s has no float32; give dtype=, one of int8
    """

    ops_per_s: dict[str, Any] = leaf()
    mac_energy_j: dict[str, Any] = leaf()
    vector_ops_per_s: Any = leaf(None, above=0.0)
    transcendental_ops: Any = leaf(8.0, above=0.0)
    bandwidth_bytes_per_s: Any = leaf(None, above=0.0)
    power_w: Any = leaf(None, above=0.0)
    utilisation: Any = leaf(1.0, above=0.0, high=1.0)
    energy_per_byte_j: Any = leaf(None, low=0.0)
    memory_bytes: Any = leaf(None, above=0.0)
    area_m2: Any = leaf(None, above=0.0)

    def __post_init__(self) -> None:
        check_leaves(self)
        for name in ("ops_per_s", "mac_energy_j"):
            table = getattr(self, name)
            if not isinstance(table, dict):
                raise TypeError(
                    f"DigitalAccelerator.{name} = {table!r} is not a dict from precision to number"
                )
            for dtype, value in table.items():
                where = f"DigitalAccelerator.{name}[{dtype!r}]"
                if dtype not in DTYPE_BITS:
                    raise ValueError(
                        f"{where}: unknown precision; choose one of {', '.join(DTYPE_BITS)}"
                    )
                check_number(where, value, above=0.0)

    def rate(self, dtype: str) -> Any:
        """Peak rate of products in ``dtype`` [operations/s]; ``ValueError`` lists the known ones."""
        return self._entry("ops_per_s", dtype)

    def mac_energy(self, dtype: str) -> Any:
        """Energy of one bare multiply-accumulate in ``dtype`` [J]; ``ValueError`` lists the known ones."""
        return self._entry("mac_energy_j", dtype)

    def _entry(self, name: str, dtype: str) -> Any:
        table = getattr(self, name)
        if dtype not in table:
            known = ", ".join(table) or "nothing"
            raise ValueError(
                f"DigitalAccelerator.{name} has no {dtype}; give dtype=, one of {known}"
            )
        return table[dtype]
