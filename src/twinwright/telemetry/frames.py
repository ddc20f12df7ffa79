"""Coordinate frames: components along the axes that a source uses, kept along those that the twin uses.

A frame is named by the directions of its axes in order: ENU (east, north, up), NED, NWU; or of a body: FRD (forward, right, down), FLU.
Between two of one kind a vector's components change places and signs, nothing else. `ECEF` are the axes fixed to the earth, `geodetic` is
latitude, longitude and height (WGS 84): from one of these to axes on the ground a reference says where on the ground.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from twinwright import units
from twinwright.documents import Document, Problems, Spec
from twinwright.errors import UnitError
from twinwright.storage.layout import ReadingColumn
from twinwright.telemetry import earth
from twinwright.telemetry.derivation import Derivation, Turn
from twinwright.units import Affine

if TYPE_CHECKING:
    from twinwright.telemetry.contract import ContractSpec

ECEF: Final = "ECEF"
GEODETIC: Final = "geodetic"
_OPPOSITE: Mapping[str, str] = dict(zip("EWNSUDFBRL", "WESNDUBFLR", strict=True))
_EARTH: Final = "of the earth"
_KINDS = {frozenset("ENU"): _EARTH, frozenset("FRU"): "of a body"}


class ReferenceSpec(Spec):
    """A place on the earth, in WGS 84."""

    latitude: float = Field(ge=-90, le=90, description="degrees, north is positive")
    longitude: float = Field(ge=-180, le=360, description="degrees, east is positive")
    height: float = Field(default=0.0, ge=-12_000, le=1e8, description="metres over the ellipsoid")


class FrameSpec(Spec):
    """Three observations that are the components of one vector, or one place."""

    of: tuple[str, str, str] = Field(description="paths along the axes of `to`, in order; their fields are along those of `from`")
    from_: str = Field(alias="from", description="the frame of the source: ENU, NED ..., `ECEF`, of a place also `geodetic`")
    to: str = Field(description="the frame of the twin, of the same")
    kind: Literal["vector", "position"] = Field(default="vector", description="a place is told from where it is `at`, a vector is not")
    at: ReferenceSpec | None = Field(default=None, description="where axes on the ground are, if the other frame is not on it")
    unit: str = Field(default="m", description="of the lengths of a place in `from`; its angles are in degrees")

    @field_validator("from_", "to")
    @classmethod
    def _is_a_frame(cls, text: str) -> str:
        if text not in (ECEF, GEODETIC) and _kind(text) is None:
            raise ValueError(
                f"'{text}' is no frame: write three directions at right angles, as ENU, NED, NWU, FRD or FLU; ECEF or geodetic"
            )
        return text

    @model_validator(mode="after")
    def _convertible(self) -> FrameSpec:
        kinds = {_kind(self.from_) or _EARTH, _kind(self.to) or _EARTH}
        if len(kinds) > 1:
            raise ValueError(f"of '{self.from_}' and '{self.to}' one is a frame of the earth, one of a body: the attitude lies between")
        if GEODETIC in (self.from_, self.to) and self.kind == "vector":
            raise ValueError("latitude, longitude and height are of a place: say `kind: position`, or ECEF for a vector")
        if kinds != {_EARTH} and self.kind == "position":
            raise ValueError("a body has no place in its own frame")
        if self._needs_reference is not (self.at is not None):
            missing = (
                f"where '{self.from_}' and '{self.to}' meet is not said: give `at`" if self.at is None else "`at` changes nothing here"
            )
            raise ValueError(missing)
        if len(set(self.of)) < 3:
            raise ValueError("a vector has three components of its own")
        return self

    @property
    def _needs_reference(self) -> bool:
        return (_kind(self.from_) is None) is not (_kind(self.to) is None)

    @property
    def turns(self) -> bool:
        """Whether components are made of several fields, instead of changing places."""
        return self.kind == "position" or _kind(self.from_) is None or _kind(self.to) is None

    @property
    def axes(self) -> tuple[tuple[int, float], ...]:
        """For each axis of `to`: which axis of `from` it lies along, and with which sign."""
        return _axes(self.from_, self.to)


def _axes(from_: str, to: str) -> tuple[tuple[int, float], ...]:
    found = []
    for axis in to:
        same = axis in from_
        found.append((from_.index(axis if same else _OPPOSITE[axis]), 1.0 if same else -1.0))
    return tuple(found)


def _kind(text: str) -> str | None:
    """What a frame of three directions belongs to; None for what is none."""
    for axes, called in _KINDS.items():
        if len(text) == 3 and {axis if axis in axes else _OPPOSITE.get(axis, "") for axis in text} == axes:
            return called
    return None


@dataclass(frozen=True, slots=True)
class Conversion:
    """Columns of coordinates (3, rows) from one frame to another; lengths in metres, angles in degrees."""

    frame: FrameSpec

    def __call__(self, given: earth.Columns) -> earth.Columns:
        """NaN where something is no place."""
        frame = self.frame
        if frame.at is None:
            return self._without_reference(given)
        axes = earth.enu_axes(frame.at.latitude, frame.at.longitude)
        there = [frame.at.latitude, frame.at.longitude, frame.at.height]
        origin = earth.ecef_of(np.array([there]).T) if frame.kind == "position" else np.zeros((3, 1))
        if _kind(frame.from_) is None:
            fixed = earth.ecef_of(given) if frame.from_ == GEODETIC else given
            return _placed(axes @ (fixed - origin), "ENU", frame.to)
        fixed = axes.T @ _placed(given, frame.from_, "ENU") + origin
        return earth.geodetic_of(fixed) if frame.to == GEODETIC else fixed

    def _without_reference(self, given: earth.Columns) -> earth.Columns:
        if (self.frame.from_, self.frame.to) == (GEODETIC, ECEF):
            return earth.ecef_of(given)
        if (self.frame.from_, self.frame.to) == (ECEF, GEODETIC):
            return earth.geodetic_of(given)
        return given if _kind(self.frame.to) is None else _placed(given, self.frame.from_, self.frame.to)


def _placed(given: earth.Columns, from_: str, to: str) -> earth.Columns:
    return np.stack([sign * given[axis] for axis, sign in _axes(from_, to)])


def in_frames(
    spec: ContractSpec,
    columns: Sequence[ReadingColumn | None],
    derivations: Sequence[Derivation | None],
    document: Document,
    problems: Problems,
) -> tuple[Derivation | None, ...]:
    """The derivations of all observations, with vectors and places turned into the frames of the twins."""
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
        fields = tuple(spec.observations[places[path]].field or "" for path in frame.of)
        for axis, path in enumerate(frame.of):
            try:
                found[places[path]] = _component(frame, axis, fields, columns[places[path]])
            except UnitError as error:
                problems.add(document.problem(("frames", number, "of"), f"'{path}': {error.what}", error.remedy or "", "bad_frame"))
    return tuple(found)


def _component(frame: FrameSpec, axis: int, fields: tuple[str, ...], column: ReadingColumn | None) -> Derivation:
    """Raises UnitError where a component of a place is in a unit of something else."""
    if not frame.turns:
        place, sign = frame.axes[axis]
        return replace(Derivation(), source=fields[place], factor=sign)
    given, made = Affine(1.0, 0.0), Affine(1.0, 0.0)
    if frame.kind == "position":
        given = units.converter(frame.unit, "m")
        made = units.converter(_unit(frame.to, axis), None if column is None else column.unit)
    factors = tuple(1.0 if _unit(frame.from_, place) == "degree" else given.factor for place in range(3))
    return replace(
        Derivation(), turn=Turn(fields, factors, Conversion(frame), axis, made), called=f"a part of a {frame.kind} in {frame.from_}"
    )


def _unit(frame: str, axis: int) -> str:
    return "degree" if frame == GEODETIC and axis < 2 else "m"


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
    several = len(found) > 1 and frame.kind == "vector"
    return f"its components are in several units: {', '.join(sorted(map(str, found)))}" if several else ""
