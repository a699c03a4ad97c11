"""Which product runs where: rules, the one engine that applies them, and the report on what it decided.

:func:`photonjax.convert`, :func:`photonjax.optical` and :class:`photonjax.linen.Optical` find products in
their own ways, describe each as a :class:`Site`, and ask an :class:`Engine`.
"""

from photonjax.rules.engine import Engine
from photonjax.rules.report import ConversionReport
from photonjax.rules.rule import Rule, Site, Status, as_rules

__all__ = ["ConversionReport", "Engine", "Rule", "Site", "Status", "as_rules"]
