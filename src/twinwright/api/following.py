"""The commit log followed page by page, as Server-Sent Events.

A stream reads for itself at the pace of its client: nothing is queued for one that is slow, and nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from twinwright.api.serving import MAX_COMMIT, Serving
from twinwright.api.streaming import SIGN_OF_LIFE, STILL_HERE, error_text
from twinwright.errors import BusyError, TwinwrightError, UsageError

_LOOK_SECONDS: Final = 0.2
Page = dict[str, Any]
Texts = Callable[[Page], list[bytes]]
Following = Callable[[Page], Callable[[], Page]]  # what reads the page after a page


async def begun(serving: Serving, read: Callable[..., Page], since: int | None, last: str | None) -> Page:
    """The first page that `read` gives `after` a commit: that of the last id that came, else `since`. Raises UsageError where that commit
    is still to come."""
    after = since if last is None else _commit(last)
    first = await serving.reads.run(read, after=after)
    require_there(first, after, "Last-Event-ID")
    return first


def require_there(page: Page, after: int | None, where: str) -> None:
    """Raises UsageError where a page was asked for after a commit that is still to come."""
    if after is not None and after > page["last"]:
        raise UsageError(f"there is no commit {after} yet", where=where, remedy=f"The newest is {page['last']}")


def _commit(last: str) -> int:
    if not last.isdecimal() or int(last) > MAX_COMMIT:
        raise UsageError(f"{last[:40]!r} is no id of a stream", where="Last-Event-ID", remedy="Send the last `id` as it came, or none")
    return int(last)


async def followed(serving: Serving, page: Page, following: Following, texts: Texts, place: str = "through") -> AsyncGenerator[bytes, None]:
    """Page by page, each as the events that `texts` makes of it; the next, which `following` reads, is read when the client has taken this
    one. `place` is where a page says how far it goes."""
    try:
        mine = contextlib.ExitStack()
        mine.enter_context(serving.stream())
    except BusyError as error:  # others came in between
        yield error_text(error)
        return
    with mine:
        clock = asyncio.get_running_loop().time
        spoke, told, events = clock(), None, texts(page)
        yield b": twinwright\n\n"
        while not serving.closing.is_set():
            for text in events:
                yield text
            quiet = clock() - spoke >= SIGN_OF_LIFE
            if events or (quiet and page[place] != told):
                told, spoke = page[place], clock()
                yield f"id: {told}\n\n".encode()  # a place without an event: commits that had none for this client are not read again
            elif quiet:
                spoke = clock()
                yield STILL_HERE
            if page["through"] >= page["last"]:
                await asyncio.sleep(_LOOK_SECONDS)
            reading = asyncio.ensure_future(serving.reads.run(following(page)))
            try:
                while not (await asyncio.wait({reading}, timeout=SIGN_OF_LIFE))[0]:
                    spoke = clock()
                    yield STILL_HERE  # a page may take long to read
                page = reading.result()
                events = texts(page)
            except BusyError:
                await asyncio.sleep(1.0)
                events = []
            except TwinwrightError as error:  # it can't be a status any more: the client comes again where it was
                yield error_text(error)
                return
            finally:
                reading.cancel()
