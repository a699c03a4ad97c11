"""Rules on which product runs where, and the report on what they did."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np

from photonjax.core.core import OpticalCore

Status = Literal["optical", "digital"]


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which products run on which core.

    Attributes:
      pattern: a glob over the paths of modules and of their parameters, ``/`` between levels; ``*``
        also matches ``/``. ``"layers/*/mlp/*"``, ``"*/q_proj"``, ``"head"``.
      core: the machine, or ``None`` to keep what matches digital (the first matching rule decides).
      dynamic: also take products of two computed operands (attention's scores and values), whose
        "weight" must be written into the array anew for every call.
      where: a further condition, asked of each :class:`Site` that the pattern matches: its ``shape``,
        ``dtype``, ``layers``, ``path`` (the site is still undecided). Products of two computed
        operands, whose ``shape`` is None, fulfil no condition unless ``dynamic``.

    Example:
      >>> import photonjax as pj
      >>> pj.Rule("layers/*/mlp/*", pj.OpticalCore()).matches("layers/3/mlp/up_proj")
      True
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
            raise TypeError(f"Rule.core = {self.core!r} is neither an OpticalCore nor None")
        if self.where is not None and not callable(self.where):
            raise TypeError(f"Rule.where = {self.where!r} is neither a function of a Site nor None")

    def matches(self, *paths: str) -> bool:
        """Whether any of the paths fits the pattern; a rule with a condition needs :meth:`takes`."""
        if self.where is not None:
            raise ValueError(
                f"{self} has a condition (where), and here products are known by their paths alone; "
                "leave it out"
            )
        return any(fnmatch.fnmatchcase(path, self.pattern) for path in paths)

    def takes(self, site: Site) -> bool:
        """Whether a site fits the pattern, by its path or its parameter's, and the condition.

        Raises:
          ValueError: the condition failed on this site.
        """
        paths = (site.path,) if site.parameter is None else (site.path, site.parameter)
        if not any(fnmatch.fnmatchcase(path, self.pattern) for path in paths):
            return False
        if self.where is None:
            return True
        if site.dynamic and not self.dynamic:
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
      path: of the module that multiplies. parameter: of the held weight (``None`` if both operands are
        computed).
      shape: of the held weight, without the layer axis. layers: size of that axis (1 if there is none).
      status: where it runs. reason: why. core: the machine, if it has one.
      dtype: of the held weight.
      also: other paths to the same module, if it is shared.
    """

    path: str
    parameter: str | None
    shape: tuple[int, ...] | None
    layers: int
    status: Status
    reason: str
    core: OpticalCore | None = None
    dtype: str | None = None
    also: tuple[str, ...] = ()

    @property
    def dynamic(self) -> bool:
        """Whether both operands are computed."""
        return self.parameter is None


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
                | {"dynamic": site.dynamic, "core": index.get(id(site.core))}
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


def check_rules(
    rules: Sequence[Rule],
    matched: set[int],
    used: set[int],
    paths: Sequence[str],
    why: Mapping[int, str] | None = None,
) -> None:
    """Raise ``ValueError`` for a rule that matches none of the paths, or decides nothing.

    Args:
      rules: all of them.
      matched: numbers of those that match something. used: of those that decided something.
      paths: of the products.
      why: for rules that decided nothing, why not.
    """
    for i, rule in enumerate(rules):
        if i not in matched:
            condition = "" if rule.where is None else ", under its condition (where),"
            raise ValueError(
                f"{rule} matches no product{condition}; the model has {', '.join(paths[:12])}"
                + (" ..." if len(paths) > 12 else "")
            )
        if i not in used:
            known = (why or {}).get(i)
            raise ValueError(
                f"{rule} has no effect: "
                + (
                    known
                    or "earlier rules decide everything it matches, or it matches only dynamic "
                    "products (Rule(..., dynamic=True) takes those)"
                )
            )
