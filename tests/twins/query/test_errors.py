"""A query that can't be read or names what is not there is refused at its place, with the nearest right name; nothing else ever comes."""

from __future__ import annotations

import base64
import random

import pytest
from tests.twins.query.plant import BASE, OTHER, Fixed, Graph, ask, service

from twinwright.errors import ContinuationError, QueryError

GRAPH = Graph(
    [
        {"$dtId": "t0", "$metadata": {"$model": BASE}, "temp": 20.0, "count": 2**60 + 1, "motor": {"$metadata": {}, "speed": 3.0}},
        {"$dtId": "it's", "$metadata": {"$model": OTHER}, "temp": 68.0, "order": "x", "name": 1},
    ],
    [{"$relationshipId": "r0", "$sourceId": "t0", "$targetId": "it's", "$relationshipName": "feeds", "weight": 1.0}],
)


@pytest.fixture(scope="module")
def queries():
    return service(GRAPH, Fixed(GRAPH))


REFUSED = {
    "SELECT T.tmep FROM DIGITALTWINS T": ("column 8", "Did you mean 'temp'?"),
    "SELECT T.motor.sped FROM DIGITALTWINS T": ("column 8", "Did you mean 'speed'?"),
    "SELECT * FROM DIGITALTWINS T WHERE T.Temp > 1": ("column 36", "Did you mean 'temp'?"),
    "SELECT * FROM DIGITALTWINS T JOIN U RELATED T.feds": ("column 47", "Did you mean 'feeds'?"),
    "SELECT A FROM DIGITALTWINS MATCH (A)-[:contians]->(B)": ("column 40", "Did you mean 'contains'?"),
    "SELECT * FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, 'dtmi:test:Bse;1')": ("column 51", "Did you mean 'dtmi:test:Base;1'?"),
    "SELECT * FROM DIGITALTWINS T WHERE T.$metadata.$model = 'dtmi:test:Bas;1'": ("column 57", "Did you mean 'dtmi:test:Base;1'?"),
    "SELECT * FROM DIGITALTWINS T WHERE T.order = 'x' AND IS_OF_MODEL(T, 'dtmi:test:Base;1')": ("column 36", ""),
    "SELECT R FROM DIGITALTWINS T JOIN U RELATED T.feeds R WHERE R.wieght > 1": ("column 61", "Did you mean 'weight'?"),
    "SELECT U FROM DIGITALTWINS T": ("column 8", ""),
    "SELECT * FROM RELATIONSHIPS WHERE $relationshipName = 'fedes'": ("column 55", "Did you mean 'feeds'?"),
    "SELECT * FROM RELATIONSHIPS R WHERE R.$relationshipName NIN ['feeds', 'contain']": ("column 71", "Did you mean 'contains'?"),
    "SELECT T.feeds FROM DIGITALTWINS T": ("column 8", "JOIN X RELATED T.feeds"),
    "SELECT U FROM DIGITALTWINS T JOIN U RELATED T.feeds WHERE feeds.weight > 1": ("column 59", "a name of its own"),
    "SELECT T.$metadata.tmep.lastUpdateTime FROM DIGITALTWINS T": ("column 8", "Did you mean 'temp'?"),
    "SELECT T.$metadata.temp.lastUpdatetime FROM DIGITALTWINS T": ("column 8", "Did you mean 'lastUpdateTime'?"),
    "SELECT T.motor.$metadata.sped FROM DIGITALTWINS T": ("column 8", "Did you mean 'speed'?"),
    "SELECT T.motr.$metadata FROM DIGITALTWINS T": ("column 8", "Did you mean 'motor'?"),
    "SELECT T.motor.speed.$metadata FROM DIGITALTWINS T": ("column 8", "motor.$metadata.speed"),
    "SELECT * FROM DIGITALTWINS T WHERE IS_OF_MODEL('dtmi:test:Base;1', exat)": ("column 68", "exact"),
    "SELECT * FROM DIGITALTWINS T WHER T.temp = 1": ("column 30", "Did you mean WHERE"),
    "SELECT * FROM DIGITALTWINS WHER temp = 1": ("column 33", "Did you mean WHERE where 'WHER'"),
    "SELECT * FROM DIGITALTWINS T GRUOP BY T.temp": ("column 30", "Did you mean GROUP"),
    "SELECT DISTINCT T.temp FROM DIGITALTWINS T": ("column 17", "Group by it"),
    "SELECT * FROM DIGITALTWINS LIMIT 5": ("column 34", "TOP(n)"),
    "SELECT * FROM DIGITALTWINS T WHERE T.order LIKE 'a%'": ("column 44", "STARTSWITH"),
    "SELECT * FROM DIGITALTWINS T WHERE T.temp BETWEEN 1 AND 2": ("column 43", ">= 1 AND"),
    "SELECT * FROM DIGITALTWINS T WHERE T.temp IS NULL": ("column 43", "IS_NULL"),
    "SELECT * FROM DIGITALTWINS T WHERE T.temp == 1": ("column 43", "Write ="),
    "SELECT * FROM DIGITALTWINS T WHERE !T.on": ("column 36", "Write NOT"),
    "SELECT * FROM DIGITALTWINS T WHERE T.temp = 1 && T.on": ("column 47", "Write AND"),
    "SELECT * FROM DIGITALTWINS T WHERE T.temp IN []": ("column 47", "at least one"),
    "SELECT T.tags[0] FROM DIGITALTWINS T": ("column 14", "ARRAY_CONTAINS"),
    "SELECT T.motor.maker AS m FROM DIGITALTWINS T GROUP BY maker": ("column 8", "GROUP BY"),
    "SELECT T.$dtID FROM DIGITALTWINS T": ("column 8", "Did you mean '$dtId'?"),
    "SELECT T.temp\nFROM DIGITALTWINS T\nWHERE T.temp = 'warm'": ("line 3, column 14", "same kind"),
    "SELECT * FROM DIGITALTWINS T WHERE T.temp > 5 kPa": ("column 43", "dimension"),
    "SELECT * FROM DIGITALTWINS T WHERE T.temp = null": ("column 45", "IS_NULL"),
    "SELECT * FROM DIGITALTWINS T WHERE STARTWITH(T.order, 'a')": ("column 36", "STARTSWITH"),
    "SELECT * FROM DIGITALTWINS T WHERE T.order = 'x": ("column 46", "Close it"),
    "SELECT COUNT(), T.temp FROM DIGITALTWINS T": ("column 17", "GROUP BY"),
    "SELECT T.temp FROM DIGITALTWINS T HAVING T.temp > 1": ("column 49", "WHERE"),
    "SELECT T.temp, COUNT() FROM DIGITALTWINS T GROUP BY T.temp HAVING T.temp > 1": ("column 67", "WHERE"),
    "SELECT COUNT() FROM DIGITALTWINS T HAVING MAX(T.tmep) > 1": ("column 47", "Did you mean 'temp'?"),
    "SELECT COUNT() FROM DIGITALTWINS T HAVING MAX(T.temp) > 1 bar": ("column 55", ""),
    "SELECT COUNT() FROM DIGITALTWINS T ORDER BY COUNT() HAVING COUNT() > 1": ("column 53", "Move it before"),
    "SELECT A FROM DIGITALTWINS MATCH (A)-[*3..2]->(B)": ("column 39", "*2 for exactly two"),
    "SELECT A FROM DIGITALTWINS MATCH (A)-[R:feeds*2]->(B)": ("column 39", "number of hops"),
    "SELECT * FROM DIGITALTWINS AS OF 'noon'": ("column 28", ""),
    "UPDATE twins SET x = 1": ("column 1", "SELECT"),
    "SELECT * FROM DIGITALTWINS; DROP TABLE twins": ("column 27", ""),
    "SELECT " + "(" * 60 + "1" + ")" * 60 + " FROM DIGITALTWINS": ("column", "flatter"),
    "SELECT * FROM DIGITALTWINS WHERE " + " AND ".join(["temp > 1"] * 1000): ("", "At most 8000"),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:60])
