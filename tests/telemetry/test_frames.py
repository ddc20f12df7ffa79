"""Vectors that a source gives along other axes: each component goes to its axis with its sign, and back."""

import itertools
import json

import pytest
from tests.telemetry.plant import INTERFACE, NOW, compiled, written

from twinwright.schema import PathInfo, Primitive
from twinwright.storage.layout import Lifetime
from twinwright.telemetry.batches import decoder_of, prepare
from twinwright.telemetry.frames import FrameSpec
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
