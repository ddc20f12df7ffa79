"""CloudEvents: structured, in batches, one a line and in binary mode; each reading of each event counted once."""

import base64
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.telemetry.plant import compiled, contract, written

from twinwright.governance.principals import SYSTEM
from twinwright.telemetry.decode_events import CloudEventsDecoder
from twinwright.telemetry.payloads import Payload

FIELDS = {"data.p": "number", "data.m": "string", "subject": "scalar", "time": "string", "sequence": "integer", "sampled": "boolean"}
EVENT = {"specversion": "1.0", "id": "1", "source": "/plant/3", "type": "org.example.sample", "subject": "pump-1"}
OBSERVATIONS = [{"path": "pressure", "field": "data.p", "unit": "kPa"}, {"path": "mode", "field": "data.m"}]
EVENTS = {"format": "cloudevents", "twin": "{subject}", "time": {"field": "time"}, "observations": OBSERVATIONS}


def event(data=None, /, **changes):
    document = EVENT | {"time": "2026-03-01T07:00:00Z"} | ({} if data is None else {"data": data}) | changes
    return json.dumps({name: value for name, value in document.items() if value is not ...}).encode()


def binary(body, /, **changes):
    attributes = {name: str(value) for name, value in (EVENT | {"time": "2026-03-01T07:00:00Z"} | changes).items() if value is not ...}
    return Payload(body, {f"ce-{name}": value for name, value in attributes.items()})


def rows(*payloads, fields=FIELDS):
    decoded = CloudEventsDecoder(fields).decode([one if isinstance(one, Payload) else Payload(one) for one in payloads])
    found = [[] for _ in payloads]
    for row in range(decoded.count):
        found[decoded.owner[row]].append(
            {
                name: "wrong" if column.wrong is not None and column.wrong[row] else column.values[row]
                for name, column in decoded.columns.items()
            }
        )
    for bad in decoded.undecodable:
        found[bad.payload].append((bad.raw, bad.reason))
    return found


def row(**values):
    return dict.fromkeys(FIELDS) | {"subject": "pump-1", "time": "2026-03-01T07:00:00Z"} | values


def test_an_event_is_read_alone_in_a_batch_one_a_line_and_in_binary_mode():
    wanted = row(**{"data.p": 1.5, "data.m": "auto"})
    data = {"p": 1.5, "m": "auto", "other": [1]}
    structured = event(data)
    pretty = json.dumps(json.loads(structured), indent=2).encode()
    alone, batch, lines, indented, apart = rows(
        structured,
        b"[" + structured + b", " + structured + b"]",
        structured + b"\n" + structured,
        pretty,
        binary(json.dumps(data).encode()),
    )
    assert [alone, batch, lines, indented, apart] == [[wanted], [wanted] * 2, [wanted] * 2, [wanted], [wanted]]


def test_data_may_be_packed_or_several_documents():
    lines = base64.b64encode(b'{"p":1}\n{"p":2}\n').decode()
    packed, several, apart = rows(event(data_base64=lines), event([{"p": 1}, {"p": 2}]), binary(b'[{"p":1},{"p":2}]'))
    assert packed == several == apart == [row(**{"data.p": 1.0}), row(**{"data.p": 2.0})]


def test_what_is_nested_in_the_data_has_a_path():
    fields = FIELDS | {"data.motor.speed": "number"}
    data = {"p": 1, "motor": {"speed": 1450}}
    packed, apart, several = rows(event(data), binary(json.dumps(data).encode()), event([data, {"motor": 3}, 4]), fields=fields)
    assert packed == apart == [row(**{"data.p": 1.0, "data.motor.speed": 1450.0})]
    assert [len(packed), len(several)] == [1, 3]
    assert several[0] == packed[0]
    assert json.loads(several[2][0])["data"] == 4


def test_an_event_without_data_has_its_attributes():
    assert rows(event(), event(data=...), event(data_base64=None), binary(b"")) == [[row()]] * 4
    assert rows(event().replace(b"{", b'{"data": null, ', 1)) == [[row()]]


