"""The short way to one twin answers as the routes do."""

import json
from typing import get_args

import pytest

from twinwright.api.routes.twins import ApiVersion

SAY_MORE = {"twinwright-after": "0"}  # nothing is waited for, but the routes answer


def plain(response):
    def without(value):
        if isinstance(value, dict):
            return {name: without(one) for name, one in value.items() if name not in ("ageSeconds", "correlation_id")}
        return value

    headers = {name: value for name, value in response.headers.items() if name not in ("x-correlation-id", "content-length")}
    return response.status_code, headers, without(json.loads(response.content))


PATHS = ["pump-1", "pump-2", "none", "x" * 128, "x" * 129, "a%2Fb", "%00", "p%C3%BCmp", "pump-1/", "pump-1/relationships", ""]
ODD = ["?api-version=1999-01-01", "?as_of=x", "?lane=desired", "?api-version=2023-10-31&x=1"]
QUERIES = ["", *(f"?api-version={one}" for one in get_args(ApiVersion)), *ODD]


@pytest.mark.parametrize("query", QUERIES)
def test_a_read_is_answered_alike_either_way(client, query):
    for path in PATHS:
        url = f"/digitaltwins/{path}{query}"
        assert plain(client.get(url)) == plain(client.get(url, headers=SAY_MORE)), url


def test_it_is_counted_as_the_route_and_guarded_as_all_are(client, anonymous, platform):
    counted = platform.session.metrics.http_requests.labels(method="GET", route="/digitaltwins/{id}", status="200")
    before = counted._value.get()
    assert client.get("/digitaltwins/pump-1").status_code == client.get("/digitaltwins/pump-1", headers=SAY_MORE).status_code == 200
    assert counted._value.get() == before + 2
    assert anonymous.get("/digitaltwins/pump-1").status_code == 401
    assert client.get("/digitaltwins/pump-1", headers={"twinwright-fork": "none"}).status_code == 404


def test_the_versions_are_those_that_the_routes_take(client):
    parameters = client.get("/openapi.json").json()["paths"]["/digitaltwins/{id}"]["get"]["parameters"]
    assert next(one for one in parameters if one["name"] == "api-version")["schema"]["enum"] == list(get_args(ApiVersion))
