"""A webhook: a sink of events, posted one by one, signed as Standard Webhooks has it (https://www.standardwebhooks.com).

Events of one twin wait for each other; those of some twins are under way at once. What is refused until the bound is a dead letter: a
record that is written in the transaction which moves the webhook's place past it, so that nothing is passed over unseen.
"""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextlib
import hashlib
import hmac
import random
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from twinwright.clock import SECOND, Clock
from twinwright.connectors.runner import Backoff
from twinwright.errors import PlatformError
from twinwright.events.cloudevents import CONTENT_TYPE, Event
from twinwright.events.filter import EventFilter, filter_of
from twinwright.events.settings import WebhookSettings
from twinwright.observability.metrics import Metrics
from twinwright.storage.protocol import Transaction

if TYPE_CHECKING:
    import httpx  # where it is used: most commands tell nobody anything

T = TypeVar("T")
LETTER: Final = "webhook-letter"  # the kind of record
MOST_LETTERS: Final = 10_000  # open ones of a webhook; then it waits instead
_GONE: Final = 410
_GRACE: Final = 1.0  # seconds in which an answer may still come, once it is to stop
_MOST_DRAINED: Final = 64 * 1024
_LONGEST_WAIT: Final = 300.0  # seconds, whatever Retry-After says


def signature(keys: Sequence[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: `v1,` and the HMAC-SHA256 of id, time in seconds and body, for each key."""
    signed = f"{id}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one try. `wait` is what the receiver asked for, in seconds; `final`: it says not to try again."""

    error: str = ""
    wait: float = 0.0
    final: bool = False


class WebhookSink:
    """Posts events. `routes` are the filters of the event routes that name it."""

    def __init__(
        self,
        name: str,
        settings: WebhookSettings,
        keys: Sequence[bytes],
        routes: Callable[[], Sequence[str]],
        metrics: Metrics,
        clock: Clock,
        *,
        letters: int = 0,
        backoff: Backoff | None = None,
    ) -> None:
        """`letters`: how many dead letters of it are open."""
        self.name, self.letters = name, letters
        self._settings, self._keys, self._routes, self._metrics, self._clock = settings, keys, routes, metrics, clock
        self._backoff = backoff or Backoff()
        self._random = random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._stop = threading.Event()
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._work: concurrent.futures.Future[Any] | None = None
        self._dead: list[tuple[Event, str, int]] = []  # of what is being written
        self._settled: list[tuple[Event, str, int]] = []  # of what is done with, and not remembered yet

    def open(self) -> None:
        self.close()
        self._dead.clear()  # what was not remembered is tried again
        self._settled.clear()
        self._loop = asyncio.new_event_loop()  # in a thread of its own: whoever calls may have a loop that runs, as a notebook has
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"webhook-{self.name}", daemon=True)
        self._thread.start()
        import httpx

        self._client = httpx.AsyncClient(timeout=self._settings.timeout / SECOND, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        loop, client, self._loop, self._client = self._loop, self._client, None, None
        if loop is None or self._thread is None:
            return
        if client is not None:
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(client.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Something of it, in its loop. Raises PlatformError while it is not open."""
        if self._loop is None:
            work.close()
            raise PlatformError("it is not open", where=f"webhook '{self.name}'", remedy="Open it first")
        self._work = future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()

    def interrupt(self) -> None:
        """Leave off waiting, for a receiver too: the platform stops."""
        self._stop.set()
        loop, work = self._loop, self._work
        if loop is not None and work is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(lambda: loop.call_later(_GRACE, work.cancel))

    def write(self, batch: Sequence[Event]) -> None:
        """Deliver them, or give each up after its tries. Returns early once interrupted."""
        filters = self.filters()
        wanted = [event for event in batch if any(one.admits(event.body) for one in filters)]
        by_key: dict[str, list[Event]] = {}
        for event in wanted:
            by_key.setdefault(event.key, []).append(event)
        with contextlib.suppress(concurrent.futures.CancelledError):
            self.run(self._all(list(by_key.values())))

    def filters(self) -> list[EventFilter]:
        """Those of which one has to admit an event."""
        own = [] if self._settings.filter is None else [self._settings.filter]
        return [filter_of(text) for text in (*own, *self._routes())]

    async def _all(self, queues: list[list[Event]]) -> None:
        places = asyncio.Semaphore(self._settings.parallel)

        async def one(events: list[Event]) -> None:
            async with places:
                for event in events:
                    if self._stop.is_set():
                        return
                    await self._deliver(event)

        await asyncio.gather(*(one(events) for events in queues))

    async def _deliver(self, event: Event) -> None:
        tries = 0
        while not self._stop.is_set():
            outcome = await self.attempt(event.body)
            tries += 1
            if not outcome.error:
                self._metrics.webhook_delivered.labels(webhook=self.name).inc()
                return
            if (outcome.final or tries >= self._settings.attempts) and self.open_letters < MOST_LETTERS:
                self._dead.append((event, outcome.error, tries))
                self._metrics.webhook_dead_lettered.labels(webhook=self.name).inc()
                return
            self._metrics.webhook_retried.labels(webhook=self.name).inc()
            await self._wait(max(outcome.wait, self._backoff.delay(tries, self._random.random())))

    async def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0 and not self._stop.is_set():
            await asyncio.sleep(min(left, 0.1))

    async def attempt(self, body: Mapping[str, Any]) -> Outcome:
        """One try of one event, within the timeout whatever the receiver does; of its answer only the head counts."""
        content = msgspec.json.encode(body)
        if len(content) > self._settings.max_bytes:
            return Outcome(f"an event of {len(content)} bytes, past max_bytes", final=True)
        assert self._client is not None
        id, timestamp = str(body["id"]), self._clock.now() // SECOND
        headers = {
            "content-type": CONTENT_TYPE,
            "webhook-id": id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._keys, id, timestamp, content),
            "user-agent": "twinwright",
        }
        import httpx

        outcome = None
        try:
            async with (
                asyncio.timeout(self._settings.timeout / SECOND),
                self._client.stream("POST", self._settings.url, content=content, headers=headers) as answer,
            ):
                failed = Outcome(f"HTTP {answer.status_code}", _retry_after(answer), answer.status_code == _GONE)
                outcome = Outcome() if answer.is_success else failed
                await _drain(answer)
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            return outcome or Outcome(f"{type(error).__name__}: {error}"[:500])
        return outcome

    @property
    def open_letters(self) -> int:
        """Those that are not remembered yet, too."""
        return self.letters + len(self._settled) + len(self._dead)

    def settle(self) -> None:
        """All of the last `write` is delivered, or given up."""
        self._settled += self._dead
        self._dead.clear()

    def remember(self, transaction: Transaction) -> None:
        """With the place, what was given up before it."""
        for event, reason, tries in self._settled:
            body = {"webhook": self.name, "event": dict(event.body), "reason": reason, "attempts": tries, "status": "open"}
            transaction.put_record(LETTER, f"{self.name}/{event.id}", body)

    def remembered(self) -> None:
        """That transaction is committed."""
        self.letters += len(self._settled)
        self._settled.clear()


async def _drain(answer: httpx.Response) -> None:
    """Read what little comes with an answer: only then can the connection serve the next event."""
    size = 0
    async for part in answer.aiter_raw():
        size += len(part)
        if size > _MOST_DRAINED:
            break


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT) if text.isdecimal() else 0.0