def test_attributes_are_of_their_type_or_written_as_text():
    typed, written_out, apart, wrong = rows(
        event(sequence=7, sampled=True), event(sequence="7", sampled="true"), binary(b"{}", sequence=7, sampled="true"), event(sequence="x")
    )
    assert typed == written_out == apart == [row(sequence=7, sampled=True)]
    assert wrong == [row(sequence="wrong")]
    assert rows(event(subject=None))[0][0]["subject"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"specversion": "0.3"},
        {"specversion": ...},
        {"id": ...},
        {"id": ""},
        {"source": ...},
        {"type": ...},
        {"id": 7},
        {"subject": {"a": 1}},
    ],
)
def test_what_is_no_event_is_refused_whole_and_alone(changes):
    bad = event({"p": 1}, **changes)
    ((good, refused),) = rows(b"[" + bad + b"," + event({"p": 2}) + b"]")
    assert (good["data.p"], refused) == (2.0, (bad, "malformed"))


@pytest.mark.parametrize("changes", [{"specversion": "0.3"}, {"id": ...}, {"source": ""}, {"type": ...}])
def test_in_binary_mode_too(changes):
    assert rows(binary(b'{"p":1}', **changes), binary(b'{"p":2}')) == [[(b'{"p":1}', "malformed")], [row(**{"data.p": 2.0})]]


def test_a_part_of_the_data_that_is_no_document_is_refused_and_can_be_read_again():
    good, text, empty_array = event([{"p": 1}, 3, {"p": 2}]), event("text"), event([])
    found = rows(good, text, empty_array)
    assert found[0][:2] == [row(**{"data.p": 1.0}), row(**{"data.p": 2.0})]
    refused, reason = found[0][2]
    assert (json.loads(refused), reason) == (json.loads(event(3)), "malformed")
    assert found[1] == [(text, "malformed")]
    assert found[2] == [(empty_array, "malformed")]
    assert rows(refused) == [[(refused, "malformed")]]


def test_numbers_that_json_does_not_know_are_bad_and_lose_no_event():
    nan = event({"p": 1, "m": "auto"}).replace(b'"p": 1', b'"p": NaN')
    ((read,),) = rows(nan)
    assert read["data.p"] != read["data.p"]
    assert read["data.m"] == "auto"
    in_a_list = event([{"p": 1}, {"p": 2}]).replace(b"2}", b"NaN}")
    ((sound, read),) = rows(in_a_list)  # as a list of JSON is
    assert sound["data.p"] == 1.0
    assert read["data.p"] != read["data.p"]
    elsewhere = event({"p": 1}, other=float("nan"))
    assert rows(elsewhere) == [[(elsewhere, "malformed")]]


def test_data_given_in_two_ways_is_refused():
    both = event({"p": 1}, data_base64="e30=")
    assert rows(both) == [[(both, "malformed")]]


def test_deep_data_harms_only_itself():
    deep = event().replace(b'"source"', b'"data": ' + b"[" * 5_000 + b"]" * 5_000 + b', "source"')
    refused, good = rows(deep, event({"p": 1}))
    assert refused == [(deep, "malformed")]
    assert good == [row(**{"data.p": 1.0})]


def documents(numbers):
    return st.recursive(
        st.none() | st.booleans() | st.integers(-3, 3) | numbers | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["p", "m", "x"]), inner, max_size=3),
        max_leaves=5,
    )


json_values = documents(st.floats())
data_values = documents(st.floats(allow_nan=False, allow_infinity=False))
data_parts = st.lists(data_values, min_size=1, max_size=3) | st.dictionaries(st.sampled_from(["p", "m"]), data_values)
attributes = st.dictionaries(
    st.sampled_from([*EVENT, "time", "sequence", "sampled", "data", "data_base64", "other"]),
    st.one_of(json_values, st.just("1.0"), st.binary(max_size=6).map(lambda raw: base64.b64encode(raw).decode()), st.just(...)),
    max_size=3,
)
events = st.builds(lambda data, changes: event(data, **changes), json_values, attributes)
bodies = st.one_of(
    st.binary(max_size=40),
    events,
    st.lists(events | st.sampled_from([b"3", b"null", b"{}", b"{"]), max_size=3).map(lambda parts: b"[" + b",".join(parts) + b"]"),
    st.lists(events | st.sampled_from([b"3", b"{", b""]), max_size=3).map(b"\n".join),
)
payloads = st.one_of(
    bodies.map(Payload),
    st.builds(lambda data, changes: binary(data, **changes), bodies | json_values.map(lambda v: json.dumps(v).encode()), attributes),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(payloads, min_size=1, max_size=3))
