"""The stock clients of Azure Digital Twins, unmodified, through every operation over TLS."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.digitaltwins.core import DigitalTwinsClient, DigitalTwinsEventRoute
from azure.digitaltwins.core.aio import DigitalTwinsClient as AsyncClient
from tests.acceptance.running import Up, twinwright, until, write

CONTEXT = "dtmi:dtdl:context;2"
MOTOR = {
    "@context": CONTEXT,
    "@id": "dtmi:t:Motor;1",
    "@type": "Interface",
    "contents": [
        {"@type": "Property", "name": "speed", "schema": "double"},
        {"@type": "Telemetry", "name": "vibration", "schema": "double"},
    ],
}
ROOM = {
    "@context": CONTEXT,
    "@id": "dtmi:t:Room;1",
    "@type": "Interface",
    "displayName": "Room",
    "contents": [
        {"@type": "Property", "name": "name", "schema": "string"},
        {"@type": "Property", "name": "level", "schema": "integer"},
        {"@type": "Property", "name": "tags", "schema": {"@type": "Map", "mapKey": {"name": "k", "schema": "string"},
                                                          "mapValue": {"name": "v", "schema": "string"}}},
        {"@type": "Telemetry", "name": "noise", "schema": "double"},
        {"@type": "Component", "name": "motor", "schema": "dtmi:t:Motor;1"},
        {"@type": "Relationship", "name": "next", "target": "dtmi:t:Room;1", "maxMultiplicity": 1,
         "properties": [{"@type": "Property", "name": "width", "schema": "double"}]},
    ],
}  # fmt: skip


class Bearer:
    """A credential that has a token already; both clients ask for it in their way."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self.token, int(time.time()) + 3_600)


