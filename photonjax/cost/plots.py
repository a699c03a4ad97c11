"""Pictures of costs and of what they rest on. Matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from photonjax.cost.breakdown import CostBreakdown, si
from photonjax.cost.uncertainty import Swing
from photonjax.plotting import PALETTE, colors, new_axes

__all__ = ["plot_breakdowns", "plot_tornado"]


def plot_breakdowns(costs: Mapping[str, CostBreakdown], axes: Any = None) -> Any:
    """One stacked bar of components for each cost [J]; returns the Matplotlib axes.

    Components below half a percent are drawn together.

    Args:
      costs: by the name that stands beside the bar.
      axes: to draw on; by default new ones.
    """
    axes = axes or new_axes()
    energies = {name: _merged(cost) for name, cost in costs.items()}
    starts = [0.0] * len(energies)
    components = list(dict.fromkeys(c for e in energies.values() for c in e))
    for component, color in zip(components, colors(len(components)), strict=True):
        widths = [e.get(component, 0.0) for e in energies.values()]
        axes.barh(list(energies), widths, left=starts, label=component, color=color)
        starts = [a + b for a, b in zip(starts, widths, strict=True)]
    for row, total in enumerate(starts):
        axes.annotate(
            *(si(total, "J"), (total, row), (4, 0)),
            **dict(textcoords="offset points", va="center", fontsize="small"),
        )
    axes.set_xlim(0.0, 1.2 * max([*starts, 1e-30]))
    axes.set_xlabel("energy [J]")
    axes.invert_yaxis()
    axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return axes


def plot_tornado(
    swings: Sequence[Swing], value: float, axes: Any = None, *, label: str = "result", top: int = 12
) -> Any:
    """The ``top`` largest swings as bars about the value as set; returns the Matplotlib axes.

    Numbers that move the result by less than five percent are left out.

    Args:
      swings: of ``photonjax.cost.swings``.
      value: the result as set.
      axes: to draw on; by default new ones.
      label: of the result.
      top: how many.
    """
    axes = axes or new_axes()
    shown = [s for s in swings if max(s.at_low, s.at_high) > 1.05 * min(s.at_low, s.at_high)][:top]
    names = [f"{s.machine}: {s.field}" for s in shown]
    for end, color in zip(("low", "high"), PALETTE, strict=False):
        widths = [getattr(s, f"at_{end}") - value for s in shown]
        axes.barh(names, widths, left=value, color=color, label=f"number at its {end} end")
    axes.set_xscale("log")
    axes.axvline(value, color="black", linewidth=0.8)
    axes.set_xlabel(label)
    axes.invert_yaxis()
    # Above the bars: inside, it would hide the short ones where the value is near an end of the axis.
    axes.legend(fontsize="x-small", loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    return axes


def _merged(cost: CostBreakdown) -> dict[str, float]:
    energies = {name: float(value) for name, value in cost.by_component().items()}
    least = 0.005 * sum(energies.values())
    shown = {name: value for name, value in energies.items() if value > least}
    rest = sum(energies.values()) - sum(shown.values())
    return shown | ({"smaller ones": rest} if rest > 0 else {})
