"""Vectors and places from the frame of a source to that of a twin: what a contract's `frames` come to. See `frame_spec`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from twinwright import units
from twinwright.documents import Document, Problems
from twinwright.errors import UnitError
from twinwright.storage.layout import ReadingColumn
from twinwright.telemetry import earth
from twinwright.telemetry.contract_spec import ContractSpec
from twinwright.telemetry.derivation import Derivation, Turn
from twinwright.telemetry.frame_spec import ECEF, GEODETIC, FrameSpec, axes_between, kind_of
from twinwright.units import Affine


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
        if kind_of(frame.from_) is None:
            fixed = earth.ecef_of(given) if frame.from_ == GEODETIC else given
            return _placed(axes @ (fixed - origin), "ENU", frame.to)
        fixed = axes.T @ _placed(given, frame.from_, "ENU") + origin
        return earth.geodetic_of(fixed) if frame.to == GEODETIC else fixed

    def _without_reference(self, given: earth.Columns) -> earth.Columns:
        if (self.frame.from_, self.frame.to) == (GEODETIC, ECEF):
            return earth.ecef_of(given)
        if (self.frame.from_, self.frame.to) == (ECEF, GEODETIC):
            return earth.geodetic_of(given)
        return given if kind_of(self.frame.to) is None else _placed(given, self.frame.from_, self.frame.to)


def _placed(given: earth.Columns, from_: str, to: str) -> earth.Columns:
    return np.stack([sign * given[axis] for axis, sign in axes_between(from_, to)])


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
