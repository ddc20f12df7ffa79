"""Several contracts on one source: each reading is taken, or refused, by exactly one of them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.plant import INTERFACE, NOW, PATHS, written

from twinwright.documents import Problems
from twinwright.storage.layout import Lifetime
from twinwright.telemetry.batches import decoder_of, prepare
from twinwright.telemetry.payloads import Payload
from twinwright.twins.registry import TwinRegistry
from twinwright.workspace.load import compile_contracts

REGISTRY = TwinRegistry([Lifetime(1, "pump-1", INTERFACE)], {INTERFACE: PATHS})
TOPIC = {"connector": "plant", "topic": "all"}
FLOW = [{"path": "flow", "field": "v", "unit": "l/min"}]
PRESSURE = [{"path": "pressure", "field": "v", "unit": "kPa"}]


def load(*documents):
    problems = Problems()
    texts = {f"contracts/{document['name']}.yaml": json.dumps({"twin": "pump-1", "source": TOPIC, **document}) for document in documents}
    return compile_contracts(texts, PATHS, problems), problems


def contract_of(name, **changes):
    return {**written(name), "source": TOPIC, "twin": "pump-1", **changes}


def group(*documents):
    made, problems = load(*documents)
    assert not problems, problems.items
    return made


THREE = (
    contract_of("b-flow", match="type == 'flow'", observations=FLOW),
    contract_of("a-high", match="type == 'flow' and v > 100", observations=PRESSURE),
    contract_of("c-pressure", match="starts_with(type, 'p')", observations=PRESSURE),
)


def outcome(contracts, *bodies):
    """For each contract how many readings it takes, and why it refuses others."""
    payloads = [Payload(body) for body in bodies]
    found = {}
    for name, made in contracts.items():
        prepared = prepare(made, decoder_of(made), payloads, REGISTRY, NOW)
        assert prepared.received == len(prepared.readings) + len(prepared.dead_letters(lambda payload, _: str(payload))[0])
        found[name] = (len(prepared.readings), [letter.reason for letter in prepared.dead_letters(lambda payload, _: str(payload))[0]])
    return found


def body(**fields):
    return json.dumps({"ts": "2026-03-01T07:00:00Z", **fields}).encode()


def test_the_first_by_name_takes_what_it_matches_and_the_last_refuses_what_none_does():
    bodies = [body(type="flow", v=5), body(type="flow", v=500), body(type="pp", v=1), body(type="x", v=1), body(v=1), b"not json"]
    assert outcome(group(*THREE), *bodies) == {
        "b-flow": (1, []),
        "a-high": (1, []),
        "c-pressure": (1, ["malformed"] * 3),
    }


def test_one_without_a_rule_takes_the_rest():
    rest = contract_of("0-rest", observations=PRESSURE)
    made = group(*THREE, rest)
    bodies = [body(type="flow", v=5), body(type="x", v=1), body(v=1), b"not json"]
    assert outcome(made, *bodies) == {"b-flow": (1, []), "a-high": (0, []), "c-pressure": (0, []), "0-rest": (2, ["malformed"])}


def test_a_contract_alone_refuses_what_does_not_match():
    made = group(contract_of("pump", match="type == 'flow'", observations=FLOW))
    assert outcome(made, body(type="flow", v=1), body(type="x", v=1)) == {"pump": (1, ["malformed"])}


def test_contracts_of_other_sources_and_without_any_rule_share_nothing():
    made = group(contract_of("x", source={"connector": "plant", "topic": "other"}), contract_of("y"), contract_of("z"))
    assert all(one.matching is None for one in made.values())


def test_a_change_of_an_earlier_rule_is_a_change_of_the_later_contracts():
    before, after = group(*THREE), group(*THREE[1:], {**THREE[0], "match": "type == 'gas'"})
    assert before["c-pressure"] != after["c-pressure"] and before["a-high"] == after["a-high"]


@pytest.mark.parametrize(
    ("changed", "path", "said"),
    [
        ({"match": "type =="}, "$.match", "column 8 of `type ==`"),
        ({"match": "v + 1"}, "$.match", "neither holds nor fails"),
        ({"match": "v > 5 kPa"}, "$.match", "can't be converted"),
        ({"match": None}, None, None),
        ({"format": "csv", "delimiter": ";"}, "$.source", "in another way"),
        ({"each": "r"}, "$.source", "in another way"),
    ],
)
def test_a_rule_that_can_not_be_is_told_when_the_contract_is_loaded(changed, path, said):
    _, problems = load(*THREE[1:], {key: value for key, value in {**THREE[0], **changed}.items() if value is not None})
    assert [(one.path, said in one.message, bool(one.remedy)) for one in problems.items if one.file == "contracts/b-flow.yaml"] == (
        [(path, True, True)] if path else []
    )


def test_two_that_would_take_the_rest_are_a_problem():
    _, problems = load(*THREE, contract_of("rest", observations=FLOW), contract_of("other", observations=FLOW))
    assert [(one.file, one.code) for one in problems.items] == [("contracts/other.yaml", "two_rests")]


kinds = st.sampled_from(["flow", "p", "pp", "x", "", None, 5])


@settings(deadline=None)
@given(st.lists(st.tuples(kinds, st.sampled_from([1, 500, None, "x"])) | st.just(b"{"), max_size=12), st.booleans())
def test_every_reading_is_counted_by_one_contract(given_bodies, with_rest):
    made = group(*THREE, contract_of("rest", observations=FLOW)) if with_rest else group(*THREE)
    bodies = [one if isinstance(one, bytes) else body(type=one[0], v=one[1]) for one in given_bodies]
    found = outcome(made, *bodies)
    assert sum(taken + len(refused) for taken, refused in found.values()) == len(bodies)
