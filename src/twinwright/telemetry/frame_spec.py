"""Coordinate frames: components along the axes that a source uses, kept along those that the twin uses.

A frame is named by the directions of its axes in order: ENU (east, north, up), NED, NWU; or of a body: FRD (forward, right, down), FLU.
Between two of one kind a vector's components change places and signs, nothing else. `ECEF` are the axes fixed to the earth, `geodetic` is
latitude, longitude and height (WGS 84): from one of these to axes on the ground a reference says where on the ground.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from twinwright.documents import Spec

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
        if text not in (ECEF, GEODETIC) and kind_of(text) is None:
            raise ValueError(
                f"'{text}' is no frame: write three directions at right angles, as ENU, NED, NWU, FRD or FLU; ECEF or geodetic"
            )
        return text

    @model_validator(mode="after")
    def _convertible(self) -> FrameSpec:
        kinds = {kind_of(self.from_) or _EARTH, kind_of(self.to) or _EARTH}
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
        return (kind_of(self.from_) is None) is not (kind_of(self.to) is None)

    @property
    def turns(self) -> bool:
        """Whether components are made of several fields, instead of changing places."""
        return self.kind == "position" or kind_of(self.from_) is None or kind_of(self.to) is None

    @property
    def axes(self) -> tuple[tuple[int, float], ...]:
        """For each axis of `to`: which axis of `from` it lies along, and with which sign."""
        return axes_between(self.from_, self.to)


def axes_between(from_: str, to: str) -> tuple[tuple[int, float], ...]:
    """For each axis of `to`: which axis of `from_` it lies along, and with which sign."""
    found = []
    for axis in to:
        same = axis in from_
        found.append((from_.index(axis if same else _OPPOSITE[axis]), 1.0 if same else -1.0))
    return tuple(found)


def kind_of(text: str) -> str | None:
    """What a frame of three directions belongs to, the earth or a body; None for what is none."""
    for axes, called in _KINDS.items():
        if len(text) == 3 and {axis if axis in axes else _OPPOSITE.get(axis, "") for axis in text} == axes:
            return called
    return None
