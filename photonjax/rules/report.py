"""What became of every product, and of a call of the model: what ran where."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from photonjax.core.core import OpticalCore
from photonjax.core.custom import name_of
from photonjax.rules.rule import Site
from photonjax.workload.jaxprs import site_of
from photonjax.workload.sites import MatmulSite, Workload


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What :func:`~photonjax.convert` did with every product it knows of; prints as a table.

    Attributes:
      sites: the products.
      trace: gives the workload of a call of the model, its arguments and its keyword arguments.
    """

    sites: tuple[Site, ...]
    trace: Callable[..., Workload] | None = dataclasses.field(
        default=None, repr=False, compare=False
    )

    def check(self, model: Any, *args: Any, **kwargs: Any) -> ConversionReport:
        """What really runs where in one call: the model is traced, and its products compared with this.

        A site that the call does not multiply on light is digital in the result, whatever was installed;
        products that no site accounts for are added. Nothing is computed.

        Args:
          model: the converted model or function (of Flax Linen, the module, its variables first).
          args, kwargs: what to call it with: arrays or ``jax.ShapeDtypeStruct``.

        Example:
          >>> import jax.numpy as jnp, photonjax as pj
          >>> from flax import nnx
          >>> class Mine(nnx.Linear):
          ...   def __call__(self, x):
          ...     return x @ self.kernel[...]
          >>> model = nnx.Sequential(Mine(8, 4, rngs=nnx.Rngs(0)), nnx.Linear(4, 4, rngs=nnx.Rngs(1)))
          >>> optical, report = pj.convert(model, [pj.Rule("*", pj.OpticalCore())])
          >>> print(report.check(optical, jnp.ones((2, 8))))
          site      weight  layers  runs     why
          layers/0  8 x 4   1       digital  its weight is multiplied past the core in this call
          layers/1  4 x 4   1       optical  rule '*'
        """
        if self.trace is None:
            raise ValueError(
                "report.check: this report is of no model; use the one of a conversion"
            )
        load = self.trace(model, args, kwargs)
        return dataclasses.replace(self, sites=_checked(self.sites, load.matmuls))

    @property
    def optical(self) -> tuple[Site, ...]:
        return tuple(site for site in self.sites if site.status == "optical")

    @property
    def digital(self) -> tuple[Site, ...]:
        return tuple(site for site in self.sites if site.status == "digital")

    @property
    def unchecked(self) -> tuple[Site, ...]:
        return tuple(site for site in self.sites if site.status == "unchecked")

    def __str__(self) -> str:
        rows = [("site", "weight", "layers", "runs", "why")]
        several = {site.path for site in self.sites if site.number}
        for s in self.sites:
            path = f"{s.path}#{s.number}" if s.path in several else s.path
            weight = "computed" if s.shape is None else " x ".join(map(str, s.shape))
            why = s.reason + "".join(f"; shared with {path}" for path in s.also)
            rows.append((path, weight, str(s.layers), s.status, why))
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


_ALSO = "; its weight is also multiplied past the core"


def _checked(sites: Sequence[Site], products: Sequence[MatmulSite]) -> tuple[Site, ...]:
    """Sites as a call ran them, and the products that are none of theirs."""
    marks = [site_of(product.scope) for product in products]
    lit = {mark[1] for mark in marks if mark is not None and mark[0] == "on_light"}
    past = {
        p.path: p for p, mark in zip(products, marks, strict=True) if mark is None and p.stationary
    }
    found: list[Site] = []
    known: set[str | None] = set()
    for site in sites:
        names = {site.path, *(site.under(path).parameter for path in (site.path, *site.also))}
        known |= names
        if site.label in lit:
            reason = site.reason.split(", where ")[0].removesuffix(_ALSO)
            reason += _ALSO if names & past.keys() else ""
            site = dataclasses.replace(site, status="optical", reason=reason)
        elif site.status != "digital":
            why = "its weight is multiplied past the core"
            if not names & past.keys():
                own = {("digital", path) for path in (site.label, site.path.rpartition("/")[0])}
                why = "multiplied digitally" if own.intersection(marks) else "not multiplied"
            site = dataclasses.replace(
                site, status="digital", reason=f"{why} in this call", core=None
            )
        found.append(site)
    for product, mark in zip(products, marks, strict=True):
        if mark is None and product.path not in known:
            known.add(product.path)
            found.append(_beside(product))
    return tuple(found)


def _beside(product: MatmulSite) -> Site:
    """A product that no site accounts for."""
    of_weight = product.stationary and not product.path.startswith("dot_general:")
    return Site(
        product.path,
        parameter=product.path if of_weight else None,
        shape=(product.K, product.N) if product.stationary else None,
        stationary=product.stationary,
        layers=product.count,
        dtype=product.dtype if product.stationary else None,
        reason="outside of the layers that convert knows; pj.optical reaches it",
    )


def _plain(value: Any) -> Any:
    """Numbers, strings, lists and dicts only."""
    if isinstance(value, Mapping):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if callable(value):
        return name_of(value)
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return np.asarray(value).tolist()
    return value
