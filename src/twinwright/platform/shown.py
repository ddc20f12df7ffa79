"""What is kept, as the surface shows it."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from twinwright.clock import to_iso
from twinwright.simulation.definition import ModelDefinition
from twinwright.storage.layout import DeadLetter, LetterGroup


def letter_shown(letter: DeadLetter, shown: int | None) -> dict[str, Any]:
    """A dead letter; of its payload the first `shown` characters (None: all)."""
    try:
        payload, encoding = letter.payload.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(letter.payload).decode(), "base64"
    return {
        "id": letter.id,
        "contract": letter.contract,
        "source": letter.source,
        "revision": letter.revision,
        "reason": letter.reason,
        "detail": letter.detail,
        "position": letter.position,
        "at": to_iso(letter.at),
        "status": letter.status,
        "captures": dict(letter.captures),
        "encoding": encoding,
        "payload": payload if shown is None else payload[:shown],
    }


def group_shown(group: LetterGroup) -> dict[str, Any]:
    """Dead letters that are alike."""
    return {**asdict(group), "oldest": to_iso(group.oldest), "newest": to_iso(group.newest)}


def model_shown(definition: ModelDefinition) -> dict[str, Any]:
    """What a model declares of itself."""
    return {
        "name": definition.name,
        "version": definition.version,
        "kind": definition.kind,
        "interface": definition.interface,
        "inputs": [port.name for port in definition.inputs],
        "outputs": [port.name for port in definition.outputs],
        "parameters": {one.name: {"value": one.value, "unit": one.unit} for one in definition.parameters},
        "assumptions": list(definition.assumptions),
    }
