"""Settings are refused by one line with the dotted name, the value and what is allowed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from experiments.harness.errors import UserError
from experiments.harness.schema import check, describe, open_mappings, setting


@dataclasses.dataclass
class Part:
    size: int = setting(low=1, high=8)
    fields: dict[str, Any] = setting(empty=True)


@dataclasses.dataclass
class Whole:
    part: Part = setting()
    parts: list[Part] = setting()
    share: float = setting(above=0.0, below=1.0)
    kind: str = setting(choices=("hot", "cold"))
    sizes: list[list[int]] = setting(low=1)
    most: int | None = setting(low=2)
    open: dict[str, float] = setting(low=0.0)
    flag: bool = setting()


def whole(**changes: Any) -> Whole:
    good = dict(
        part=Part(1, {}),
        parts=[Part(8, {"a": "anything"})],
        share=0.5,
        kind="hot",
        sizes=[[1, 2]],
        most=None,
        open={"a": 1.0},
        flag=True,
    )
    return Whole(**(good | changes))


def test_what_is_allowed_passes():
    check(whole())
    check(whole(most=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": Part(9, {})}, "part.size: 9 is not an integer of 1 ... 8"),
        ({"parts": [Part(1, {}), Part(0, {})]}, "parts[1].size: 0 is not an integer of 1 ... 8"),
        ({"parts": []}, "parts: is empty; give at least one"),
        ({"share": 1.0}, "share: 1.0 is not a number above 0 and below 1"),
        ({"share": float("nan")}, "share: nan is not a number above 0 and below 1"),
        ({"kind": "warm"}, "kind: 'warm' is not one of hot, cold"),
        ({"kind": None}, "kind: null is not one of hot, cold"),
        ({"sizes": [[1], [2, 0]]}, "sizes[1][1]: 0 is not an integer of 1 or more"),
        ({"sizes": [[]]}, "sizes[0]: is empty; give at least one"),
        ({"most": 1}, "most: 1 is not an integer of 2 or more, or null"),
        ({"open": {"a": -1.0}}, "open.a: -1.0 is not a number of 0 or more"),
        ({"open": {"a": float("inf")}}, "open.a: inf is not a number of 0 or more"),
    ],
)
def test_everything_else_is_refused(changes, message):
    with pytest.raises(UserError) as error:
        check(whole(**changes))
    assert str(error.value) == message


def test_a_schema_may_compare_its_fields():
    @dataclasses.dataclass
    class Span:
        low: int = setting(low=0)
        high: int = setting(low=0)

        def check(self) -> None:
            if self.low > self.high:
                raise UserError(f"low: {self.low} is more than high = {self.high}")

    check(Span(1, 2))
    with pytest.raises(UserError, match="low: 2 is more than high = 1"):
        check(Span(2, 1))
    with pytest.raises(UserError, match="low: -1 is not an integer"):  # each alone comes first
        check(Span(-1, -2))


def test_words_for_a_dotted_path():
    assert describe(Whole, "part.size") == "an integer of 1 ... 8"
    assert describe(Whole, "part") == "a mapping of size, fields"
    assert describe(Whole, "sizes[0][1]") == "an integer of 1 or more"
    assert describe(Whole, "sizes") == "a list, each a list, each an integer of 1 or more"
    assert describe(Whole, "nothing") is None
    assert describe(Whole, "flag") == "true or false"


def test_open_mappings_are_found():
    assert list(open_mappings(Whole)) == ["part.fields", "open"]
