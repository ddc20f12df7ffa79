"""A part of relationships is what the whole has there, however many of its keys are of what was removed."""

import random
from dataclasses import replace

import pytest

from twinwright.storage import relationship_parts
from twinwright.storage.layout import Relationship, RelationshipPart
from twinwright.storage.united import edge_part

EVERY = [Relationship(f"t{n % 5}", f"r{n:03}", random.Random(n).choice("ab"), "x", removed=n % 9 != 0) for n in range(400)]
EVERY.sort(key=lambda edge: (edge.source, edge.id))
THERE = [edge for edge in EVERY if not edge.removed]


def some(part):
    """As an engine gives it: keys of removed edges too, of any name."""
    looked = []

    def keys(part):
        found = edge_part([edge for edge in EVERY if part.source in (None, edge.source)], replace(part, name=None))
        looked.append(len(found))
        return [(edge.source, edge.id) for edge in found]

    return relationship_parts.some_relationships(part, keys, lambda part: edge_part(THERE, part)), looked


def agree():
    for source in (None, "t3"):
        whole = [edge for edge in THERE if source in (None, edge.source)]
        for name in (None, "b"):
            for behind in (None, ("t2", "r100"), ("t3", "r203"), ("z", "")):
                for most in (1, 3, 400):
                    part = RelationshipPart(source, name, behind, most)
                    assert some(part)[0] == edge_part(whole, part)


@pytest.mark.parametrize("least", [1, 128])
def test_a_part_is_what_the_whole_has_there(monkeypatch, least):
    monkeypatch.setattr(relationship_parts, "_LEAST", least)
    agree()


def test_a_part_looks_at_few_more_than_it_shows():
    assert some(RelationshipPart(most=4))[1] == [128]


def test_looks_that_begin_where_the_first_did_are_caught(monkeypatch):
    monkeypatch.setattr(relationship_parts, "_LEAST", 1)
    monkeypatch.setattr(relationship_parts, "replace", lambda part, behind, most: replace(part, most=most))
    with pytest.raises(AssertionError):
        agree()
