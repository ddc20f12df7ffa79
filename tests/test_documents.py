"""What a hand-written document is told when it is wrong, in words that help whoever wrote it."""

from __future__ import annotations

import pytest

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
