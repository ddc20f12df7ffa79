"""What differs between two revisions of a contract, and what that does to readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from twinwright.documents import json_path
from twinwright.telemetry.contract_spec import ContractSpec

Effect = Literal["compatible", "additive", "quality", "facts", "breaking"]
WHY: Mapping[Effect, str] = {
    "compatible": "the same payloads mean the same",
    "additive": "more is read of new payloads; `replay` reads it of old ones",
    "quality": "values stay; how they are judged beside their neighbours changes at once",
    "facts": "the same payload means something else; `replay` brings history in step",
    "breaking": "nothing more is written where something was",
}
_OF_QUALITY = frozenset({"max_rate", "stuck", "spike", "gap", "sequence", "clock_drift"})
_OF_OPERATION = ("freshness", "lateness", "journal", "examples", "source", "skew")


@dataclass(frozen=True, slots=True)
class Difference:
    """One of them; `before` and `after` are None where there is nothing."""

    contract: str
    path: str
    before: Any
    after: Any
    effect: Effect
    why: str

    def as_json(self) -> dict[str, Any]:
        """`contract path before after effect why`."""
        return asdict(self)


def differences(old: ContractSpec, new: ContractSpec) -> list[Difference]:
    """In the order of the document; the revision itself is not one."""
    found = list(_walk(new.name, (), _plain(old), _plain(new)))
    return [one for one in found if one.path != "$.revision"]


def _plain(spec: ContractSpec) -> dict[str, Any]:
    """With the observations by their path: their order means nothing."""
    plain = spec.model_dump(mode="json", exclude_none=True, by_alias=True)
    plain["observations"] = {one["path"]: {key: value for key, value in one.items() if key != "path"} for one in plain["observations"]}
    return plain


def _walk(contract: str, place: tuple[str, ...], old: Any, new: Any) -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _walk(contract, (*place, str(key)), old.get(key), new.get(key))
        return
    effect = _effect(place, old, new)
    yield Difference(contract, json_path(place), old, new, effect, WHY[effect])


def _effect(place: tuple[str, ...], old: Any, new: Any) -> Effect:
    if place[0] in _OF_OPERATION:
        return "facts" if place == ("source", "name") else "compatible"
    if place[0] == "observations" and len(place) == 2:
        return "additive" if old is None else "breaking" if new is None else "facts"
    return "quality" if not _OF_QUALITY.isdisjoint(place) else "facts"