def test_a_slip_is_refused_at_its_place(text, queries):
    place, remedy = REFUSED[text]
    with pytest.raises(QueryError) as raised:
        ask(queries, text)
    assert place in str(raised.value.where)
    assert remedy in str(raised.value)


ANSWERED = {
    "SELECT TOP(1) FROM DIGITALTWINS ORDER BY $dtId DESC": [GRAPH.twins[0]],
    "select t.$dtId from digitaltwins t where t.$dtId in ['it\\'s', \"no\"]": [{"$dtId": "it's"}],
    "SELECT T.$dtId FROM DIGITALTWINS T WHERE T.$dtId = 'it''s'": [{"$dtId": "it's"}],
    "SELECT count FROM DIGITALTWINS WHERE count = 1152921504606846977": [{"count": 2**60 + 1}],
    "SELECT T.temp IN UNIT 'K' AS k FROM DIGITALTWINS T WHERE T.temp = 68 degF ORDER BY T.$dtId": [{"k": 293.15}, {"k": 293.15}],
    "SELECT T.[[order]] FROM DIGITALTWINS T WHERE [[order]] = 'x'": [{"order": "x"}],
    "SELECT T.motor FROM DIGITALTWINS T WHERE IS_OBJECT(T.motor)": [{"motor": {"$metadata": {}, "speed": 3.0}}],
    "SELECT AVG(T.temp) AS mean FROM DIGITALTWINS T": [{"mean": 20.0}],
    "SELECT AVG(T.temp) AS mean FROM DIGITALTWINS T HAVING mean > 67 degF AND COUNT() >= 1": [{"mean": 20.0}],
    "SELECT AVG(T.temp) AS mean FROM DIGITALTWINS T HAVING mean > 69 degF": [],
    "SELECT T.motor.speed AS s, COUNT() FROM DIGITALTWINS T GROUP BY s ORDER BY COUNT DESC, s": [{"s": 3.0, "COUNT": 1}, {"COUNT": 1}],
    "SELECT motor.speed, COUNT() FROM DIGITALTWINS T GROUP BY T.motor.speed HAVING COUNT > 0 ORDER BY speed": [
        {"speed": 3.0, "COUNT": 1},
        {"COUNT": 1},
    ],
    "SELECT T.temp IN UNIT 'degC' AS t FROM DIGITALTWINS T WHERE T.temp > +19 ORDER BY t * -1, T.$dtId DESC": [{"t": 20.0}, {"t": 20.0}],
    "SELECT T.$dtId FROM DIGITALTWINS T WHERE T.order = 'x' OR T.temp > 1 AND NOT T.$dtId = 't0' AND T.count = 1": [{"$dtId": "it's"}],
    "SELECT T.motor.$metadata AS m FROM DIGITALTWINS T WHERE T.$dtId = 't0'": [{"m": {}}],
    "SELECT T.motor.$metadata.speed.lastUpdateTime AS m FROM DIGITALTWINS T WHERE T.$dtId = 't0'": [{}],
    "SELECT A.$dtId AS a FROM DIGITALTWINS MATCH (A)-[R]->(B) WHERE R.$relationshipName != 'contains' ORDER BY a": [{"a": "t0"}],
    "SELECT COUNT() FROM RELATIONSHIPS R WHERE R.$sourceId = 't0' AND R.weight <= 1": [{"COUNT": 1}],
    "SELECT B.$dtId FROM DIGITALTWINS MATCH (A)-[:feeds|contains*..3]->(B) WHERE A.$dtId = 't0'": [{"$dtId": "it's"}],
}


