"""YAML by events is what libyaml's own tree of nodes says, with the same lines; what a document by hand does not need is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright import yaml_events
from twinwright.documents import Document, Location, Problems, parse_text
from twinwright.yaml_events import YamlReader

PIECES = [
    *("a", "k: ", "key: v\n", "- ", "? ", ": ", "{", "}", "[", "]", ", ", "\n", "\n  ", "\n    ", "\n\n", "--- ", "...\n", "# c\n", "|\n"),
    *("\t", "@", "&x ", "*x", "&y ", "*y", "<<: ", "! ", "!!str ", "!!int ", "!!null ", "!foo ", "!!set ", "'q'", '"d\\n"', "é", "%", "="),
    *("~", "", "yes", "1", "-3.5", "-0", "0x1F", "012", "1_000", "1:30", "1.", "1e3", ".inf", "2026-01-01", "off", "null", "9" * 40),
    *("a: 1\n", "b: 2\n"),
]
TWINS = [
    *("twins:\n", "  - $dtId: p-1\n", "    $metadata: {$model: 'm'}\n", "    at: 1.5\n", "    motor: {speed: 2, on: yes}\n"),
    *("    motor: *m\n", "    motor: &m {speed: 3}\n", "relationships:\n", "  - {$sourceId: a, $x: b}\n", "  - &e [1, *m]\n", "  - *e\n"),
]
texts = st.one_of(*(st.lists(st.sampled_from(pieces), max_size=14).map("".join) for pieces in (PIECES, TWINS)))


def read(text: str) -> tuple[Document | None, list[tuple[str, int | None, str | None, str]]]:
    problems = Problems()
    document = parse_text(text, "f.yaml", problems)
    return document, [(one.message, one.line, one.path, one.code) for one in problems.items]


class Refused(Exception):
    pass


def by_nodes(node: yaml.Node, place: Location, lines: dict[Location, int]) -> Any:
    """What a tree of nodes says."""
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [by_nodes(one, (*place, at), lines) for at, one in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge") or key.value in found:
                raise Refused
            found[key.value] = by_nodes(value, (*place, key.value), lines)
            lines[(*place, key.value)] = key.start_mark.line + 1
        return found
    if node.tag.endswith(":timestamp"):
        return node.value
    if node.tag.rpartition(":")[2] not in ("null", "bool", "int", "float", "str"):
        raise Refused
    return yaml.constructor.SafeConstructor().construct_object(node)


@given(texts)
@settings(max_examples=400)
def test_it_reads_what_the_tree_of_nodes_says(text: str) -> None:
    document, problems = read(text)
    lines: dict[Location, int] = {(): 1}
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        wanted = {} if node is None else by_nodes(node, (), lines)
    except (yaml.YAMLError, ValueError, LookupError, RecursionError, Refused):
        assert document is None
        assert problems
        return
    assert document is not None
    assert (repr(document.data), dict(document.lines)) == (repr(wanted), lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\nb: 2", ("not valid YAML: did not find expected ',' or ']'", 2, None, "syntax")),
        ("a: *b", ("not valid YAML: found undefined alias", 1, None, "syntax")),
        ("a: [*b, &b 1]", ("not valid YAML: found undefined alias", 1, None, "syntax")),
        ("--- 1\n--- 2", ("not valid YAML: but found another document", 2, None, "syntax")),
        ("a: 1\nb: {c: 1,\n c: 2}", ("'c' is given twice", 3, "$.b.c", "duplicate_key")),
        ("b: 1\n<<: {c: 1}", ("a key must be plain text", 2, "$", "bad_key")),
        ("- 1\n- ? [1]\n  : 2", ("a key must be plain text", 2, "$[1]", "bad_key")),
        ("- !thing 1", ("the tag !thing is not read here", 1, "$[0]", "bad_tag")),
        ("a:\n  b: !!int x", ("'x' can't be read as int", 2, "$.a.b", "bad_scalar")),
        ("a: &a [*a]", (f"nested deeper than {yaml_events.MAX_DEPTH}", 1, "$.a" + "[0]" * 64, "too_large")),
        ("[" * 70 + "]" * 70, (f"nested deeper than {yaml_events.MAX_DEPTH}", 1, "$" + "[0]" * 65, "too_large")),
    ],
)
def test_what_is_not_read_is_told_with_its_line_and_place(text: str, problem: tuple[str, int, str | None, str]) -> None:
    assert read(text) == (None, [problem])


def test_a_syntax_error_is_told_alone() -> None:
    """What came before it may be no fault, once it is mended."""
    assert [code for *_, code in read("a: 1\na: 2\nb: [")[1]] == ["syntax"]


def test_every_key_that_is_given_twice_is_told() -> None:
    assert [(line, path) for _, line, path, _ in read("a: 1\na: 2\nb: {c: 1, d: 2, c: 3}")[1]] == [(2, "$.a"), (3, "$.b.c")]


def test_aliases_count_where_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_events, "MAX_NODES", 1_000)
    laughs = "a: &a [1, 1, 1, 1]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in ("ab", "bc", "cd", "de")
    )
    reader = YamlReader(laughs)
    assert reader.read() is None
    assert [one.code for one in reader.faults] == ["too_large"]
    assert reader._nodes <= 1_001


def test_no_line_is_looked_for_until_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    document, _ = read("a: 1\nb:\n  c: 2")
    assert document is not None
    with monkeypatch.context() as patched:
        patched.setattr(YamlReader, "read", lambda _: pytest.fail("read again"))
        assert document.data == {"a": 1, "b": {"c": 2}}
    assert [document.line(place) for place in (("a",), ("b", "c"), ("b", "c", 7), ())] == [1, 3, 3, 1]
