"""Coordinate frames of vectors: components along the axes that a source uses, kept along those that the twin uses.

A frame is named by the directions of its axes in order: ENU (east, north, up), NED, NWU; or of a body: FRD (forward, right, down), FLU.
Between two of one kind a vector's components change places and signs, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field, field_validator, model_validator

from twinwright.documents import Document, Problems, Spec
from twinwright.storage.layout import ReadingColumn
from twinwright.telemetry.derivation import Derivation

if TYPE_CHECKING:
    from twinwright.telemetry.contract import ContractSpec

_OPPOSITE: Mapping[str, str] = dict(zip("EWNSUDFBRL", "WESNDUBFLR", strict=True))
_KINDS = {frozenset("ENU"): "of the earth", frozenset("FRU"): "of a body"}


class FrameSpec(Spec):
    """Three observations that are the components of one vector."""

    of: tuple[str, str, str] = Field(description="paths along the axes of `to`, in order; their fields are along those of `from`")
    from_: str = Field(alias="from", description="the frame of the source: ENU, NED ...")
    to: str = Field(description="the frame of the twin: ENU, NED ...")

    @field_validator("from_", "to")
    @classmethod
    def _is_a_frame(cls, text: str) -> str:
        if _kind(text) is None:
            raise ValueError(f"'{text}' is no frame: write three directions at right angles, as ENU, NED, NWU, FRD or FLU")
        return text

    @model_validator(mode="after")
    def _convertible(self) -> FrameSpec:
        if _kind(self.from_) != _kind(self.to):
            raise ValueError(f"'{self.from_}' is a frame {_kind(self.from_)}, '{self.to}' one {_kind(self.to)}: the attitude lies between")
        if len(set(self.of)) < 3:
            raise ValueError("a vector has three components of its own")
        return self

    @property
    def axes(self) -> tuple[tuple[int, float], ...]:
        """For each axis of `to`: which axis of `from` it lies along, and with which sign."""
        found = []
        for axis in self.to:
            same = axis in self.from_
            found.append((self.from_.index(axis if same else _OPPOSITE[axis]), 1.0 if same else -1.0))
        return tuple(found)


def _kind(text: str) -> str | None:
    """What a frame belongs to; None for what is none."""
    for axes, called in _KINDS.items():
        if len(text) == 3 and {axis if axis in axes else _OPPOSITE.get(axis, "") for axis in text} == axes:
            return called
    return None


def in_frames(
    spec: ContractSpec,
    columns: Sequence[ReadingColumn | None],
    derivations: Sequence[Derivation | None],
    document: Document,
    problems: Problems,
) -> tuple[Derivation | None, ...]:
    """The derivations of all observations, with vectors turned into the frames of the twins."""
    found = list(derivations)
    places = {observation.path: index for index, observation in enumerate(spec.observations)}
    used: set[str] = set()
    for number, frame in enumerate(spec.frames):
        problem = _problem(spec, frame, columns, derivations, places, used)
        if problem:
            remedy = "Name three paths that are observed by `field`, as plain numbers in one unit, in one frame each"
            problems.add(document.problem(("frames", number, "of"), problem, remedy, "bad_frame"))
            continue
        used.update(frame.of)
        for path, (axis, sign) in zip(frame.of, frame.axes, strict=True):
            source = spec.observations[places[frame.of[axis]]].field
            found[places[path]] = replace(Derivation(), source=source, factor=sign)
    return tuple(found)


def _problem(
    spec: ContractSpec,
    frame: FrameSpec,
    columns: Sequence[ReadingColumn | None],
    derivations: Sequence[Derivation | None],
    places: Mapping[str, int],
    used: set[str],
) -> str:
    for path in frame.of:
        if path not in places:
            return f"no observation is of '{path}'"
        if path in used:
            return f"'{path}' is in two frames"
        observation, column = spec.observations[places[path]], columns[places[path]]
        if observation.field is None or observation.map or derivations[places[path]] is not None or (column and column.type != "DOUBLE"):
            return f"'{path}' is not a field as it is"
    found = {column.unit for column in (columns[places[path]] for path in frame.of) if column is not None}
    return f"its components are in several units: {', '.join(sorted(map(str, found)))}" if len(found) > 1 else ""
