"""Events as they are committed, as Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html), and webhooks.

A stream reads the log for itself at the pace of its client: nothing is queued for one that is slow, and nobody else waits for it.
"""

from __future__ import annotations

from functools import partial
from itertools import zip_longest
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.bodies import fields, read_document
from twinwright.api.errors import JsonResponse
from twinwright.api.following import Following, followed, require_there
from twinwright.api.routes import failures
from twinwright.api.routes.graph import body
from twinwright.api.serving import MAX_COMMIT, Asking, Caller
from twinwright.api.streaming import EVENTS, accepts, event_text, server_sent
from twinwright.events.filter import MOST_CHARACTERS, filter_of
from twinwright.events.pages import place_of

router = APIRouter(tags=["events"])
Filter = Annotated[str | None, Query(min_length=1, max_length=MOST_CHARACTERS, description="Which, as in event routes; default: all.")]
Name = Annotated[str, InPath(min_length=1, max_length=128, description="The webhook's name.")]
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
    first = await asking.serving.reads.run(asking.platform.events, after=since, place=begin, filter=filter)
    require_there(first, since if begin is None else place_of(begin, where).commit, where)
    if not accepts(request, EVENTS):
        return JsonResponse(first)
    with asking.serving.stream():  # a status tells it; from there on it is an event
        return server_sent(followed(asking.serving, first, _after(asking, filter), _lines, "place"))


def _after(asking: Caller, filter: str | None) -> Following:
    return lambda page: partial(asking.platform.events, place=page["place"], filter=filter)


def _lines(page: dict[str, Any]) -> list[bytes]:
    """The id goes with the last event of a commit, and the place of the page, which may end within one, with its last event."""
    texts, events = [], page["events"]
    for one, following in zip_longest(events, events[1:]):
        place = page["place"] if following is None else one["commit"] if following["commit"] != one["commit"] else None
        texts.append(event_text(one["event"]["type"], one["event"], place))
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
