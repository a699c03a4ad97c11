"""Optional dependencies, imported where they are used; the error names the extra that brings them."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["need"]


def need(module: str, extra: str) -> ModuleType:
    """An optional dependency, imported.

    Args:
      module: its name, as in an import statement.
      extra: of this package, the one that installs it.

    Raises:
      ImportError: it is not installed; the message is one line with the remedy.

    >>> need("json", "models").loads("[1]")
    [1]
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise  # it is installed, and something that it needs is not
        raise ImportError(
            f"{module} is not installed: pip install 'photonjax[{extra}]'", name=module
        ) from None
