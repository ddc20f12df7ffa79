"""Events as they are committed, as Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html), and webhooks.

A stream reads the log for itself at the pace of its client: nothing is queued for one that is slow, and nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.bodies import fields, read_document
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.routes.graph import body
from twinwright.api.serving import MAX_COMMIT, Asking, Caller
from twinwright.api.streaming import EVENTS, SIGN_OF_LIFE, STILL_HERE, accepts, error_text, event_text, server_sent
from twinwright.errors import BusyError, TwinwrightError, UsageError
from twinwright.events.filter import MOST_CHARACTERS, filter_of
from twinwright.events.pages import place_of

router = APIRouter(tags=["events"])
Filter = Annotated[str | None, Query(min_length=1, max_length=MOST_CHARACTERS, description="Which, as in event routes; default: all.")]
Name = Annotated[str, InPath(min_length=1, max_length=128, description="The webhook's name.")]
_LOOK_SECONDS: Final = 0.2
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "A page, or events until either side goes away."}
}


@router.get("/v1/events", response_model=answers.Events, responses={**_STREAM, **failures(400)}, summary="Events as they are committed")
async def events(
    request: Request,
    asking: Asking,
    filter: Filter = None,
    since: Annotated[int | None, Query(ge=0, le=MAX_COMMIT, description="After this commit; default: from now on.")] = None,
    place: Annotated[str | None, Query(max_length=60, description="After this place, which a page or the id of an event told.")] = None,
    last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=60, description="The last id that came: go on there.")] = None,
) -> Response:
    """A stream for who accepts `text/event-stream`, else a page: ask on with its `place`. A commit that has very many events goes over
    several pages.

    Of a stream `data` is a CloudEvent, `event` its type. An `id` is a place: all up to there has come.
    """
    if filter is not None:
        filter_of(filter)  # refused before the stream begins
    begin, where = (last, "Last-Event-ID") if last is not None else (place, "place")
    after = since if begin is None else place_of(begin, where).commit
    first = await asking.serving.reads.run(asking.platform.events, after=since, place=begin, filter=filter)
    if after is not None and after > first["last"]:
        raise UsageError(f"there is no commit {after} yet", where=where, remedy=f"The newest is {first['last']}")
    if not accepts(request, EVENTS):
        return JsonResponse(first)
    with asking.serving.stream():  # a status tells it; from there on it is an event
        return server_sent(_stream(asking, first, filter))


async def _stream(asking: Caller, page: dict[str, Any], filter: str | None) -> AsyncGenerator[bytes, None]:
    """Page by page; the next is read when the client has taken this one."""
    serving = asking.serving
    try:
        place = contextlib.ExitStack()
        place.enter_context(serving.stream())
    except BusyError as error:  # others came in between
        yield error_text(error)
        return
    with place:
        clock = asyncio.get_running_loop().time
        spoke, told = clock(), ""
        yield b": twinwright\n\n"
        while not serving.closing.is_set():
            for text in _lines(page["events"]):
                yield text
            quiet = clock() - spoke >= SIGN_OF_LIFE
            if page["events"] or (quiet and page["place"] != told):
                told, spoke = page["place"], clock()
                yield f"id: {told}\n\n".encode()  # a place without an event: commits that had none for this filter are not read again
            elif quiet:
                spoke = clock()
                yield STILL_HERE
            if page["through"] >= page["last"]:
                await asyncio.sleep(_LOOK_SECONDS)
            reading = asyncio.ensure_future(serving.reads.run(asking.platform.events, place=page["place"], filter=filter))
            try:
                while not (await asyncio.wait({reading}, timeout=SIGN_OF_LIFE))[0]:
                    spoke = clock()
                    yield STILL_HERE  # a page may take long to read
                page = reading.result()
            except BusyError:
                await asyncio.sleep(1.0)
                page = {**page, "events": []}
            except TwinwrightError as error:  # it can't be a status any more: the client comes again where it was
                yield error_text(error)
                return
            finally:
                reading.cancel()


def _lines(events: list[dict[str, Any]]) -> list[bytes]:
    """The id goes with the last event of a commit, but for the last of a page, which may end within one."""
    texts = []
    for at, one in enumerate(events):
        ends = at + 1 < len(events) and events[at + 1]["commit"] != one["commit"]
        texts.append(event_text(one["event"]["type"], one["event"], one["commit"] if ends else None))
    return texts


@router.get("/v1/webhooks", response_model=answers.Webhooks, responses=failures(), summary="Webhooks, and how far they are")
async def webhooks(asking: Asking) -> Response:
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.webhooks)})


@router.get(
    "/v1/webhooks/{name}/dead-letters",
    response_model=answers.WebhookLetters,
    responses=failures(400),
    summary="What it has given up",
)
async def letters(
    asking: Asking, name: Name, limit: Annotated[int, Query(ge=1, le=1_000, description="At most so many.")] = 100
) -> Response:
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.webhook_letters, name, limit=limit)})


_IDS: Final = body(
    "application/json",
    {"type": ["object", "null"], "properties": {"ids": {"type": ["array", "null"], "items": {"type": "string"}}}},
    "Which ones; without a body all.",
    required=False,
)


@router.post(
    "/v1/webhooks/{name}/retry",
    response_model=answers.WebhookRetry,
    responses=failures(400, 404, 408, 413, 415),
    summary="Send that once more",
    openapi_extra=_IDS,
)
async def retry(request: Request, asking: Asking, name: Name) -> Response:
    ids = fields(await read_document(request), {"ids": list}).get("ids")
    return JsonResponse(await asking.serving.runs.run(asking.platform.retry_webhook_letters, name, ids))
