"""What is watched on an OPC UA server, and as what it comes: settings of a connector, nodes of a contract, monitored items."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from asyncua import Client, ua
from pydantic import Field, model_validator

from twinwright.clock import SECOND
from twinwright.connectors import opcua_values as values
from twinwright.connectors.opcua_client import AccessSettings, failed
from twinwright.connectors.opcua_nodes import Browser, check_node_id, check_path, chunks, node_id
from twinwright.connectors.topics import TopicTemplate
from twinwright.documents import Duration, Spec

MAX_NODES: Final = 100_000

_TOLD_SECONDS: Final = 60.0  # lost values and missing nodes are told at once, then at most so often
_KEEP_ALIVE_SECONDS: Final = 5.0
_LIFETIME_SECONDS: Final = 600.0  # how long the server keeps a subscription that asks for nothing
_RESERVED: Final = frozenset({"node", "time", "server_time"})


class OpcuaSettings(AccessSettings):
    """A server, how it is reached, and how its values are watched.

    `publishing`: how often the server sends what has changed. `sampling`: how often it looks (PT0S: as often as it can). `queue`:
    values that it keeps for us of each node. `report`: a reading when the value or status changes (`value`), or for each new
    source time too (`timestamp`). `initial`: whether the value that a node has when it is subscribed to is a reading.
    `buffer_bytes`: what is kept here while the store is slow; `batch`: values in one delivery at most.
    """

    publishing: Duration = SECOND
    sampling: Duration = 0
    queue: int = Field(default=1_000, ge=1, le=1_000_000)
    report: Literal["value", "timestamp"] = "value"
    initial: bool = True
    buffer_bytes: int = Field(default=64 * 1024 * 1024, ge=1_024)
    batch: int = Field(default=20_000, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _is_slow_enough(self) -> OpcuaSettings:
        if not 10_000 <= self.publishing <= 3_600 * SECOND or self.sampling > 3_600 * SECOND:
            raise ValueError("`publishing` is PT0.01S to PT1H, `sampling` at most PT1H")
        return self


class OpcuaNode(Spec):
    """One variable by its `node` id, or all that a browse `path` below the Objects folder names. The value goes under `field`.

    A path's levels are browse names, with a namespace index where it matters: `2:Plant/{twin}/2:Speed`; its captures go into the
    document. `twin` puts a text there by itself. The status goes under `status`.
    """

    node: str | None = None
    path: str | None = None
    twin: str | None = Field(None, min_length=1, max_length=128)
    field: str = Field("value", min_length=1, max_length=256)
    status: str = Field("status", min_length=1, max_length=256)

    @model_validator(mode="after")
    def _names_something(self) -> OpcuaNode:
        if (self.node is None) == (self.path is None):
            raise ValueError("a `node` id or a browse `path` is expected, one of them")
        wrong = check_node_id(self.node) if self.node is not None else check_path(self.path or "")
        if wrong:
            raise ValueError(wrong)
        captured = TopicTemplate.parse(self.path).names if self.path is not None else ()
        keys = [self.field, self.status, *captured, *(["twin"] if self.twin is not None else [])]
        twice = sorted({key for key in keys if keys.count(key) > 1} | _RESERVED.intersection(keys))
        if twice:
            raise ValueError(f"the document would have {', '.join(twice)} twice: choose another name")
        return self


class OpcuaBinding(Spec):
    """`nodes`: what a contract takes. `uncertain`: whether values of uncertain status count as `good` ones or are `bad`."""

    nodes: list[OpcuaNode] = Field(min_length=1, max_length=MAX_NODES)
    uncertain: Literal["good", "bad"] = "good"


@dataclass(frozen=True, slots=True)
class _Item:
    """One node watched for one contract; `head` is what all of its documents begin with."""

    contract: str
    node: ua.NodeId
    head: Mapping[str, str]
    wanted: OpcuaNode
    uncertain_is_bad: bool

    def document(self, value: ua.DataValue) -> bytes:
        status = values.status_of(value)
        bad = values.is_bad(status) or (self.uncertain_is_bad and values.is_uncertain(status))
        at, server = values.times_of(value)
        name = values.status_name(status)
        shown = values.json_value(value, bad=bad)
        return msgspec.json.encode({**self.head, "time": at, "server_time": server, self.wanted.status: name, self.wanted.field: shown})


class Subscription:
    """The subscription: which nodes are watched, for whom, and which could not be."""

    def __init__(self, client: Client, settings: OpcuaSettings, bindings: Mapping[str, OpcuaBinding], log: Any) -> None:
        self._client = client
        self._session = client.uaclient.session
        self._settings = settings
        self._log = log
        self._wanted = [(contract, binding, node) for contract, binding in bindings.items() for node in binding.nodes]
        self._items: dict[int, _Item] = {}
        self._handles = itertools.count(1)
        self._first: set[int] = set()
        self._id = 0
        self._lost = 0
        self._lost_nodes: set[str] = set()
        self._told_lost = self._looked = -_TOLD_SECONDS
        interval = settings.publishing / SECOND
        self._keep_alive_count = max(1, round(_KEEP_ALIVE_SECONDS / interval))
        self.keep_alive = interval * self._keep_alive_count

    async def begin(self, received: Callable[[ua.PublishResult], Any]) -> None:
        """Subscribe. Raises PlatformError where none of the nodes can be watched."""
        parameters = ua.CreateSubscriptionParameters()
        parameters.RequestedPublishingInterval = self._settings.publishing / 1_000
        parameters.RequestedMaxKeepAliveCount = self._keep_alive_count
        parameters.RequestedLifetimeCount = max(3 * self._keep_alive_count, round(_LIFETIME_SECONDS * SECOND / self._settings.publishing))
        parameters.MaxNotificationsPerPublish = self._settings.batch
        parameters.PublishingEnabled = True
        created = await self._session.create_subscription(parameters, received)
        self._id = created.SubscriptionId
        self.keep_alive = created.RevisedPublishingInterval / 1_000 * created.RevisedMaxKeepAliveCount
        await self.look_again()
        if not self._items:
            remedy = "Browse it with `twinwright import opcua`, and correct the contracts' `nodes`"
            raise failed(self._settings, "it has none of the nodes that the contracts name", remedy)

    async def look_again(self) -> None:
        """Watch what was wanted and not there, at most once a minute; the first time, everything."""
        if not self._wanted or time.monotonic() - self._looked < _TOLD_SECONDS:
            return
        first, self._looked = self._looked < 0, time.monotonic()
        missing: dict[str, str] = {}
        left: list[tuple[str, OpcuaBinding, OpcuaNode]] = []
        items: list[tuple[tuple[str, OpcuaBinding, OpcuaNode], _Item]] = []
        browser = Browser(self._client)
        namespaces = await self._client.get_namespace_array()
        for wanted in self._wanted:
            found = await self._find(wanted, browser, namespaces)
            items += [(wanted, item) for item in found]
            if not found:
                left.append(wanted)
                missing[wanted[2].node or wanted[2].path or ""] = "no such node"
        for part in chunks(items):
            for (wanted, item), status in zip(part, await self._create([item for _, item in part]), strict=True):
                if status is not None and wanted[2].node is not None:
                    left.append(wanted)
                if status is not None:
                    missing[item.head["node"]] = status
        self._wanted = left
        if missing and first:
            some = dict(list(missing.items())[:10])
            self._log.warning("nodes_missing", count=len(missing), nodes=some, remedy="They are looked for again each minute")
        elif not missing and not first:
            self._log.info("nodes_found")

    async def _find(self, wanted: tuple[str, OpcuaBinding, OpcuaNode], browser: Browser, namespaces: Sequence[str]) -> list[_Item]:
        contract, binding, node = wanted
        own = {} if node.twin is None else {"twin": node.twin}
        bad = binding.uncertain == "bad"
        if node.node is not None:
            id = node_id(node.node, namespaces)
            return [] if id is None else [_Item(contract, id, {"node": node.node, **own}, node, bad)]
        found = await browser.match(node.path or "")
        return [_Item(contract, id, {"node": id.to_string(), **own, **captures}, node, bad) for id, captures in found]

    async def _create(self, items: Sequence[_Item]) -> list[str | None]:
        """Why each could not be watched; None where it is."""
        request = ua.CreateMonitoredItemsParameters()
        request.SubscriptionId = self._id
        request.TimestampsToReturn = ua.TimestampsToReturn.Both
        handles = [next(self._handles) for _ in items]
        request.ItemsToCreate = [self._request(item, handle) for item, handle in zip(items, handles, strict=True)]
        self._items.update(zip(handles, items, strict=True))  # before the answer: values may come ahead of it
        if not self._settings.initial:
            self._first.update(handles)
        refused: list[str | None] = []
        for handle, result in zip(handles, await self._session.create_monitored_items(request), strict=True):
            status = int(result.StatusCode.value)
            refused.append(values.status_name(status) if values.is_bad(status) else None)
            if values.is_bad(status):
                del self._items[handle]
        return refused

    def _request(self, item: _Item, handle: int) -> ua.MonitoredItemCreateRequest:
        request = ua.MonitoredItemCreateRequest()
        request.ItemToMonitor.NodeId = item.node
        request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
        request.MonitoringMode = ua.MonitoringMode.Reporting
        request.RequestedParameters.ClientHandle = handle
        request.RequestedParameters.SamplingInterval = self._settings.sampling / 1_000
        request.RequestedParameters.QueueSize = self._settings.queue
        request.RequestedParameters.DiscardOldest = True
        if self._settings.report == "timestamp":
            request.RequestedParameters.Filter = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
        return request

    def documents(self, notifications: Sequence[ua.MonitoredItemNotification]) -> dict[str, list[bytes]]:
        """What a message says, by contract, in the order of the message."""
        found: dict[str, list[bytes]] = {}
        for notification in notifications:
            handle = notification.ClientHandle
            item = self._items.get(handle)
            if item is None or notification.Value is None:
                continue
            if values.is_overflow(values.status_of(notification.Value)):
                self._lost += 1
                self._lost_nodes.add(item.head["node"])
            if handle in self._first:
                self._first.discard(handle)
                continue
            found.setdefault(item.contract, []).append(item.document(notification.Value))
        return found

    def tell_lost(self) -> None:
        """Say that the server dropped values: at once, then at most once a minute."""
        if self._lost and time.monotonic() - self._told_lost >= _TOLD_SECONDS:
            self._log.warning(
                "values_lost",
                overflows=self._lost,
                nodes=sorted(self._lost_nodes)[:10],
                cause="the server's queue of these nodes ran over",
                remedy="Raise `queue`, or `sampling`; a slow store shows in the lag of ingestion",
            )
            self._told_lost, self._lost = time.monotonic(), 0
            self._lost_nodes.clear()