class AsyncBearer(Bearer):
    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return super().get_token(*scopes, **options)

    async def close(self) -> None: ...

    async def __aenter__(self) -> AsyncBearer:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class Awaited:
    """An asynchronous client that is called like the other one, on an event loop of its own."""

    def __init__(self, client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._loop = client, loop

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            answer = getattr(self._client, name)(*arguments, **options)
            return self._loop.run_until_complete(answer if inspect.isawaitable(answer) else _all(answer))

        return call


async def _all(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = write(tmp_path_factory.mktemp("adt"), {"twinwright.toml": "[api]\nconsole = false\n"})
    up = Up(folder, "--tls", "auto")
    yield up
    assert up.stop() == 0


@pytest.fixture(scope="module", params=["sync", "async"])
def client(running: Up, request: pytest.FixtureRequest) -> Iterator[Any]:
    token = running.headers["authorization"].removeprefix("Bearer ")
    trusted = running.said["certificate"]
    if request.param == "sync":
        yield DigitalTwinsClient(running.url, Bearer(token), connection_verify=trusted)
        return
    loop = asyncio.new_event_loop()
    awaited = AsyncClient(running.url, AsyncBearer(token), connection_verify=trusted)
    yield Awaited(awaited, loop)
    loop.run_until_complete(awaited.close())
    loop.close()


def code_of(error: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int, str]:
    return error.value.status_code, error.value.error.code


def test_every_operation(client: Any) -> None:
    made = client.create_models([ROOM, MOTOR])
    assert [one.id for one in made] == ["dtmi:t:Room;1", "dtmi:t:Motor;1"]
    assert made[0].display_name == {"en": "Room"} and made[0].upload_time is not None and not made[0].decommissioned
    models_are_read_and_guarded(client)
    twins_are_written_and_read_back(client)
    assert [one["$dtId"] for one in client.query_twins("SELECT * FROM digitaltwins T WHERE T.level = 3")] == ["yard"]
    relationships_are_kept_to_what_the_interface_says(client)
    joined = "SELECT R.$dtId AS id FROM digitaltwins H JOIN R RELATED H.next WHERE H.$dtId = 'hall'"
    assert [one["id"] for one in client.query_twins(joined)] == ["yard"]
    messages_and_routes_are_taken(client)
    everything_is_deleted(client)


def models_are_read_and_guarded(client: Any) -> None:
    with pytest.raises(ResourceExistsError) as taken:
        client.create_models([MOTOR])
    assert code_of(taken) == (409, "ModelAlreadyExists")
    with pytest.raises(HttpResponseError) as broken:
        client.create_models([{**MOTOR, "@id": "dtmi:t:Broken;1", "contents": [{"@type": "Property", "name": "x"}]}])
    assert code_of(broken) == (400, "DTDLParserError")
    assert client.get_model("dtmi:t:Room;1", include_model_definition=True).model == ROOM
    assert client.get_model("dtmi:t:Room;1").model is None
    assert [one.id for one in client.list_models()] == ["dtmi:t:Motor;1", "dtmi:t:Room;1"]
    assert [one.id for one in client.list_models(["dtmi:t:Motor;1"])] == ["dtmi:t:Motor;1"]
    assert len(list(client.list_models(["dtmi:t:Room;1"], include_model_definition=True))) == 2
    with pytest.raises(ResourceNotFoundError) as missing:
        client.get_model("dtmi:t:Roof;1")
    assert code_of(missing) == (404, "ModelNotFound")
    with pytest.raises(ResourceExistsError) as needed:
        client.delete_model("dtmi:t:Motor;1")
    assert code_of(needed) == (409, "ModelReferencesNotDeleted")


def room(**values: Any) -> dict[str, Any]:
    return {"$metadata": {"$model": "dtmi:t:Room;1"}, "motor": {"$metadata": {}}, **values}


def twins_are_written_and_read_back(client: Any) -> None:
    with pytest.raises(ResourceNotFoundError) as nobody:
        client.get_digital_twin("hall")
    assert code_of(nobody) == (404, "DigitalTwinNotFound")
    made = client.upsert_digital_twin("hall", room(name="Hall", level=1), match_condition=MatchConditions.IfMissing)
    assert (made["$dtId"], made["name"], made["motor"]) == ("hall", "Hall", {"$metadata": {}})
    assert made["$metadata"]["$model"] == "dtmi:t:Room;1" and "lastUpdateTime" in made["$metadata"]["name"]
    assert client.get_digital_twin("hall")["$etag"] == made["$etag"]
    with pytest.raises(ResourceExistsError) as there:
        client.upsert_digital_twin("hall", room(), match_condition=MatchConditions.IfMissing)
    assert code_of(there) == (412, "PreconditionFailed")
    steps = [
        {"op": "test", "path": "/level", "value": 1},
        {"op": "replace", "path": "/level", "value": 2},
        {"op": "add", "path": "/tags", "value": {"a/b": "x"}},
        {"op": "add", "path": "/tags/a~1b", "value": "y"},
        {"op": "add", "path": "/motor/speed", "value": 5},
        {"op": "remove", "path": "/name"},
    ]
    client.update_digital_twin("hall", steps, etag=made["$etag"], match_condition=MatchConditions.IfNotModified)
    seen = client.get_digital_twin("hall")
    assert (seen["level"], seen["tags"], seen["motor"]["speed"], "name" in seen) == (2, {"a/b": "y"}, 5, False)
    with pytest.raises(ResourceModifiedError) as stale:
        client.update_digital_twin("hall", steps[1:2], etag=made["$etag"], match_condition=MatchConditions.IfNotModified)
    assert code_of(stale) == (412, "PreconditionFailed")
    bodies_are_refused(client)
    client.update_component("hall", "motor", [{"op": "replace", "path": "/speed", "value": 7.5}])
    part = client.get_component("hall", "motor")
    assert part["speed"] == 7.5 and part["$metadata"]["$lastUpdateTime"] == part["$metadata"]["speed"]["lastUpdateTime"]
    with pytest.raises(ResourceNotFoundError) as no_part:
        client.get_component("hall", "moter")
    assert code_of(no_part) == (404, "ComponentNotFound")
    again = client.get_digital_twin("hall")
    assert client.upsert_digital_twin("hall", again)["level"] == 2  # what was read can be put back
    sourced = room(level=3)
    sourced["$metadata"]["level"] = {"sourceTime": "2026-01-01T00:00:00Z"}
    assert client.upsert_digital_twin("yard", sourced)["$metadata"]["level"]["sourceTime"] == "2026-01-01T00:00:00Z"


def bodies_are_refused(client: Any) -> None:
    for patch, refused in [
        ([{"op": "merge", "path": "/level", "value": 1}], "JsonPatchInvalid"),
        ([{"op": "replace", "path": "/colour", "value": 1}], "JsonPatchInvalid"),
        ([{"op": "test", "path": "/level", "value": 9}], "JsonPatchInvalid"),
        ([{"op": "remove", "path": "/motor"}], "ValidationFailed"),
        ([{"op": "replace", "path": "/level", "value": "high"}], "ValidationFailed"),
        ([{"op": "add", "path": "/colour", "value": 1}], "ValidationFailed"),
        ([{"op": "replace", "path": "/level", "value": 5}, {"op": "add", "path": "/tags", "value": {"x": 1}}], "ValidationFailed"),
    ]:
        before = client.get_digital_twin("hall")["$etag"]
        with pytest.raises(HttpResponseError) as wrong:
            client.update_digital_twin("hall", patch)
        assert code_of(wrong) == (400, refused), patch
        assert client.get_digital_twin("hall")["$etag"] == before
    for body in (room(level="x", nmae="y"), {"$metadata": {"$model": "dtmi:t:Room;1"}}, {"$metadata": {"$model": "dtmi:t:Roof;1"}}, {}):
        with pytest.raises(HttpResponseError) as wrong:
            client.upsert_digital_twin("bad", body)
        assert code_of(wrong) == (400, "ValidationFailed"), body
    with pytest.raises(HttpResponseError) as no_part:
        client.update_component("hall", "moter", [{"op": "replace", "path": "/speed", "value": 1}])
    assert code_of(no_part) == (400, "JsonPatchInvalid")


def edge(target: str, **more: Any) -> dict[str, Any]:
    return {"$targetId": target, "$relationshipName": "next", **more}


def relationships_are_kept_to_what_the_interface_says(client: Any) -> None:
    made = client.upsert_relationship("hall", "e1", edge("yard", width=2), match_condition=MatchConditions.IfMissing)
    assert made == {
        "$relationshipId": "e1", "$sourceId": "hall", "$targetId": "yard", "$relationshipName": "next", "width": 2, "$etag": made["$etag"],
    }  # fmt: skip
    assert client.get_relationship("hall", "e1") == made
    assert client.upsert_relationship("hall", "e1", made)["$etag"] != made["$etag"]
    with pytest.raises(ResourceModifiedError):
        client.update_relationship("hall", "e1", [], etag=made["$etag"], match_condition=MatchConditions.IfNotModified)
    client.update_relationship("hall", "e1", [{"op": "replace", "path": "/width", "value": 3}])
    assert [one["width"] for one in client.list_relationships("hall")] == [3]
    assert [one["$relationshipId"] for one in client.list_relationships("hall", "next")] == ["e1"]
    assert list(client.list_relationships("hall", "other")) == []
    incoming = list(client.list_incoming_relationships("yard"))
    assert [(one.source_id, one.relationship_id, one.relationship_name) for one in incoming] == [("hall", "e1", "next")]
    assert "e1" in incoming[0].relationship_link
    for id, body, refused in [
        ("e2", edge("yard"), (400, "InvalidRelationship")),  # one is the most
        ("e1", edge("nobody"), (404, "TargetTwinNotFound")),
        ("e1", edge("hall"), (400, "OperationNotAllowed")),
        ("e1", {**edge("yard"), "$relationshipName": "nxt"}, (400, "InvalidRelationship")),
        ("e1", edge("yard", width="wide", depth=1), (400, "ValidationFailed")),
    ]:
        with pytest.raises(HttpResponseError) as wrong:
            client.upsert_relationship("hall", id, body)
        assert code_of(wrong) == refused, body
    for call in (client.get_relationship, client.delete_relationship):
        with pytest.raises(ResourceNotFoundError) as missing:
            call("hall", "e9")
        assert code_of(missing) == (404, "RelationshipNotFound")
    with pytest.raises(HttpResponseError) as used:
        client.delete_digital_twin("yard")
    assert code_of(used) == (400, "RelationshipsNotDeleted")


def messages_and_routes_are_taken(client: Any) -> None:
    client.publish_telemetry("hall", {"noise": 40.5, "free": "text"}, message_id="m-1")
    assert client.get_digital_twin("hall")["noise"] == 40.5
    client.publish_component_telemetry("hall", "motor", {"vibration": 0.1})
    with pytest.raises(ResourceNotFoundError):
        client.publish_telemetry("nobody", {"noise": 1})
    with pytest.raises(HttpResponseError) as wrong:
        client.publish_telemetry("hall", {"noise": "loud"})
    assert code_of(wrong) == (400, "ValidationFailed")
    client.upsert_event_route("r1", DigitalTwinsEventRoute(endpoint_name="hub", filter="type = 'x'"))
    assert [(one.id, one.endpoint_name, one.filter) for one in client.list_event_routes()] == [("r1", "hub", "type = 'x'")]
    assert client.get_event_route("r1").endpoint_name == "hub"
    with pytest.raises(HttpResponseError) as unread:
        client.upsert_event_route("r1", DigitalTwinsEventRoute(endpoint_name="hub", filter="type = 'x"))
    assert code_of(unread) == (400, "EventRouteFilterInvalid")
    client.delete_event_route("r1")
    with pytest.raises(ResourceNotFoundError) as gone:
        client.get_event_route("r1")
    assert code_of(gone) == (404, "EventRouteNotFound")


def everything_is_deleted(client: Any) -> None:
    with pytest.raises(ResourceExistsError) as used:
        client.delete_model("dtmi:t:Room;1")
    assert code_of(used) == (409, "ModelReferencesNotDeleted")
    client.delete_relationship("hall", "e1")
    held = client.get_digital_twin("hall")
    with pytest.raises(ResourceModifiedError):
        client.delete_digital_twin("hall", etag='W/"other"', match_condition=MatchConditions.IfNotModified)
    client.delete_digital_twin("hall", etag=held["$etag"], match_condition=MatchConditions.IfNotModified)
    client.delete_digital_twin("yard")
    with pytest.raises(ResourceNotFoundError):
        client.delete_digital_twin("hall")
    born_again = client.upsert_digital_twin("hall", room())
    assert "level" not in born_again and "noise" not in born_again
    client.delete_digital_twin("hall")
    with pytest.raises(ResourceExistsError) as depended_on:
        client.decommission_model("dtmi:t:Motor;1")
    assert code_of(depended_on) == (409, "ModelReferencesNotDecommissioned")
    client.decommission_model("dtmi:t:Room;1")
    assert client.get_model("dtmi:t:Room;1").decommissioned
    with pytest.raises(HttpResponseError) as old:
        client.upsert_digital_twin("hall", room())
    assert code_of(old) == (400, "ModelDecommissioned")
    client.delete_model("dtmi:t:Room;1")
    client.delete_model("dtmi:t:Motor;1")
    assert list(client.list_models()) == []


def test_a_file_is_imported_and_all_is_deleted(tmp_path: Path) -> None:
    write(tmp_path, {"twinwright.toml": "[api]\nconsole = false\n", "plant.ndjson": plant_file()})
    up = Up(tmp_path, "--tls", "auto")
    credential = Bearer(up.headers["authorization"].removeprefix("Bearer "))
    client = DigitalTwinsClient(up.url, credential, connection_verify=up.said["certificate"])
    jobs = client._client.import_jobs  # the client of twins has no methods for them
    asked = {"inputBlobUri": "plant.ndjson", "outputBlobUri": "told.ndjson"}
    there = {"inputBlobUri": "plant.ndjson"}
    outputs = [{**there, "outputBlobUri": one} for one in ("plant.ndjson", "twinwright.toml", "models/x.py", "none/x", "other.txt")]
    (tmp_path / "other.txt").write_text("mine")
    for refused in (
        *outputs,
        {"inputBlobUri": "../secret", "outputBlobUri": "x"},
        {"inputBlobUri": ".twinwright/token", "outputBlobUri": "x"},
        {},
    ):
        with pytest.raises(HttpResponseError) as wrong:
            jobs.add("i1", json.loads(json.dumps(refused)))
        assert code_of(wrong) == (400, "ValidationFailed")
    assert jobs.add("i1", asked).status == "notstarted"
    job = until(lambda: (found := jobs.get_by_id("i1")).status in ("failed", "succeeded") and found, 60)
    assert job.status == "failed" and [line.message for line in job.error.details] and "line 7" in job.error.details[0].message
    assert [one.id for one in jobs.list()] == ["i1"]
    assert client.get_digital_twin("room-2499")["level"] == 2499
    assert [one["$targetId"] for one in client.list_relationships("room-7")] == ["room-8"]
    assert json.loads((tmp_path / "told.ndjson").read_text().splitlines()[-1])["progress"]["relationships"] == 10
    with pytest.raises(HttpResponseError) as twice:
        jobs.add("i1", asked)
    assert code_of(twice) == (400, "ValidationFailed")
    jobs.delete("i1")
    with pytest.raises(ResourceNotFoundError) as gone:
        jobs.get_by_id("i1")
    assert code_of(gone) == (404, "ImportJobNotFound")
    deletions = client._client.delete_jobs
    deletions.begin_add(polling=False)
    done = until(lambda: all(one.status == "succeeded" for one in deletions.list()) and list(deletions.list()), 60)
    assert deletions.get_by_id(done[0].id).status == "succeeded"
    assert list(client.list_models()) == []
    with pytest.raises(ResourceNotFoundError):
        client.get_digital_twin("room-1")
    assert up.stop() == 0


def plant_file() -> str:
    """2,500 rooms in a row, ten of them joined, and one line that is wrong."""
    lines: list[Any] = [{"Section": "Header"}, {"fileVersion": "1.0.0", "author": "x"}, {"Section": "Models"}, ROOM, MOTOR]
    lines += [{"Section": "Twins"}, {"$dtId": "bad", "$metadata": {"$model": "dtmi:t:Roof;1"}}]
    lines += [{"$dtId": f"room-{k}", **room(level=k)} for k in range(2_500)]
    lines += [{"Section": "Relationships"}]
    lines += [{"$sourceId": f"room-{k}", "$relationshipId": "e", **edge(f"room-{k + 1}")} for k in range(10)]
    return "\n".join(map(json.dumps, lines)) + "\n"


def test_a_restart_finds_what_was_written(tmp_path: Path) -> None:
    folder = write(tmp_path, {"twinwright.toml": "[api]\nconsole = false\n"})
    up = Up(folder, "--tls", "auto")
    credential = Bearer(up.headers["authorization"].removeprefix("Bearer "))
    client = DigitalTwinsClient(up.url, credential, connection_verify=up.said["certificate"])
    client.create_models([ROOM, MOTOR])
    etag = client.upsert_digital_twin("hall", room(level=4))["$etag"]
    up.kill()
    assert (tmp_path / ".twinwright" / "tls-key.pem").stat().st_mode & 0o077 == 0
    state = twinwright("state", "hall", workspace=folder).good
    assert (state["level"], state["$etag"]) == (4, etag)
