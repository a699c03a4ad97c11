"""Which product runs where: rules, the one engine that applies them, and the report on what it decided.

:func:`photonjax.convert`, :func:`photonjax.optical` and :class:`photonjax.linen.Optical` find products in
their own ways, describe each as a :class:`Site`, and ask an :class:`Engine`.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from photonjax.core.core import OpticalCore
from photonjax.core.pytree import brief

Status = Literal["optical", "digital"]


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which products run on which core.

    Attributes:
      pattern: a glob over the paths of modules and of their parameters, ``/`` between levels; ``*``
        also matches ``/``. ``"layers/*/mlp/*"``, ``"*/q_proj"``, ``"head"``.
      core: the machine, or ``None`` to keep what matches digital (the first matching rule decides).
      dynamic: also take products of two computed operands (attention's scores and values), whose
        "weight" must be written into the array again for every call.
      where: a further condition, asked of each :class:`Site` that the pattern matches: its ``shape``,
        ``dtype``, ``layers``, ``path`` (the site is still undecided). Products of two computed
        operands, whose ``shape`` is None, fulfil no condition unless ``dynamic``.

    Example:
      >>> import photonjax as pj
      >>> mlps = pj.Rule("layers/*/mlp/*", pj.OpticalCore())
      >>> wide = pj.Rule("*", pj.OpticalCore(), where=lambda site: site.shape[0] >= 512)
    """

    pattern: str
    core: OpticalCore | None
    dynamic: bool = False
    where: Callable[[Site], bool] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str) or not self.pattern:
            raise TypeError(f"Rule.pattern = {self.pattern!r} is not a non-empty string")
        if self.core is not None and not isinstance(self.core, OpticalCore):
            raise TypeError(
                f"Rule.core = {brief(self.core)} is neither an OpticalCore nor None; "
                "pj.machines.optical gives one by name"
            )
        if self.where is not None and not callable(self.where):
            raise TypeError(f"Rule.where = {self.where!r} is neither a function of a Site nor None")

    def takes(self, site: Site) -> bool:
        """Whether a site fits the pattern, by its path, its parameter's or its module's, and the condition.

        Raises:
          ValueError: the condition failed on this site.
        """
        if not any(fnmatch.fnmatchcase(path, self.pattern) for path in site.names):
            return False
        if self.where is None:
            return True
        if not site.stationary and not self.dynamic:
            return False
        try:
            return bool(self.where(site))
        except Exception as error:
            raise ValueError(
                f"{site.path}: the condition (where) of {self} failed: {error!r}"
            ) from error

    def __str__(self) -> str:
        return f"rule {self.pattern!r}"


@dataclasses.dataclass(frozen=True)
class Site:
    """One product of a model: where it is, what weight it has, what became of it.

    Attributes:
      path: of the module that multiplies, or of the parameter where a program has no modules.
      parameter: path of the stationary weight, if that is a parameter.
      shape: of the stationary weight, without the layer axis (``None`` if both operands are computed).
      stationary: whether one operand can stay on the array between calls; ``False``: both are computed.
      layers: size of the layer axis (1 if there is none).
      dtype: of the stationary weight.
      also: other paths to the same module, if it is shared.
      status: where it runs. reason: why. core: the machine, if it has one.
    """

    path: str
    parameter: str | None = None
    shape: tuple[int, ...] | None = None
    stationary: bool = True
    layers: int = 1
    dtype: str | None = None
    also: tuple[str, ...] = ()
    status: Status = "digital"
    reason: str = ""
    core: OpticalCore | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What patterns are held against: the path, and of a parameter its own and its module's."""
        names = [self.path]
        if self.parameter is not None:
            names.append(self.parameter)
            module = self.parameter.rpartition("/")[0]
            if module and self.parameter == self.path:
                names.append(module)
        return tuple(names)

    def under(self, path: str) -> Site:
        """The same site by another of its paths."""
        parameter, tail = self.parameter, ""
        if parameter is not None:
            tail = parameter.removeprefix(self.path)
            if not self.path or (tail != parameter and tail[:1] in ("", "/")):
                parameter = "/".join(part for part in (path, tail.removeprefix("/")) if part)
        also = tuple(p for p in (self.path, *self.also) if p != path)
        return dataclasses.replace(self, path=path, parameter=parameter, also=also)


