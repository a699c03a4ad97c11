"""The one engine that applies rules: which product runs where, and why."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from photonjax.core.core import OpticalCore
from photonjax.rules.report import ConversionReport
from photonjax.rules.rule import Rule, Site, Status, as_rules


class Engine:
    """Decides product after product by rules, and remembers what the rules were good for.

    Attributes:
      rules: the first that takes a site decides.
      sites: as they were decided, in order.
    """

    def __init__(self, rules: Sequence[Rule]):
        self.rules = as_rules(rules)
        self.sites: list[Site] = []
        self._matched: set[int] = set()
        self._used: set[int] = set()
        self._why: dict[int, str] = {}  # a rule did not decide the first site that it matches

    def decide(
        self,
        site: Site,
        dtypes: Mapping[str, Any],
        *,
        closed: str | None = None,
        present: OpticalCore | None = None,
        unsure: str = "",
    ) -> Site:
        """Where a product runs, and why.

        Args:
          site: the product, undecided.
          dtypes: of its operands and result, by what they are of.
          closed: why it cannot run on a core, if so.
          present: the core that it is on already, which no rule for other sites takes from it.
          unsure: what else must be true for it to run on a core; empty if nothing.

        Raises:
          ValueError: rules that decide differently on two paths of one site; a weight whose dtype a
            core cannot carry.
        """
        numbers = self._deciding(site)
        rule = self.rules[numbers[0]] if numbers else None
        problem = _uncarried(dtypes)
        unreal = "" if problem is None else f"not a product of real numbers: {problem}"
        if rule is None or rule.core is None or site.parameter is not None:
            unreal = ""
        core, reason = None, closed or unreal or _refusal(rule, site)
        if rule is not None and not reason:
            if problem is None:
                core = rule.core
                dynamic = "" if site.stationary else ", dynamic: written again at every call"
                reason = f"{rule}{dynamic}{_custom(core)}"
            else:
                raise ValueError(
                    f"{site.path or 'the model'}: {problem}, which {rule} would put on a core; arrays "
                    f"hold real floating-point numbers: put Rule({site.path!r}, None) before that rule"
                )
        for number in numbers:
            if core is not None or self.rules[number].core is None:
                self._used.add(number)
            self._why.setdefault(number, f"{site.path or 'the model'}: {reason}")
        if core is None and present is not None and (rule is None or rule.core is not None):
            core, reason = present, "optical before this conversion"
        status: Status = "digital" if core is None else "unchecked" if unsure else "optical"
        reason += f", {unsure}" if status == "unchecked" else ""
        decided = dataclasses.replace(site, status=status, reason=reason, core=core)
        self.sites.append(decided)
        return decided

    def _deciding(self, site: Site) -> list[int]:
        """The numbers of the rules that take a site: one, or one for each of its paths."""
        winners: dict[str, int] = {}
        for path in (site.path, *site.also):
            one = site.under(path)
            hits = [i for i, rule in enumerate(self.rules) if rule.takes(one)]
            self._matched.update(hits)
            for late in hits[1:]:
                text = f"everything it matches is taken by earlier rules: {path} by {self.rules[hits[0]]}"
                self._why.setdefault(late, text)
            if hits:
                winners[path] = hits[0]
        for (one_path, i), (other, j) in itertools.pairwise(winners.items()):
            if self.rules[i].core is not self.rules[j].core:
                raise ValueError(
                    f"{one_path} and {other} are one module, and {self.rules[i]} and {self.rules[j]} decide "
                    "differently; put a rule before them that matches both"
                )
        return list(winners.values())

    def check(self) -> None:
        """Raise ``ValueError`` for a rule that matched no site, or decided none."""
        paths = list(dict.fromkeys(site.path for site in self.sites))
        for i, rule in enumerate(self.rules):
            if i not in self._matched:
                condition = "" if rule.where is None else ", under its condition (where),"
                more = " ..." if len(paths) > 12 else ""
                raise ValueError(
                    f"{rule} matches no product{condition}; the model has {', '.join(paths[:12])}{more}"
                )
            if i not in self._used:
                raise ValueError(f"{rule} has no effect: {self._why[i]}")

    def report(self) -> ConversionReport:
        """On all sites so far."""
        return ConversionReport(tuple(self.sites))


def _refusal(rule: Rule | None, site: Site) -> str:
    """Why a site stays digital by the rule that takes it; empty if it does not."""
    if rule is None:
        return "no rule matches" if site.stationary else "no rule matches (dynamic)"
    if rule.core is None:
        return f"{rule} keeps it digital"
    if not site.stationary and not rule.dynamic:
        return f"dynamic product, and {rule} is for stationary weights (dynamic=True takes both)"
    return ""


def _custom(core: OpticalCore | None) -> str:
    """The functions of one's own that a core has."""
    names = {} if core is None else core.custom.names
    found = ", ".join(f"{place} {name}" for place, name in names.items())
    return f", custom: {found}" if found else ""


def _uncarried(dtypes: Mapping[str, Any]) -> str | None:
    """What of a product's dtypes an array of real numbers cannot carry, or ``None``."""
    for what, dtype in dtypes.items():
        if not jnp.issubdtype(dtype, jnp.floating):
            return f"{what} is {np.dtype(dtype).name}"
    return None