def test_whatever_comes_means_the_same_in_any_company(given_payloads):
    together = rows(*given_payloads)
    assert repr(together) == repr([rows(payload)[0] for payload in given_payloads])
    for payload, found in zip(given_payloads, together, strict=True):
        assert found or payload.body.strip() == b"[]"


@settings(max_examples=150, deadline=None)
@given(st.lists(payloads, min_size=1, max_size=3))
@example([Payload(b"[[]]")])
def test_each_reading_alone_is_that_reading(given_payloads):
    """What goes into a dead letter yields, read again beside the same captures, one reading or one refusal."""
    decoded = CloudEventsDecoder(FIELDS).decode(given_payloads)
    everything = rows(*given_payloads)
    singles = [[] for _ in given_payloads]
    for at in range(decoded.count):
        owner = decoded.owner[at]
        singles[owner] += rows(Payload(decoded.raw(at), given_payloads[owner].captures))[0]
    assert repr(singles) == repr([[one for one in found if isinstance(one, dict)] for found in everything])
    for bad in decoded.undecodable:
        (again,) = rows(Payload(bad.raw, given_payloads[bad.payload].captures))
        assert again or json.loads(bad.raw) == []  # a list within a list may be readings, read again, or none: nothing is lost


@settings(max_examples=100, deadline=None)
@given(st.lists(data_parts, min_size=1, max_size=3))
def test_every_element_of_the_data_is_counted_once(given_data):
    wanted = [len(data) if isinstance(data, list) else 1 for data in given_data]
    batch = b"[" + b",".join(event(data) for data in given_data) + b"]"
    assert len(rows(batch)[0]) == sum(wanted)
    assert [len(found) for found in rows(*(binary(json.dumps(data).encode()) for data in given_data))] == wanted


# --- in a contract -------------------------------------------------------------------------------------------------------


def test_a_repeated_event_is_a_duplicate_whatever_its_id(make_plant):
    plant = make_plant(contract(**EVENTS))
    assert plant.send(event({"p": 1.5}), event({"p": 1.5}, id="2")).duplicate == 1
    receipt = plant.send(event({"p": 2.5}), event({"p": "much"}), event({"p": 1}, subject="pump-9"), b"[3]", event(4))
    assert (receipt.received, receipt.accepted, receipt.conflict) == (5, 2, 2)
    assert receipt.dead_lettered == {"malformed": 2, "unknown_twin": 1}


def test_dead_letters_of_binary_mode_are_read_again_with_their_attributes(make_plant):
    plant = make_plant(contract(**EVENTS))
    captures = binary(b"", subject="pump-3").captures
    assert plant.send(b'[{"p":1},{"p":2}]', captures=captures).dead_lettered == {"unknown_twin": 2}
    letters = plant.store.dead_letters(SYSTEM)
    assert [letter.payload for letter in letters] == [b'{"p":1}', b'{"p":2}']
    assert all(letter.captures == captures for letter in letters)


@pytest.mark.parametrize("field", ["p_kpa", "data", "data.", "Subject", "data_base64", "data.a..b"])
def test_a_contract_names_what_is_in_an_event(field):
    made, problems = compiled(written(**(EVENTS | {"observations": [{"path": "pressure", "field": field, "unit": "kPa"}]})))
    assert made is None
    assert any(f"'{field}'" in str(problem) for problem in problems.items)


def test_an_event_that_is_not_utf8_is_refused_wherever_it_is_not():
    for broken in (b"\xe5", b'"\xe5": 1', b'"a": "\xe5"'):
        odd = event([{"p": 1}, {"p": "x"}])[:-1] + b", " + broken + b"}"
        assert rows(event({"p": 1}), odd) == [[row(**{"data.p": 1.0})], [(odd, "malformed")]]
