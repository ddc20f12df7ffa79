"""An OPC UA server of one's own: asyncua's, in a thread with a loop of its own, on a loopback port that outlives restarts."""

import asyncio
import logging
import socket
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asyncua import Server, ua

URI = "urn:test:plant"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def _cancel_the_rest():
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@dataclass
class PlantServer:
    """`build(server, namespace)` makes the address space; it is made anew at each start, as a server without a memory has it."""

    build: object
    configure: object = None
    port: int = field(default_factory=free_port)

    def __post_init__(self):
        logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = None

    @property
    def url(self):
        return f"opc.tcp://127.0.0.1:{self.port}/plant"

    def run(self, coroutine, timeout=60):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def start(self):
        self.run(self._start())
        return self

    async def _start(self):
        server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        if self.configure is not None:
            await self.configure(server)
        namespace = await server.register_namespace(URI)
        await self.build(server, namespace)
        await server.start()
        self.server = server

    def stop(self):
        if self.server is not None:
            self.run(self.server.stop())
            self.server = None

    def close(self):
        self.stop()
        self.run(_cancel_the_rest())  # the library leaves some of its tasks behind
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def write(self, node, value, status=0, at=None, type=None):
        """Set a variable, with the source's time (default: now) and a status."""
        self.run(self.set(node, value, status, at, type))

    async def set(self, node, value, status=0, at=None, type=None):
        stamp = datetime.now(UTC) if at is None else at
        held = ua.DataValue(ua.Variant(value, type), StatusCode=ua.StatusCode(status), SourceTimestamp=stamp, ServerTimestamp=stamp)
        await self.server.get_node(node).write_value(held)
