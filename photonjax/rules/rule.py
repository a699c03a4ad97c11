"""A rule, and a product as rules see it."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from photonjax.core.core import OpticalCore
from photonjax.core.pytree import brief

Status = Literal["optical", "digital", "unchecked"]


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which products run on which core.

    Attributes:
      pattern: a glob over the paths of modules and of their parameters, ``/`` between levels; ``*``
        also matches ``/``. ``"layers/*/mlp/*"``, ``"*/q_proj"``, ``"head"``. Of several products with one
        path, ``"path#0"`` is the first that a call makes, ``"path#1"`` the second.
      core: the machine, or ``None`` to keep what matches digital (the first matching rule decides).
      dynamic: also take products of two computed operands (attention's scores and values), whose
        "weight" must be written into the array again for every call.
      where: a further condition, asked of each :class:`Site` that the pattern matches: its ``shape``,
        ``dtype``, ``layers``, ``path``, ``scope``, ``number`` (the site is still undecided). Products of
        two computed operands, whose ``shape`` is None, fulfil no condition unless ``dynamic``.

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
        if not isinstance(self.dynamic, bool):
            raise TypeError(f"Rule.dynamic = {brief(self.dynamic)} is not True or False")
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
      scope: named scopes that a program makes it in, joined by ``/``.
      number: which of the program's products with this path it is, counted from 0.
      status: where it runs; ``"unchecked"``: on its core if the reason's condition holds, which a call
        would show (:meth:`ConversionReport.check`). reason: why. core: the machine, if it has one.
    """

    path: str
    parameter: str | None = None
    shape: tuple[int, ...] | None = None
    stationary: bool = True
    layers: int = 1
    dtype: str | None = None
    also: tuple[str, ...] = ()
    scope: str = ""
    number: int = 0
    status: Status = "digital"
    reason: str = ""
    core: OpticalCore | None = None

    @property
    def label(self) -> str:
        """The path, with the number if the product is not the first of it."""
        return f"{self.path}#{self.number}" if self.number else self.path

    @property
    def names(self) -> tuple[str, ...]:
        """What patterns are held against: the path, and of a parameter its own and its module's."""
        names = [self.path, f"{self.path}#{self.number}"]
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
