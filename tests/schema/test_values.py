from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright import schema
from twinwright.schema import Array, Enum, Geospatial, Map, Object, Primitive, check_value
from twinwright.schema.elements import EnumValue, Field


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("boolean", [True, False], [0, "true", None]),
        ("integer", [0, -(2**31), 2**31 - 1], [2**31, 1.5, True, "1"]),
        ("long", [2**63 - 1], [2**63]),
        ("byte", [-128, 127], [128, -129]),
        ("unsignedByte", [0, 255], [-1, 256]),
        ("unsignedShort", [65535], [65536]),
        ("short", [-32768], [32768]),
        ("unsignedInteger", [2**32 - 1], [2**32]),
        ("unsignedLong", [2**64 - 1], [2**64]),
        ("double", [1.5, 3, -1e308], [float("nan"), float("inf"), "1", True, 10**400]),
        ("float", [1.5, 3.4e38], [1e39, float("nan")]),
        ("decimal", ["12.50", "-3"], [12.5, "1e3", "NaN"]),
        ("string", ["", "x"], [1, None]),
        ("date", ["2026-03-01"], ["2026-02-30", "20260301", 5]),
        ("dateTime", ["2026-03-01T08:00:00Z", "2026-03-01T08:00:00.5+01:00"], ["2026-03-01", "2026-03-01T08:00:00", "2026-03-01T25:00Z"]),
        ("dateTime", ["2026-03-01T08:00:00+00:59"], ["2026-03-01T08:00:00+00:60"]),
        ("time", ["08:00:00", "08:00:00Z"], ["8:00", "25:00:00", "08:00:00-00:60"]),
        ("duration", ["PT10M", "P1Y2M3DT4H5M6.7S", "P2W"], ["P", "10M", "PT"]),
        ("bytes", ["aGVsbG8=", ""], ["*", 5]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000", "x"]),
    ],
)
def test_primitives_hold_what_the_language_says(name: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert not check_value(value, Primitive(name)), value
    for value in bad:
        assert check_value(value, Primitive(name)), value


@pytest.mark.parametrize(
    ("name", "coordinates", "wrong"),
    [
        ("point", [1, 2], [1]),
        ("multiPoint", [[1, 2], [3, 4, 5]], [1, 2]),
        ("lineString", [[1, 2], [3, 4]], [[1, 2]]),
        ("multiLineString", [[[1, 2], [3, 4]]], [[[1, 2]]]),
        ("polygon", [[[0, 0], [1, 0], [1, 1], [0, 0]]], [[[0, 0], [1, 0], [1, 1], [2, 2]]]),
        ("multiPolygon", [[[[0, 0], [1, 0], [1, 1], [0, 0]]]], [[[0, 0]]]),
    ],
)
def test_geospatial_values_are_geojson(name: str, coordinates: Any, wrong: Any) -> None:
    kind = name[0].upper() + name[1:]
    assert not check_value({"type": kind, "coordinates": coordinates}, Geospatial(name))
    assert check_value({"type": kind, "coordinates": wrong}, Geospatial(name))[0].path == "$.coordinates"
    assert check_value({"type": "Other", "coordinates": coordinates}, Geospatial(name))
    assert check_value({"type": kind}, Geospatial(name))


def test_complex_values_name_the_place_of_what_is_wrong() -> None:
    modes = Enum("integer", (EnumValue("off", 0), EnumValue("on", 1)))
    shape = Object((Field("modes", Array(modes)), Field("limits", Map("k", "v", Primitive("double")))))
    assert not check_value({"modes": [0, 1], "limits": {"low": 1.5}}, shape)
    found = check_value({"modes": [0, 2, True], "limits": {"low": "x"}, "extra": 1}, shape)
    assert [problem.path for problem in found] == ["$.modes[1]", "$.modes[2]", "$.limits.low", "$.extra"]
    assert "0, 1" in found[0].remedy
    for value in ({"modes": 1}, {"limits": []}, 5):
        assert check_value(value, shape)


def test_a_value_too_deep_is_refused() -> None:
    tree = Object((Field("next", schema.SchemaReference("dtmi:t:tree;1")),))
    value: dict[str, Any] = {}
    for _ in range(500):
        value = {"next": value}
    found = check_value(value, tree, {"dtmi:t:tree;1": tree})
    assert "nested deeper" in found[0].message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
        max_leaves=10,
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_value_is_judged_without_a_crash(value: Any) -> None:
    inner = Object((Field("a", Array(Primitive("dateTime"))),))
    for kind in (Primitive("duration"), Primitive("bytes"), Geospatial("polygon"), Array(inner), Map("k", "v", inner), inner):
        assert isinstance(check_value(value, kind), list)
