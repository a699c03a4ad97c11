"""Joules and seconds of a program on either kind of machine."""

from __future__ import annotations

from collections.abc import Callable

from photonjax.core.core import OpticalCore
from photonjax.core.pytree import brief
from photonjax.cost.breakdown import CostBreakdown
from photonjax.cost.digital import Precision, digital_cost
from photonjax.cost.groups import check_workload
from photonjax.cost.optical import optical_cost
from photonjax.machines import DigitalAccelerator
from photonjax.machines.accelerator import DTYPE_BITS
from photonjax.workload import MatmulSite, Workload

__all__ = ["estimate"]


def estimate(
    workload: Workload,
    machine: OpticalCore | DigitalAccelerator,
    *,
    where: Callable[[MatmulSite], bool] | None = None,
    digital: DigitalAccelerator | None = None,
    dtype: Precision = None,
) -> CostBreakdown:
    """What one call of a program costs on a machine, site by site and component by component.

    The formulas, with derivation and neglected terms, stand in ``photonjax.cost.optical`` and
    ``photonjax.cost.digital``. On a digital accelerator the result's ``floor`` is the same program at the
    bare energy of its arithmetic.

    Args:
      workload: of the program (``photonjax.trace_workload``).
      machine: an optical core that has ``costs``, or a digital accelerator.
      where: of an optical core: which sites run on light; by default the stationary ones. Complex products
        never do.
      digital: of an optical core: the accelerator that computes the rest; without it the rest is not charged,
        and the notes say what it is.
      dtype: precision of the products that run digitally, or a function that tells it of a site; by default
        the one each was traced in.

    Raises:
      ValueError: the core has no costs; its weights are to be resident and do not fit; ``digital`` has no
        rates or power; an accelerator has no rate, or energy, for a precision; ``where`` or ``digital`` is
        given with a digital machine.
      TypeError: ``workload``, ``machine`` or ``digital`` is not what it should be.

    Example:
      >>> import photonjax as pj
      >>> site = pj.MatmulSite("w", 1, 2048, 2048, 1024, 3, dtype="bfloat16", stationary=True)
      >>> load = pj.Workload([site], [])
      >>> cost = estimate(load, pj.machines.optical("display-1024"))
      >>> cost.by_component("seconds")["compute"]  # 3 x 2 tiles x 2048 symbols at 1 GHz
      1.2288e-05
      >>> cost = estimate(load, pj.machines.digital("h100-sxm"))
      >>> round(cost.joules / site.macs * 1e12, 2), round(cost.floor.joules / site.macs * 1e12, 2)  # pJ/MAC
      (2.83, 0.3)
    """
    check_workload("estimate", workload)
    if where is not None and not callable(where):
        raise TypeError(f"estimate: where = {brief(where)} is not a function of a MatmulSite")
    if isinstance(dtype, str) and dtype not in DTYPE_BITS:
        raise ValueError(f"estimate: dtype = {dtype!r}; choose one of {', '.join(DTYPE_BITS)}")
    if digital is not None and not isinstance(digital, DigitalAccelerator):
        raise TypeError(
            f"estimate: digital = {brief(digital)} is not a DigitalAccelerator; pj.machines.digital gives "
            "one by name"
        )
    if isinstance(machine, OpticalCore):
        return optical_cost(workload, machine, where=where, digital=digital, dtype=dtype)
    if not isinstance(machine, DigitalAccelerator):
        raise TypeError(
            f"estimate: machine = {brief(machine)} is neither an OpticalCore nor a DigitalAccelerator; "
            "pj.machines.optical and pj.machines.digital give them by name"
        )
    for name, value in (("where", where), ("digital", digital)):
        if value is not None:
            raise ValueError(f"{name} = {value!r}: only an optical core leaves products to others")
    return digital_cost(workload, machine, dtype=dtype)