@pytest.mark.parametrize("text", ANSWERED, ids=lambda text: text[:60])
def test_what_is_written_in_many_ways_is_understood(text, queries):
    found = ask(queries, text)
    assert [{k: round(v, 9) if isinstance(v, float) else v for k, v in row.items()} for row in found] == ANSWERED[text]


def test_numbers_of_relationships_are_in_the_unit_of_what_they_begin_at():
    back = {"$relationshipId": "r1", "$sourceId": "it's", "$targetId": "t0", "$relationshipName": "feeds", "length": 300.0}
    queries = service(Graph(GRAPH.twins, [{**GRAPH.edges[0], "length": 2.0}, back]))
    select = "SELECT R.$relationshipId AS id, R.length IN UNIT 'm' AS m, R.length AS own FROM RELATIONSHIPS R"
    assert ask(queries, f"{select} WHERE R.length >= 1 m") == [{"id": "r0", "m": 2.0, "own": 2.0}, {"id": "r1", "m": 3.0, "own": 300.0}]
    assert [one["id"] for one in ask(queries, f"{select} WHERE R.length < 250 cm")] == ["r0"]
    assert [one["id"] for one in ask(queries, f"{select} ORDER BY R.length DESC")] == ["r1", "r0"]
    assert ask(queries, "SELECT MAX(R.length) AS m FROM DIGITALTWINS MATCH (A)-[R]-(B)") == [{"m": 3.0}]


def test_pages_follow_each_other(queries):
    text, found, token = "SELECT T.$dtId FROM DIGITALTWINS T", [], None
    for _ in range(2):
        page = queries.query(None, text, now=0, commit_of=int, continuation=token, most=1)
        found += page.value
        text, token = "", page.continuation
    assert token is None
    assert {row["$dtId"] for row in found} == {"t0", "it's"}
    for wrong in ("e30=", "x", "\u00e9", base64.urlsafe_b64encode(b'{"query": "", "seen": 0, "after": [[]], "version": null}').decode()):
        with pytest.raises(ContinuationError, match="token is none"):
            queries.query(None, "", now=0, commit_of=int, continuation=wrong, most=1)
    page = queries.query(None, "SELECT T.$dtId FROM DIGITALTWINS T", now=0, commit_of=int, most=1)
    (row,) = queries.query(None, "SELECT * FROM RELATIONSHIPS", now=0, commit_of=int, continuation=page.continuation, most=1).value
    assert row["$dtId"] in ("t0", "it's"), "the token has the query"


def test_mutated_queries_give_a_result_or_a_query_error(queries):
    rng = random.Random(7)
    whole = [*REFUSED, *ANSWERED]
    signs = ["(", ")", "[", "]", "'", "*", "..", "-", "->", "\u00e9", "\ud800", "$", "9e999"]
    words = [word for text in whole[:50] for word in text.split()] + signs
    for _ in range(600):
        text = rng.choice(whole)[:300]
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice([rng.choice(words), "", " "]) + text[at + rng.randint(0, 6) :]
        try:
            ask(queries, text)
        except QueryError as error:
            assert error.where and error.remedy, text
