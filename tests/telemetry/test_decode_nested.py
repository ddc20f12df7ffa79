"""One payload, many twins and times: every element is a reading, counted once, whatever its neighbours are."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.telemetry.plant import INTERFACE, NOW, PATHS, compiled, contract, written

from twinwright.clock import from_iso
from twinwright.documents import Problems, parse_text
from twinwright.errors import UsageError
from twinwright.storage.layout import Lifetime
from twinwright.telemetry.batches import decoder_of, prepare
from twinwright.telemetry.fields import field_path, is_flat, level, levels_of
from twinwright.telemetry.payloads import Payload
from twinwright.twins.registry import TwinRegistry

REGISTRY = TwinRegistry([Lifetime(1, "pump-1", INTERFACE), Lifetime(2, "pump-2", INTERFACE)], {INTERFACE: PATHS})
AT = "2026-03-01T07:00:00Z"
FLEET = contract(
    each=["devices", "samples"],
    twin="{^id}",
    time={"field": "t"},
    observations=[
        {"path": "pressure", "field": "v.p", "unit": "kPa", "required": True},
        {"path": "flow", "field": "^flow", "unit": "l/min"},
        {"path": "mode", "field": "^^site.mode"},
    ],
)


def read(made, *bodies):
    payloads = [Payload(body if isinstance(body, bytes) else json.dumps(body).encode()) for body in bodies]
    return prepare(made, decoder_of(made), payloads, REGISTRY, NOW)


def rows(prepared):
    """(twin, time, values) of every accepted reading."""
    found = prepared.readings
    values = [column.to_pylist() for column in found.values]
    return [(int(found.twin[i]), int(found.time[i]), tuple(value[i] for value in values)) for i in range(len(found))]


def reasons(prepared):
    return sorted(letter.reason for letter in prepared.dead_letters(lambda payload, _: str(payload))[0])


DOCUMENT = {
    "site": {"mode": "auto"},
    "devices": [
        {"id": "pump-1", "flow": 5, "samples": [{"t": AT, "v": {"p": 1}}, {"t": AT, "v": {"p": "x"}}, 7]},
        {"id": "pump-2", "samples": [{"t": AT, "v": {"p": 2.5}}]},
        {"id": "pump-3", "samples": []},
        {"id": "pump-4", "samples": {}},
        {"id": "pump-5"},
        None,
    ],
}


def test_each_element_is_a_reading_of_its_own_twin_and_a_refused_one_is_refused_alone():
    prepared = read(FLEET, DOCUMENT)
    assert rows(prepared) == [(1, from_iso(AT), (1.0, 5.0, "auto")), (2, from_iso(AT), (2.5, None, "auto"))]
    assert reasons(prepared) == ["bad_type", "bad_type", "malformed", "malformed", "missing_field"]
    assert prepared.received == 7


def test_what_is_refused_is_kept_with_what_encloses_it_and_can_be_read_again():
    letters, owners = read(FLEET, DOCUMENT).dead_letters(lambda payload, _: str(payload))
    kept = [json.loads(letter.payload) for letter in letters]
    assert {"id": "pump-1", "flow": 5, "samples": [{"t": AT, "v": {"p": "x"}}]} in [one["devices"][0] for one in kept]
    assert {"id": "pump-1", "flow": 5, "samples": [7]} in [one["devices"][0] for one in kept]
    assert all(one["site"] == {"mode": "auto"} and len(one["devices"]) == 1 for one in kept)
    again = read(FLEET, *(letter.payload for letter in letters))
    assert again.received == len(letters) == len(owners)
    assert reasons(again) == sorted(letter.reason for letter in letters)
    mended = letters[-1].payload.replace(b'"x"', b"4")
    assert rows(read(FLEET, mended)) == [(1, from_iso(AT), (4.0, 5.0, "auto"))]


def test_members_of_an_object_are_elements_with_a_key():
    made = contract(each="pumps.*", twin="{@key}", time={"field": "^ts"}, observations=[{"path": "pressure", "field": ".", "unit": "kPa"}])
    prepared = read(made, {"ts": AT, "pumps": {"pump-1": 4, "pump-2": 5.5, "pump-9": 1, "none": None}})
    assert [(twin, values) for twin, _, values in rows(prepared)] == [(1, (4.0,)), (2, (5.5,))]
    assert reasons(prepared) == ["malformed", "unknown_twin"]
    assert json.loads(prepared.dead_letters(lambda payload, _: str(payload))[0][1].payload) == {"ts": AT, "pumps": {"pump-9": 1}}


def test_elements_may_be_arrays_and_know_their_place():
    made = contract(
        each="rows",
        twin="pump-1",
        time={"field": "0"},
        observations=[{"path": "pressure", "field": "1", "unit": "kPa"}, {"path": "starts", "field": "@index"}],
    )
    assert [values for _, _, values in rows(read(made, {"rows": [[AT, 1.5], [AT, 2.5, 3]]}))] == [(1.5, 0), (2.5, 1)]


def test_paths_lead_into_objects_and_arrays_and_an_escaped_point_is_in_a_key():
    made = contract(
        twin="{meta.id}",
        time={"field": "@timestamp"},
        observations=[
            {"path": "pressure", "field": "data.readings.1", "unit": "kPa"},
            {"path": "flow", "field": r"a\.b.c", "unit": "l/min"},
        ],
    )
    document = {"meta": {"id": "pump-1"}, "@timestamp": AT, "data": {"readings": [1, 2]}, "a.b": {"c": 3}, "a": {"b": {"c": 4}}}
    assert [values for _, _, values in rows(read(made, document))] == [(2.0, 3.0)]


def test_a_payload_may_hold_many_documents_and_nan_is_bad_and_not_a_lost_payload():
    made = contract(twin="{d.id}", time={"field": "ts"}, observations=[{"path": "pressure", "field": "d.p", "unit": "kPa"}])
    lines = b'{"ts":"%b","d":{"id":"pump-1","p":NaN}}\n{"ts":"%b","d":{"id":"pump-2","p":2}}\n{' % (AT.encode(), AT.encode())
    prepared = read(made, lines)
    assert [values for _, _, values in rows(prepared)] == [(None,), (2.0,)] and prepared.readings.bad[0].tolist() == [1, 0]
    assert reasons(prepared) == ["malformed"]


def test_text_around_elements_is_not_repeated_without_bound():
    made = contract(each="r", twin="pump-1", time={"field": "ts"}, observations=[{"path": "mode", "field": "^long"}])
    few, many = ({"long": "x" * 10_000, "r": [{"ts": AT}] * count} for count in (20, 100))
    prepared = read(made, few, many)
    assert (len(prepared.readings), reasons(prepared)) == (20, ["too_large"])


def test_elements_beyond_a_thousand_share_a_letter_with_the_whole_document():
    document = {"devices": [{"id": "pump-1", "samples": [1] * 1_500}]}
    letters = read(FLEET, document).dead_letters(lambda payload, _: str(payload))[0]
    assert len(letters) == 1_001 and "500 more elements" in letters[-1].detail
    assert json.loads(letters[-1].payload) == document


def test_what_is_large_and_not_read_is_not_kept_with_every_refused_element():
    around = {"ts": AT, "log": "x" * 100_000, "mode": "auto", "r": [1, 2, 3]}
    made = contract(each="r", twin="{id}", time={"field": "^ts"}, observations=[{"path": "mode", "field": "^mode"}])
    for at, letter in enumerate(read(made, around).dead_letters(lambda payload, _: str(payload))[0]):
        assert json.loads(letter.payload) == {"ts": AT, "mode": "auto", "r": [at + 1]}


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"observations": [{"path": "pressure", "field": "a..b", "unit": "kPa"}]}, "$.observations[0].field", "not the path of a field"),
        ({"observations": [{"path": "pressure", "field": ".", "unit": "kPa"}]}, "$.observations[0].field", "not the path of a field"),
        ({"each": "r", "observations": [{"path": "mode", "field": "^^m"}]}, "$.observations[0].field", "leads 2 documents outwards"),
        ({"each": ["r", "a..b"]}, "$.each[1]", "not the path of a field"),
        ({"each": ".*"}, "$.each", "not the path of a field"),
        ({"each": "r", "format": "csv"}, "$.each", "has no elements"),
        ({"time": {"field": "t."}}, "$.time.field", "not the path of a field"),
        ({"observations": [{"path": "mode", "field": ".".join("a" * 40)}]}, "$.observations[0].field", "40 steps"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_when_the_contract_is_loaded(changes, path, said):
    made, problems = compiled(written(**changes))
    assert made is None
    assert [(one.path, said in one.message, bool(one.remedy)) for one in problems.items] == [(path, True, True)]


def test_only_plain_keys_are_flat():
    assert is_flat("pressure") and is_flat("@timestamp") and is_flat("^x") and not is_flat("a.b") and not is_flat(r"a\.b")
    assert not contract().is_nested and contract(each="r").is_nested
    assert field_path("^x", within=0).steps == ("^x",)
    assert level("*").members and level("a.b.*").path.steps == ("a", "b") and not level("a").members
    problems = Problems()
    document = parse_text("each: a", "x.yaml", problems)
    assert levels_of(None, document, problems) == () and not problems
    with pytest.raises(UsageError):
        field_path("", within=0)


# --- against a plain evaluation of one document after the other -------------------------------------------------------

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(-5, 5), st.sampled_from(["", "x", AT, "pump-1", "pump-2", "late"])
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("tvp"), inner, max_size=3), max_leaves=4
)
samples = st.fixed_dictionaries({}, optional={"t": st.just(AT) | leaves, "v": st.fixed_dictionaries({}, optional={"p": leaves}) | leaves})
devices = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["pump-1", "pump-2"]) | leaves,
        "flow": leaves,
        "samples": st.lists(samples | anything, max_size=4) | anything,
    },
)
documents = st.fixed_dictionaries(
    {}, optional={"site": st.fixed_dictionaries({"mode": leaves}) | leaves, "devices": st.lists(devices | anything, max_size=4) | anything}
)


def _inside(value, *steps):
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _plainly(document):
    """What the contract `FLEET` makes of one document: the accepted, and how many there are in all."""
    found = document.get("devices")
    if not isinstance(found, list):
        return [], 1
    accepted, received = [], 0
    for device in found:
        inner = _inside(device, "samples")
        if not isinstance(device, dict | list) or not isinstance(inner, list):
            received += 1
            continue
        for sample in inner:
            received += 1
            if isinstance(sample, dict | list):
                accepted += _reading(document, device, sample)
    return accepted, received


def _reading(document, device, sample):
    identity, pressure = device.get("id"), _inside(sample, "v", "p")
    if _inside(sample, "t") != AT or identity not in ("pump-1", "pump-2"):
        return []
    if isinstance(pressure, bool) or not isinstance(pressure, int | float) or abs(pressure) > 1e308:
        return []
    flow, mode = device.get("flow"), _inside(document.get("site"), "mode")
    flow = float(flow) if isinstance(flow, int | float) and not isinstance(flow, bool) else None
    return [(int(identity[-1]), from_iso(AT), (float(pressure), flow, mode if isinstance(mode, str) else None))]


@settings(max_examples=150, deadline=None)
@given(st.lists(documents, min_size=1, max_size=4), st.booleans())
@example([DOCUMENT, {"devices": []}], True)
@example([{"devices": [{"id": "pump-1", "samples": [{"t": AT, "v": {"p": 10**400}}]}]}], False)
def test_every_element_is_counted_once_and_read_as_a_plain_reader_reads_it(given_documents, as_array):
    expected = [_plainly(document) for document in given_documents]
    bodies = [given_documents] if as_array else given_documents
    prepared = read(FLEET, *bodies)
    assert rows(prepared) == [one for accepted, _ in expected for one in accepted]
    assert prepared.received == sum(received for _, received in expected)
    letters, owners = prepared.dead_letters(lambda payload, _: str(payload))
    assert prepared.received == len(prepared.readings) + len(letters)
    assert all(0 <= owner < len(bodies) for owner in owners)
    again = read(FLEET, *(letter.payload for letter in letters))
    assert (len(again.readings), again.received) == (0, len(letters))


wild = st.recursive(
    leaves | st.sampled_from([2**53 + 1, 2**63, -0.0, 1e300, "\ud83d\ude00", "a\nb", "\x00"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["t", "v", "p", "id", "flow", "samples", "devices"]), inner, max_size=4)
    ),
    max_leaves=8,
)
ODD_LINES = [
    b'{"devices":[{"id":"pump-1","samples":[{"t":"%b","v":{"p":1}}],"samples":[]}]}' % AT.encode(),
    b'{"devices":[{"id":"pump-1","id":"pump-2","samples":[{"t":"%b","v":{"p":1,"p":2}}]}]}' % AT.encode(),
    b'{"devices":[{"id":7,"samples":[{"t":"%b","v":{"p":1e5}}]}],"site":{"mode":"\\u00e9"}}' % AT.encode(),
    b'{"devices":[{"id":"pump-1","samples":[{"t":"%b","v":{"p":1e999}}]}]}' % AT.encode(),
    b'{"devices":[{"id":"pump-1","samples":[{"t":"%b","v":{"p":Infinity}}]}]}' % AT.encode(),
    b'{"devices":[{"id":"pump-1","samples":[{"t":"%b","v":null}]}]}' % AT.encode(),
    b'{"dev\\u0069ces":[{"id":"pump-1","samples":[{"t":"%b","v":{"p":3}}]}]}' % AT.encode(),
]
GOOD_LINE = json.dumps(
    {"site": {"mode": "m"}, "devices": [{"id": "pump-2", "flow": 1, "samples": [{"t": AT, "v": {"p": 0.5}}] * 2}]}
).encode()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["devices", "site"]), wild, max_size=2).map(json.dumps).map(str.encode)
        | st.sampled_from([*ODD_LINES, GOOD_LINE]),
        max_size=4,
    )
)
@example([GOOD_LINE, *ODD_LINES])
def test_documents_mean_the_same_in_columns_and_one_by_one(bodies):
    together, plain = decoder_of(FLEET), decoder_of(FLEET)
    plain._columns = None
    payloads = [Payload(body) for body in bodies]
    one, other = together.decode(payloads), plain.decode(payloads)
    assert one.count == other.count and one.owner.tolist() == other.owner.tolist()
    for name in FLEET.fields:
        left, right = one.columns[name], other.columns[name]
        assert left.values.to_list() == right.values.to_list()
        assert (left.wrong is not None and left.wrong.any()) == (right.wrong is not None and right.wrong.any())
    assert [one.raw(row) for row in range(one.count)] == [other.raw(row) for row in range(other.count)]
    assert one.undecodable == other.undecodable


@pytest.mark.parametrize("line", [GOOD_LINE, *ODD_LINES])
def test_a_document_alone_means_the_same_in_columns_and_plainly(line):
    test_documents_mean_the_same_in_columns_and_one_by_one.hypothesis.inner_test([line])


def test_plain_chunks_are_read_in_columns_and_others_are_not():
    decoder = decoder_of(FLEET)
    assert decoder._columns.read([GOOD_LINE] * 3, np.array([14] * 3)).document.tolist() == [0, 0, 1, 1, 2, 2]
    assert decoder._columns.read([GOOD_LINE, b"{}"], np.array([14] * 2)) is None
    assert decoder._columns.read([GOOD_LINE] * 2, np.array([13] * 2)) is None  # pump-2 and m, twice
    for changes in (
        {"each": "p.*"},
        {"observations": [{"path": "flow", "field": "a.0", "unit": "l/min"}]},
        {"each": "r", "twin": "{r.x}{^r.y}"},
    ):
        assert decoder_of(contract(**{"twin": "pump-1", **changes}))._columns is None
    clash = contract(twin="pump-1", observations=[{"path": "flow", "field": "a.b", "unit": "l/min"}, {"path": "mode", "field": "a"}])
    assert decoder_of(clash)._columns is None


@pytest.mark.parametrize(
    ("each", "field", "columns"),
    [
        ("r", "^a.b", True),
        ("a.r", "^a.b", True),
        ("a.b.r", "^c", True),
        ("r", "^r", False),
        ("r", "^r.x", False),
        ("a.r", "^a", False),
    ],
)
def test_a_field_may_lie_beside_the_elements_and_not_where_they_are(each, field, columns):
    made = contract(each=each, twin="pump-1", time={"field": "ts"}, observations=[{"path": "mode", "field": field}])
    decoder = decoder_of(made)
    assert (decoder._columns is not None) is columns
    document = {"c": "on", "a": {"b": {"r": [{"ts": AT}]}, "r": [{"ts": AT}]}, "r": [{"ts": AT}]}
    if each != "a.b.r":
        document["a"]["b"] = "on"
    prepared = read(made, document)
    assert prepared.received == 1 and [values for _, _, values in rows(prepared)] == (
        [("on",)] if columns else [(None,)] * len(prepared.readings)
    )