def as_rules(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules, once each is one.

    Raises:
      TypeError: anything else; the message shows how rules are written.
    """
    form = 'give a list of pj.Rule(pattern, core), such as [pj.Rule("*", core)]'
    if isinstance(rules, (str, Rule, Mapping)) or not isinstance(rules, Iterable):
        raise TypeError(f"rules = {brief(rules)} is not a list of rules; {form}")
    found = tuple(rules)
    for i, rule in enumerate(found):
        if not isinstance(rule, Rule):
            raise TypeError(f"rules[{i}] = {brief(rule)} is not a Rule; {form}")
    return found


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
        note: str = "",
    ) -> Site:
        """Where a product runs, and why.

        Args:
          site: the product, undecided.
          dtypes: of its operands and result, by what they are of.
          closed: why it cannot run on a core, if so.
          present: the core that it is on already, which no rule for other sites takes from it.
          note: added to the reason of an optical site.

        Raises:
          ValueError: rules that decide differently on two paths of one site; a weight whose dtype a
            core cannot carry.
        """
        numbers = self._deciding(site)
        rule = self.rules[numbers[0]] if numbers else None
        core, reason = None, closed or _refusal(rule, site)
        if rule is not None and not reason:
            problem = _uncarried(dtypes)
            if problem is None:
                core = rule.core
                dynamic = "" if site.stationary else ", dynamic: written again at every call"
                reason = f"{rule}{dynamic}{note}"
            elif site.parameter is None:
                reason = f"not a product of real numbers: {problem}"
            else:
                raise ValueError(
                    f"{site.path or 'the model'}: {problem}, which {rule} would put on a core; arrays "
                    f"hold real floating-point numbers: put Rule({site.path!r}, None) before that rule"
                )
        for number in numbers:
            if core is not None or self.rules[number].core is None:
                self._used.add(number)
            self._why.setdefault(number, f"{site.path}: {reason}")
        if core is None and present is not None and (rule is None or rule.core is not None):
            core, reason = present, "optical before this conversion"
        status: Status = "digital" if core is None else "optical"
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


def _uncarried(dtypes: Mapping[str, Any]) -> str | None:
    """What of a product's dtypes an array of real numbers cannot carry, or ``None``."""
    for what, dtype in dtypes.items():
        if not jnp.issubdtype(dtype, jnp.floating):
            return f"{what} is {np.dtype(dtype).name}"
    return None


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What :func:`~photonjax.convert` did with every product it knows of; prints as a table."""

    sites: tuple[Site, ...]

    @property
    def optical(self) -> tuple[Site, ...]:
        return tuple(site for site in self.sites if site.status == "optical")

    @property
    def digital(self) -> tuple[Site, ...]:
        return tuple(site for site in self.sites if site.status == "digital")

    def __str__(self) -> str:
        rows = [("site", "weight", "layers", "runs", "why")]
        for s in self.sites:
            weight = "computed" if s.shape is None else " x ".join(map(str, s.shape))
            why = s.reason + "".join(f"; shared with {path}" for path in s.also)
            rows.append((s.path, weight, str(s.layers), s.status, why))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]])
            for row in rows
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data: ``sites``, one dict each, and ``cores``, to which a site's ``core`` is the index."""
        cores: list[OpticalCore] = []
        for site in self.optical:
            if site.core is not None and not any(site.core is core for core in cores):
                cores.append(site.core)
        index = {id(core): i for i, core in enumerate(cores)}
        fields = [f.name for f in dataclasses.fields(Site) if f.name != "core"]
        return {
            "sites": [
                {name: _plain(getattr(site, name)) for name in fields}
                | {"core": index.get(id(site.core))}
                for site in self.sites
            ],
            "cores": [_plain(dataclasses.asdict(core)) for core in cores],
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2)


def _plain(value: Any) -> Any:
    """Numbers, strings, lists and dicts only."""
    if isinstance(value, Mapping):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return np.asarray(value).tolist()
    return value
