"""What a number may be, in the words of every message."""

from __future__ import annotations

__all__ = ["allowed"]


def allowed(
    kind: str,
    low: float | None = None,
    high: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    optional: bool = False,
) -> str:
    """A kind of number and its limits.

    Args:
      kind: "an integer", "a number", ...
      low, high: smallest and largest value.
      above, below: limits that are not reached.
      optional: None is allowed too.

    >>> allowed("an integer", 1, 1048576, optional=True)
    'an integer of 1 ... 1,048,576, or None'
    >>> allowed("a number", above=0.0), allowed("a number", low=0)
    ('a number above 0', 'a number of 0 or more')
    >>> allowed("a number", above=0, high=1), allowed("a number", above=0, below=1e15)
    ('a number above 0 and up to 1', 'a number above 0 and below 1e+15')
    """
    if low is not None and high is not None:
        parts = [f"of {_number(low)} ... {_number(high)}"]
    else:
        limits = {"above {}": above, "of {} or more": low, "below {}": below, "up to {}": high}
        parts = [words.format(_number(n)) for words, n in limits.items() if n is not None]
    return " ".join([kind, " and ".join(parts)]).strip() + (", or None" if optional else "")


def _number(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:.12g}"
