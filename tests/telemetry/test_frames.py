"""Vectors that a source gives along other axes: each component goes to its axis with its sign, and back."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.telemetry.plant import INTERFACE, NOW, compiled, written

from twinwright.schema import PathInfo, Primitive
from twinwright.storage.layout import Lifetime
from twinwright.telemetry import earth
from twinwright.telemetry.batches import decoder_of, prepare
from twinwright.telemetry.frame_spec import FrameSpec
from twinwright.telemetry.frames import Conversion
from twinwright.telemetry.payloads import Payload
from twinwright.twins.registry import TwinRegistry

PATHS = {name: PathInfo(name, "property", Primitive("double"), "m/s", None, False) for name in ("x", "y", "z", "w")}
PATHS["n"] = PathInfo("n", "property", Primitive("long"), None, None, False)
REGISTRY = TwinRegistry([Lifetime(1, "pump-1", INTERFACE)], {INTERFACE: PATHS})
OBSERVATIONS = [{"path": path, "field": f"v.{at}", "unit": "m/s"} for at, path in enumerate("xyz")]
NED = {"of": ["x", "y", "z"], "from": "ENU", "to": "NED"}


def turned(frame, vector, **of_z):
    document = written(twin="pump-1", observations=[*OBSERVATIONS[:2], {**OBSERVATIONS[2], **of_z}], frames=[frame])
    made, problems = compiled(document, PATHS)
    assert made is not None, problems.items
    payload = Payload(json.dumps({"ts": "2026-03-01T07:00:00Z", "v": vector}).encode())
    readings = prepare(made, decoder_of(made), [payload], REGISTRY, NOW).readings
    return [column.to_pylist()[0] for column in readings.values], int(readings.bad[0][0])


def test_east_north_up_becomes_north_east_down():
    assert turned(NED, [1, 2, 3]) == ([2.0, 1.0, -3.0], 0)
    assert turned({**NED, "from": "NED", "to": "ENU"}, [2, 1, -3]) == ([1.0, 2.0, 3.0], 0)
    assert turned({**NED, "from": "FRD", "to": "FLU"}, [1, 2, 3]) == ([1.0, -2.0, -3.0], 0)


def test_what_is_bad_or_missing_goes_where_its_component_goes_and_a_range_is_of_the_component():
    assert turned(NED, ["x", 2, None]) == ([2.0, None, None], 0b010)
    assert turned(NED, [1, 2, 3], range=[0, 5]) == ([2.0, 1.0, None], 0b100)


def test_every_frame_and_back_again_is_the_same_vector():
    names = ["".join(axes) for axes in itertools.permutations("ENU")] + ["NED", "NWU", "SEU", "WSD", "UEN"]
    for one, other in itertools.product(names, repeat=2):
        there, back = (FrameSpec(**{**NED, "from": a, "to": b}).axes for a, b in ((one, other), (other, one)))
        vector = (1.0, 2.0, 3.0)
        turned_once = [sign * vector[axis] for axis, sign in there]
        assert tuple(sign * turned_once[axis] for axis, sign in back) == vector


@pytest.mark.parametrize(
    ("frame", "changes", "said"),
    [
        ({**NED, "to": "NEX"}, {}, "'NEX' is no frame"),
        ({**NED, "to": "NSU"}, {}, "'NSU' is no frame"),
        ({**NED, "to": "FRD"}, {}, "the attitude lies between"),
        ({**NED, "of": ["x", "x", "z"]}, {}, "three components"),
        ({**NED, "of": ["x", "y", "q"]}, {}, "no observation is of 'q'"),
        ({**NED, "of": ["x", "y", "n"]}, {}, "'n' is not a field as it is"),
        ({**NED, "of": ["x", "y", "w"]}, {}, "'w' is not a field as it is"),
        (NED, {"unit": "km/h"}, "several units"),
    ],
)
def test_what_is_no_vector_is_told_when_the_contract_is_loaded(frame, changes, said):
    more = [{"path": "n", "field": "n"}, {"path": "w", "field": "w", "unit": "m/s", "scale": 2}]
    document = written(observations=[*OBSERVATIONS[:2], {**OBSERVATIONS[2], **changes}, *more], frames=[frame])
    made, problems = compiled(document, PATHS)
    assert made is None and len(problems.items) == 1
    assert said in problems.items[0].message and problems.items[0].remedy and problems.items[0].path.startswith("$.frames[0]")


def test_a_path_has_one_frame():
    made, problems = compiled(written(observations=OBSERVATIONS, frames=[NED, NED]), PATHS)
    assert made is None and "'x' is in two frames" in problems.items[0].message


# The examples of IOGP Publication 373-7-2 (Guidance Note 7 part 2): methods 9602 (geographic to geocentric) and 9836 (to topocentric).
STATION = (53 + 48 / 60 + 33.820 / 3600, 2 + 7 / 60 + 46.380 / 3600, 73.0)
STATION_ECEF = (3_771_793.968, 140_253.342, 5_124_304.349)
ORIGIN = {"latitude": 55.0, "longitude": 5.0, "height": 200.0}
ORIGIN_ECEF = (3_652_755.3058, 319_574.6799, 5_201_547.3536)
STATION_ENU = (-189_013.869, -128_642.040, -4_220.171)
MILLIMETRE = 1e-3


def converted(place, **frame):
    spec = FrameSpec(of=("x", "y", "z"), **{"from" if name == "from_" else name: value for name, value in frame.items()})
    return Conversion(spec)(np.array([place], np.float64).T).T[0]


def test_known_places_are_where_they_are_published_to_be():
    position = {"kind": "position"}
    assert converted(STATION, from_="geodetic", to="ECEF", **position) == pytest.approx(STATION_ECEF, abs=MILLIMETRE)
    assert converted(tuple(ORIGIN.values()), from_="geodetic", to="ECEF", **position) == pytest.approx(ORIGIN_ECEF, abs=MILLIMETRE)
    latitude, longitude, height = converted(STATION_ECEF, from_="ECEF", to="geodetic", **position)
    assert (latitude, longitude) == pytest.approx(STATION[:2], abs=MILLIMETRE / 111_000)
    assert height == pytest.approx(STATION[2], abs=MILLIMETRE)
    for place, frame in ((STATION_ECEF, "ECEF"), (STATION, "geodetic")):
        assert converted(place, from_=frame, to="ENU", at=ORIGIN, **position) == pytest.approx(STATION_ENU, abs=MILLIMETRE)
    east, north, up = STATION_ENU
    assert converted((north, east, -up), from_="NED", to="ECEF", at=ORIGIN, **position) == pytest.approx(STATION_ECEF, abs=MILLIMETRE)


@pytest.mark.parametrize(
    ("geodetic", "ecef"),
    [
        ((0, 0, 0), (6_378_137, 0, 0)),
        ((0, 90, 0), (0, 6_378_137, 0)),
        ((0, 180, 10), (-6_378_147, 0, 0)),
        ((90, 0, 0), (0, 0, 6_356_752.3142)),
        ((-90, 0, 100), (0, 0, -6_356_852.3142)),
    ],
)
def test_the_axes_of_the_earth_are_the_ends_of_its_ellipsoid(geodetic, ecef):
    assert converted(geodetic, from_="geodetic", to="ECEF", kind="position") == pytest.approx(ecef, abs=MILLIMETRE)
    *angles, height = converted(ecef, from_="ECEF", to="geodetic", kind="position")
    assert angles == pytest.approx(geodetic[:2], abs=1e-9) and height == pytest.approx(geodetic[2], abs=MILLIMETRE)


PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.floats(-12_000, 4e7))
FRAMES = st.sampled_from(["ENU", "NED", "NWU"])


@given(PLACES)
def test_a_place_comes_back_to_a_millimetre(place):
    fixed = earth.ecef_of(np.array([place]).T)
    assert np.abs(earth.ecef_of(earth.geodetic_of(fixed)) - fixed).max() < MILLIMETRE
    back = earth.geodetic_of(fixed).T[0]
    assert back[0] == pytest.approx(place[0], abs=1e-8) and back[2] == pytest.approx(place[2], abs=MILLIMETRE)


@given(PLACES, PLACES, FRAMES)
def test_a_place_on_the_ground_comes_back_to_a_millimetre(reference, place, frame):
    at = dict(zip(("latitude", "longitude", "height"), reference, strict=True))
    fixed = tuple(earth.ecef_of(np.array([place]).T).T[0])
    there = converted(fixed, from_="ECEF", to=frame, at=at, kind="position")
    assert np.linalg.norm(there) == pytest.approx(
        np.linalg.norm(np.array(fixed) - earth.ecef_of(np.array([reference]).T).T[0]), abs=MILLIMETRE
    )
    assert converted(tuple(there), from_=frame, to="ECEF", at=at, kind="position") == pytest.approx(fixed, abs=MILLIMETRE)


@given(PLACES, st.tuples(*[st.floats(-1e4, 1e4)] * 3), FRAMES)
def test_a_vector_is_turned_and_not_moved(reference, vector, frame):
    at = dict(zip(("latitude", "longitude", "height"), reference, strict=True))
    fixed = converted(vector, from_=frame, to="ECEF", at=at)
    assert np.linalg.norm(fixed) == pytest.approx(np.linalg.norm(vector), abs=1e-9, rel=1e-12)
    assert converted(tuple(fixed), from_="ECEF", to=frame, at=at) == pytest.approx(vector, abs=1e-8)


def test_up_on_the_ground_is_away_from_it_in_the_earth():
    step = 10.0
    at = ORIGIN | {"height": ORIGIN["height"] + step}
    higher, lower = (converted(tuple(one.values()), from_="geodetic", to="ECEF", kind="position") for one in (at, ORIGIN))
    assert converted((0, 0, step), from_="ENU", to="ECEF", at=ORIGIN) == pytest.approx(higher - lower, abs=1e-6)


DEGREES = [
    {"path": path, "field": f"v.{at}", "unit": unit} for at, (path, unit) in enumerate((("lat", "deg"), ("lon", "rad"), ("h", "km")))
]
PLACE_PATHS = {
    name: PathInfo(name, "property", Primitive("double"), unit, None, False)
    for name, unit in (("lat", "degree"), ("lon", "radian"), ("h", "kilometre"))
}
PLACE_PATHS["k"] = PathInfo("k", "property", Primitive("long"), None, None, False)
TO_GEODETIC = {"of": ["lat", "lon", "h"], "from": "ECEF", "to": "geodetic", "kind": "position"}


def located(frame, vector):
    also = {"path": "k", "field": "k"}
    made, problems = compiled(written(twin="pump-1", observations=[*DEGREES, also], frames=[frame]), PLACE_PATHS)
    assert made is not None, problems.items
    registry = TwinRegistry([Lifetime(1, "pump-1", INTERFACE)], {INTERFACE: PLACE_PATHS})
    payload = Payload(json.dumps({"ts": "2026-03-01T07:00:00Z", "v": vector, "k": 1}).encode())
    readings = prepare(made, decoder_of(made), [payload], registry, NOW).readings
    return [column.to_pylist()[0] for column in readings.values[:3]], int(readings.bad[0][0])


def test_a_contract_keeps_a_place_in_the_units_of_its_paths():
    values, bad = located({**TO_GEODETIC, "unit": "km"}, [value / 1000 for value in STATION_ECEF])
    expected = (STATION[0], np.radians(STATION[1]), STATION[2] / 1000)
    assert (values, bad) == (pytest.approx(expected, abs=1e-6), 0)


def test_a_place_without_a_coordinate_is_missing_and_one_that_is_none_is_bad():
    x, _, z = STATION_ECEF
    assert located(TO_GEODETIC, [x, None, z]) == ([None] * 3, 0)
    assert located(TO_GEODETIC, [x, "east", z]) == ([None] * 3, 0b111)
    assert located(TO_GEODETIC, [1.0, 2.0, 3.0]) == ([None] * 3, 0b111)


def test_a_vector_of_the_earth_is_turned_in_its_own_unit():
    values, bad = turned({**NED, "from": "ECEF", "at": {"latitude": 0, "longitude": 90}}, [1, 2, 3])
    assert (values, bad) == (pytest.approx([3.0, -1.0, -2.0]), 0)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({**NED, "from": "ECEF"}, "give `at`"),
        ({**NED, "at": {"latitude": 1, "longitude": 1}}, "`at` changes nothing"),
        ({**NED, "from": "ECEF", "at": {"latitude": 91, "longitude": 1}}, "90"),
        ({**NED, "from": "ECEF", "to": "FRD"}, "the attitude lies between"),
        ({**NED, "from": "geodetic", "to": "ECEF"}, "say `kind: position`"),
        ({**NED, "from": "FLU", "to": "FRD", "kind": "position"}, "no place in its own frame"),
        ({**NED, "from": "EPSG:4978"}, "is no frame"),
        ({**NED, "from": "geodetic", "to": "ECEF", "kind": "position"}, "convert"),  # m/s are no lengths
    ],
)
def test_what_can_not_be_converted_is_told_when_the_contract_is_loaded(frame, said):
    made, problems = compiled(written(observations=OBSERVATIONS, frames=[frame]), PATHS)
    assert made is None and problems.items
    assert said in problems.items[0].message and problems.items[0].remedy and problems.items[0].path.startswith("$.frames[0]")
