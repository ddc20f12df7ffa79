"""What a hand-written document is told when it is wrong, in words that help whoever wrote it."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import model_validator

from twinwright.documents import Problems, Spec, parse_text


class Part(Spec):
    path: str
    range: tuple[float, float] | None = None


class Whole(Spec):
    parts: list[Part]


@pytest.mark.parametrize(
    ("text", "message", "remedy", "path"),
    [
        ("parts: [{path: on}]", "'path': input should be a valid string", "Put it in quotes", "$.parts[0].path"),
        ("parts: [{path: a, range: [5]}]", "'range': value 2 of the list is missing", "It is [5] now", "$.parts[0].range"),
        ("parts: [{path: a, range: [5, x]}]", "'range': input should be a valid number", "It is 'x' now", "$.parts[0].range[1]"),
        ("parts: [{range: [1, 2]}]", "'path' is missing", "Add `path: ...`", "$.parts[0]"),
        ("parts: [7]", "'parts': input should be fields with their names", "It is 7 now", "$.parts[0]"),
    ],
)
def test_a_wrong_value_is_told_by_the_name_that_is_written(text: str, message: str, remedy: str, path: str) -> None:
    problems = Problems()
    document = parse_text(text, "x.yaml", problems)
    assert document is not None and document.parse(Whole, problems) is None
    [problem] = problems.items
    assert problem.message.startswith(message), problem.message
    assert problem.remedy.startswith(remedy), problem.remedy
    assert (problem.path, problem.line) == (path, 1)


class Shape(Spec):
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _rises(self) -> Shape:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("they do not rise")
        return self


class Amount(Spec):
    value: float
    unit: str | None = None


class Port(Spec):
    value: float | Amount | Shape


class Choices(Spec):
    ports: dict[str, Literal["replay"] | Port]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a: {value: {low: 2, high: 1}}}", [("$.ports.a.value", "they do not rise")]),
        ("{a: {value: {value: 1, unt: s}}}", [("$.ports.a.value.unt", "'unt' is not a field here")]),
        ("{a: {valu: 1}}", [("$.ports.a", "'value' is missing"), ("$.ports.a.valu", "'valu' is not a field here")]),
        ("{a: again}", [("$.ports.a", "should be 'replay'"), ("$.ports.a", "should be fields with their names")]),
        ("{a: {value: x}}", [("$.ports.a.value", "valid number"), ("$.ports.a.value", "should be fields with their names")]),
        (
            "{a: {value: {low: x}}, b: {value: {value: y}}}",
            [("$.ports.a.value.low", "valid number"), ("$.ports.b.value.value", "valid number")],
        ),
    ],
)
def test_of_several_forms_the_one_that_was_meant_says_what_is_wrong(text, said):
    problems = Problems()
    assert parse_text(f"ports: {text}\n", "a.yaml", problems).parse(Choices, problems) is None
    assert [one.path for one in problems.items] == [path for path, _ in said], problems.items
    assert all(part in one.message for one, (_, part) in zip(problems.items, said, strict=True)), problems.items
