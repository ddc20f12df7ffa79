"""OPC UA: a subscription whose monitored items have queues on the server; values come in batches with the server's own times.

Between us and the server nothing is lost while both live and are connected: a message is acknowledged when its values are in our
backlog, the backlog is bounded, and while it is full the server is asked for nothing more. It then queues up to `queue` values of
each node, and past that drops the oldest and says so (the overflow bit, which is counted and logged). What is not committed is
kept over a reopening. A server has no memory of us, though: what changes while we are not connected is lost but for the last value
of each node, which comes again when it is subscribed to; and what is in the backlog when this process dies is lost with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from asyncua import ua

from twinwright.clock import SECOND
from twinwright.connectors import opcua_values as values
from twinwright.connectors.opcua_backlog import Backlog
from twinwright.connectors.opcua_client import FAILURES, connect, failed
from twinwright.connectors.opcua_subscription import OpcuaBinding, OpcuaSettings, Subscription
from twinwright.documents import Spec
from twinwright.errors import PlatformError, UsageError
from twinwright.observability.logs import get_logger
from twinwright.telemetry.connector import Bound
from twinwright.telemetry.payloads import Delivery, Receipt


class OpcuaSource:
    """A subscription to one server; see the module. One connection lives from `open` to `close`, the backlog as long as this."""

    tells_present: ClassVar[bool] = True
    Settings: ClassVar[type[Spec]] = OpcuaSettings
    Binding: ClassVar[type[Spec]] = OpcuaBinding

    def __init__(self, name: str, settings: OpcuaSettings, bound: tuple[Bound, ...]) -> None:
        self._name = name
        self._settings = settings
        self._bindings = {one.contract: _binding(one) for one in bound}
        self._backlog = Backlog(self._bindings, settings.buffer_bytes, settings.batch)
        self._connection: _Connection | None = None

    def open(self, positions: Callable[[str, str], int]) -> None:  # noqa: ARG002 - a server keeps no place for us
        """Connect and subscribe. Raises PlatformError where the server can't be reached, refuses, or has none of the nodes."""
        self.close()
        self._backlog.rewind()
        self._connection = _Connection(self._name, self._settings, self._bindings, self._backlog)
        self._connection.start()

    def poll(self, timeout: float) -> Delivery | None:
        """What has come for one contract. Raises PlatformError once the connection is lost and all that came is handed out."""
        if self._connection is None:
            raise PlatformError("it is not open", where=f"connector '{self._name}'", remedy="Open it first")
        return self._backlog.take(timeout)

    def committed(self, delivery: Delivery, receipt: Receipt) -> None:  # noqa: ARG002 - what became of it is not asked
        """Forget what is stored; that makes room for more."""
        self._backlog.settle(delivery)

    def close(self) -> None:
        """End subscription and session. What is not committed stays in the backlog."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop()


class _Connection:
    """One session, its subscription, and a thread with a loop of its own in which the library works. Ends in what `fail` is told."""

    def __init__(self, name: str, settings: OpcuaSettings, bindings: Mapping[str, OpcuaBinding], backlog: Backlog) -> None:
        self._settings = settings
        self._bindings = bindings
        self._backlog = backlog
        self._log = get_logger(__name__, connector=name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=f"opcua-{name}", daemon=True)
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._stopped = False
        self._woken = asyncio.Event()
        self._heard = 0.0
        self._subscription: Subscription | None = None

    def start(self) -> None:
        """Connect and wait until subscribed. Raises what keeps it from that."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """End the subscription and the session, if the server still answers."""
        self._stopped = True
        self._wake()
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:  # noqa: BLE001 - handed to the runner, which supervises
            self._fail(error)
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda *_: None)  # tasks of the library that end with the connection
        self._backlog.on_room = self._wake
        client = await connect(self._settings)
        client.connection_lost_callback = self._lost
        try:
            self._subscription = Subscription(client, self._settings, self._bindings, self._log)
            await self._subscription.begin(self._received)
            self._heard = time.monotonic()
            self._ready.set()
            await self._supervise(self._subscription)
        except FAILURES as error:
            raise failed(self._settings, f"it does not answer as it should: {error}") from error
        finally:
            self._backlog.on_room = lambda: None
            with contextlib.suppress(Exception):  # the connection may be lost, which is told already
                await asyncio.wait_for(client.disconnect(), self._settings.timeout / SECOND)

    async def _supervise(self, subscription: Subscription) -> None:
        """Until the connection fails or is stopped; now and then look for nodes that were not there, and lost values to tell."""
        silence = 3 * subscription.keep_alive + self._settings.timeout / SECOND
        while not self._stopped and self._failure is None:
            await self._sleep(1.0)
            await subscription.look_again()
            subscription.tell_lost()
            if time.monotonic() - self._heard > silence:
                self._fail(failed(self._settings, f"nothing came for {silence:.0f} s, no sign of life either"))

    async def _received(self, result: ua.PublishResult) -> None:
        """Take in one message. While the backlog is full this does not return, and so the server is asked for no more."""
        try:
            assert self._subscription is not None
            for notification in result.NotificationMessage.NotificationData or ():
                if isinstance(notification, ua.DataChangeNotification):
                    for contract, documents in self._subscription.documents(notification.MonitoredItems).items():
                        self._backlog.add(contract, documents)
                elif isinstance(notification, ua.StatusChangeNotification):
                    status = values.status_name(int(notification.Status.value))
                    self._fail(failed(self._settings, f"it ended the subscription: {status}"))
            while self._backlog.full and not self._stopped and self._failure is None:
                self._heard = time.monotonic()
                await self._sleep(1.0)
            self._heard = time.monotonic()
        except Exception as error:  # noqa: BLE001 - the library would log it and acknowledge the message
            self._fail(error)

    async def _lost(self, error: Exception) -> None:
        self._fail(failed(self._settings, f"the connection is lost: {error}"))

    def _fail(self, error: Exception) -> None:
        """The first reason counts."""
        if self._failure is None and not self._stopped:
            self._failure = error
            self._backlog.fail(error)
            self._wake()

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._woken.set)

    async def _sleep(self, seconds: float) -> None:
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)


def _binding(bound: Bound) -> OpcuaBinding:
    if not isinstance(bound.options, OpcuaBinding):
        raise UsageError(f"the source of contract '{bound.contract}' is not one of OPC UA", remedy="Give it `nodes`")
    return bound.options
