"""Which rows of a block can be taken into the graph as they are: sound, and of twins and relationships that never were.

All others go one by one, the way of single writes, which says what is wrong with them. So nothing here tells anything: where it is in
doubt a row does not fit.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from typing import Any, Final

import numpy as np

from twinwright.schema import Ontology, check_value
from twinwright.schema import Relationship as Declared
from twinwright.storage.layout import EdgeKey
from twinwright.twins.graph.blocks import EdgeBlock, Fits, TwinBlock
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.edge_columns import hashes

_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_LONGEST: Final = 128  # characters of an id


def taken_in(
    draft: Draft, blocks: Sequence[TwinBlock] | Sequence[EdgeBlock], others: Sequence[Any]
) -> tuple[list[tuple[int, dict[str, Any]]], int]:
    """Blocks into a draft: the (line, document) of each row that has to go by itself, and how many rows went in. `others` are the ids of
    twins, or the (source, id) of relationships, that come beside them."""
    elsewhere = {one for one in others if isinstance(one, str | tuple)}
    if len(blocks) > 1:
        times = Counter(name for block in blocks for name in set(_names(block)))
        elsewhere |= {name for name, count in times.items() if count > 1}
    left: list[tuple[int, dict[str, Any]]] = []
    taken = 0
    for block in blocks:
        if isinstance(block, TwinBlock):
            fits = fitting_twins(draft, block, {one for one in elsewhere if isinstance(one, str)})
            if fits.any():
                draft.begin_block(block.chosen(fits))
        else:
            fits = fitting_edges(draft, block, {one for one in elsewhere if isinstance(one, tuple)})
            if fits.any():
                draft.put_edge_rows(block.chosen(fits).rows)
        ontology = draft.world.ontology
        for row in np.flatnonzero(~fits).tolist():
            document = block.document(row, ontology) if isinstance(block, TwinBlock) else block.document(row)
            left.append((int(block.lines[row]), document))
        taken += int(fits.sum())
    return left, taken


def _names(block: TwinBlock | EdgeBlock) -> Sequence[Any]:
    if isinstance(block, TwinBlock):
        return block.ids
    return list(zip(block.rows["source"].to_pylist(), block.rows["id"].to_pylist(), strict=True))


def fitting_twins(draft: Draft, block: TwinBlock, elsewhere: Collection[str]) -> Fits:
    """`elsewhere` are the ids that other documents beside the block have."""
    world = draft.world
    if block.interface not in world.ontology.interfaces or block.interface in world.decommissioned:
        return np.zeros(len(block), np.bool_)
    sound, once = _sound(block.ids), Counter(block.ids)
    return np.array(
        [ok and once[id] == 1 and id not in elsewhere and draft.never_was(id) for id, ok in zip(block.ids, sound, strict=True)], np.bool_
    )


def _sound(ids: Sequence[str]) -> list[bool]:
    if not _CONTROL.search("".join(ids)) and all(map(len, ids)) and max(map(len, ids), default=0) <= _LONGEST:
        return [True] * len(ids)
    return [0 < len(id) <= _LONGEST and not _CONTROL.search(id) for id in ids]


def fitting_edges(draft: Draft, block: EdgeBlock, elsewhere: Collection[EdgeKey]) -> Fits:
    """`elsewhere` are the keys that other documents beside the block have."""
    sources, ids, names, targets, properties = (block.rows[name].to_pylist() for name in _COLUMNS)
    interfaces = {twin: _interface(draft, twin) for twin in {*sources, *targets}}
    forms = [(interfaces[s], name, interfaces[t]) for s, name, t in zip(sources, names, targets, strict=True)]
    declared = {form: _declared(draft.world.ontology, *form) for form in set(forms)}
    keys = list(zip(sources, ids, strict=True))
    hashed = hashes(keys)
    once = Counter(hashed.tolist())
    fits = np.array(_sound(ids), np.bool_) & np.array(draft.fresh(sources, hashed), np.bool_)
    fits &= np.array(
        [
            declared[form] is not None and source != target and once[key] == 1
            for form, source, target, key in zip(forms, sources, targets, hashed.tolist(), strict=True)
        ],
        np.bool_,
    )
    if elsewhere:
        fits &= np.array([key not in elsewhere for key in keys], np.bool_)
    for row in [row for row, text in enumerate(properties) if text != "{}" and fits[row]]:
        fits[row] = _sound_properties(json.loads(text) if (text := properties[row]) else {}, declared[forms[row]], draft.world.ontology)
    bounded = {
        (form[0], form[1], one.max_multiplicity) for form, one in declared.items() if one is not None and one.max_multiplicity is not None
    }
    for interface, name, most in bounded:
        of = np.array([form[0] == interface and form[1] == name for form in forms], np.bool_) & fits
        fits &= ~of | _within(draft, sources, of, name, most)
    return fits


_COLUMNS: Final = ("source", "id", "name", "target", "properties")


def _interface(draft: Draft, twin: str) -> str | None:
    life = draft.alive(twin)
    return None if life is None else life.interface


def _declared(ontology: Ontology, source: str | None, name: str, target: str | None) -> Declared | None:
    """What the interface of a source says of a name, where it may lead to a target."""
    if source is None or target is None or source not in ontology.interfaces or target not in ontology.interfaces:
        return None
    found = ontology.relationships(source).get(name)
    return found if found is not None and (found.target is None or ontology.is_subtype(target, found.target)) else None


def _sound_properties(properties: Mapping[str, Any], declared: Declared | None, ontology: Ontology) -> bool:
    known = {} if declared is None else {one.name: one.schema for one in declared.properties}
    return all(name in known and not check_value(value, known[name], ontology.schemas) for name, value in properties.items())


def _within(draft: Draft, sources: Sequence[str], of: Fits, name: str, most: int) -> Fits:
    """Whether a twin has no more of a name than it may, with those of this block `of` that name."""
    hashed = hashes(sources)
    coming = Counter(compress(sources, of.tolist()))
    return np.asarray(draft.named(hashed, name) + np.array([coming[source] for source in sources], np.int64) <= most, np.bool_)
