"""The shapes of answers, for `/openapi.json`: what the platform returns is sent as it is, and tests hold it to these."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Fields that are always there; more may come."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class ErrorDetail(Answer):
    code: str
    message: str
    target: str | None = Field(None, description="The place in the request or document.")


class Error(Answer):
    code: str = Field(description="What kind of error it is; stable.")
    message: str = Field(description="What is wrong, where, and what to do.")
    target: str | None = None
    details: list[ErrorDetail] = Field(default_factory=list)
    correlation_id: str | None = Field(None, description="Find it in the platform's log by this id.")


class ErrorBody(Answer):
    """The error object of every answer that is not a success."""

    error: Error


class WriteError(Answer):
    """What the write endpoint of InfluxDB answers; what never reached it is answered as elsewhere."""

    code: str
    message: str


class Health(Answer):
    status: str = Field(examples=["ok", "paused"], description="paused: reads are served, telemetry is not taken for now.")


class Receipt(Answer):
    """received = accepted + duplicate + the sum of dead_lettered, exactly, in readings."""

    received: int
    accepted: int
    duplicate: int
    late: int = Field(description="Of the accepted: behind the watermark by more than the contract allows.")
    conflict: int = Field(description="Of the accepted: contradicting another of equal version.")
    dead_lettered: dict[str, int] = Field(description="Refused readings by reason; kept whole.")
    token: int = Field(description="The commit that made it durable: give it as Twinwright-After to read what was written.")
    seconds: float


class TwinDocument(Answer):
    """A twin in the shape of Azure Digital Twins; its properties stand beside these fields."""

    id: str = Field(alias="$dtId")
    etag: str = Field(alias="$etag")
    metadata: dict[str, Any] = Field(alias="$metadata", description="$model, and of each property its unit, quality and times.")


class Relationship(Answer):
    id: str = Field(alias="$relationshipId")
    etag: str = Field(alias="$etag")
    source: str = Field(alias="$sourceId")
    target: str = Field(alias="$targetId")
    name: str = Field(alias="$relationshipName")


class Relationships(Answer):
    value: list[Relationship]
    next: str | None = Field(None, alias="nextLink", description="Where it goes on, while it does.")


class IncomingRelationship(Answer):
    id: str = Field(alias="$relationshipId")
    source: str = Field(alias="$sourceId")
    name: str = Field(alias="$relationshipName")
    link: str = Field(alias="$relationshipLink")


class IncomingRelationships(Answer):
    value: list[IncomingRelationship]
    next: str | None = Field(None, alias="nextLink")


class EventRoute(Answer):
    id: str
    endpoint: str = Field(alias="endpointName")
    filter: str


class EventRoutes(Answer):
    value: list[EventRoute]
    next: str | None = Field(None, alias="nextLink")


class Model(Answer):
    id: str
    uploaded: str = Field(alias="uploadTime")
    decommissioned: bool
    model: dict[str, Any] | None = Field(None, description="The DTDL document, where it was asked for.")


class Job(Answer):
    id: str
    status: str = Field(examples=["notstarted", "running", "cancelling", "cancelled", "succeeded", "failed"])
    created: str = Field(alias="createdDateTime")
    progress: dict[str, int] = Field(description="How many lines, models, twins, relationships and errors there were so far.")


class Jobs(Answer):
    value: list[Job]
    next: str | None = Field(None, alias="nextLink")


class Models(Answer):
    value: list[Model]
    next: str | None = Field(None, alias="nextLink")


class TwinSummary(Answer):
    id: str = Field(alias="$dtId")
    model: str = Field(alias="$model")
    newest: str | None = Field(description="The time of the newest observation.")


class Twins(Answer):
    value: list[TwinSummary]


class Path(Answer):
    path: str
    kind: str
    type: str
    unit: str | None


class Paths(Answer):
    value: list[Path]


class History(Answer):
    """Arrays of one length; times are UTC. A value that is not known or not finite is null."""

    twin: str
    path: str
    times: list[str]
    values: list[Any]
    unit: str | None
    quality: list[str] = Field(description="good, or the gravest mark: bad, spike, rate, stuck, gap.")
    marks: dict[str, int] = Field(description="How many records carry each mark; a record may carry several.")


class QueryPage(Answer):
    """A page of a query: a row is a document, or an object of the columns that were selected."""

    value: list[dict[str, Any]]
    continuation_token: str | None = Field(None, alias="continuationToken", description="Asks for the next page; null on the last.")


class GraphDifference(Answer):
    kind: str = Field(description="interface, twin or relationship.")
    change: str = Field(description="added, removed or changed.")
    id: str
    interface: str | None = Field(None, description="Of a twin.")
    source: str | None = Field(None, description="The twin that a relationship begins at.")
    name: str | None = Field(None, description="Of a relationship.")
    properties: dict[str, dict[str, Any]] = Field(description="By name: `before` and `after`; one that is left out was not there.")


class GraphDiff(Answer):
    """A page of what is different, and the instants that were compared."""

    value: list[GraphDifference]
    counts: dict[str, dict[str, int]] = Field(description="Of all pages.")
    first: dict[str, Any] = Field(alias="from", description="`commit` and, where it was asked for, `as_of`.")
    second: dict[str, Any] = Field(alias="to")
    continuation_token: str | None = Field(None, alias="continuationToken", description="Asks for the next page; null on the last.")


class GraphUpdate(Answer):
    id: str | None = Field(description="Of the update in the audit; null where nothing was written.")
    matched: int
    changed: int
    unchanged: int
    deleted: int
    relationships: int = Field(description="That went with deleted twins.")
    refused: int = Field(description="Twins that others had changed meanwhile so that it fits no more; of a dry run, all that do not fit.")
    missing: int = Field(description="Twins that others had deleted meanwhile.")
    commits: int
    token: int
    problems: list[dict[str, Any]]


class GraphImport(Answer):
    id: str | None = Field(description="Of the import in the audit; null where nothing was written.")
    rows: int = Field(description="Of the query, or of it and the table joined.")
    unmatched: int = Field(description="Rows of the table that go with no row of the query.")
    twins_created: int
    twins_changed: int
    relationships_created: int
    relationships_changed: int
    unchanged: int = Field(description="Twins and relationships that had all of it already.")
    refused: int = Field(description="What others had changed meanwhile so that it fits no more; of a dry run, all that does not fit.")
    commits: int
    token: int
    problems: list[dict[str, Any]]


class DeadLetter(Answer):
    id: int
    reason: str
    contract: str
    payload: Any = Field(description="The reading or payload as it was received.")


class DeadLetters(Answer):
    total: int
    by_reason: dict[str, int]
    groups: list[dict[str, Any]] = Field(description="Alike by contract, source and reason: count, oldest, newest.")
    expired: int = Field(description="Dead letters whose payload was let go of; they stay counted.")
    items: list[DeadLetter]


class RetryReceipt(Answer):
    received: int
    accepted: int
    duplicate: int
    still_refused: int
    token: int


class Fork(Answer):
    name: str
    commit: int = Field(description="The one that it forks.")
    created: str
    by: str


class Forks(Answer):
    value: list[Fork]


class ForkDiff(Answer):
    fork: str
    base: int = Field(description="The commit that it forks.")
    commit: int = Field(description="The fork's newest.")
    against: str
    counts: dict[str, int] = Field(description="Twins, relationships and values that differ, those that are not listed too.")
    readings: dict[str, int] = Field(description="What was taken in in the fork.")
    twins: list[dict[str, Any]] = Field(description="Those that were added, removed or changed.")
    relationships: list[dict[str, Any]] = Field(description="The same of relationships.")
    values: list[dict[str, Any]] = Field(description="Current values by twin, path and lane: before, and in the fork.")


class Dropped(Answer):
    dropped: str


class Kpis(Answer):
    counts: dict[str, int] = Field(description="received, accepted, duplicate and dead_lettered since creation.")


class Replayed(Receipt):
    superseded: int
    retracted: int


class Cost(Answer):
    rows: int = Field(description="Readings to read again.")
    seconds: float = Field(description="How long it takes, by what a part of it took.")
    bytes: int = Field(description="What is added to the store, before it is compressed there.")
    journal_bytes: int
    pause_seconds: float = Field(description="For how long of that ingestion waits, while it commits.")


class ContractCost(Cost):
    contract: str
    revision: int


class ReplayCost(Answer):
    dry_run: bool
    cost: Cost
    contracts: list[ContractCost]


class Reconciled(Answer):
    checked: int
    inconsistent: int
    repaired: int
    missing: int | None = Field(default=None, description="This and what follows: of a comparison with a snapshot.")
    different: int | None = None
    extra: int | None = None
    refused: dict[str, int] | None = Field(default=None, description="Elements of the snapshot that the contract refuses, by reason.")
    items: list[dict[str, Any]] | None = Field(default=None, description="The first 1,000 differences.")
    token: int | None = Field(default=None, description="After a repair: the commit that a read has to see.")


class Gaps(Answer):
    checked: int
    inconsistent: int = Field(description="How many holes.")
    repaired: int
    missing: int = Field(description="Sequence numbers that are left out.")
    items: list[dict[str, Any]] = Field(description="The first 1,000: `twin path source from to missing`.")


class Reconciliation(Answer):
    name: str
    every_seconds: float
    against: str | None
    contract: str | None
    repair: bool
    last: dict[str, Any] | None


class Reconciliations(Answer):
    value: list[Reconciliation]


class ReconciliationRun(Answer):
    name: str
    outcome: str = Field(description="`equal`, `differs`, or `failed` with an `error`.")
    error: str | None = None
    checked: int | None = None
    inconsistent: int | None = None
    repaired: int | None = None


class Expired(Answer):
    expired: int
    before: str


class States(Answer):
    value: list[TwinDocument]


class RelationshipList(Answer):
    value: list[Relationship]
    continuation: str | None = Field(None, alias="continuationToken", description="Of a page: where it goes on, while it does.")


class ClockStatus(Answer):
    suspect: bool = Field(description="Ingestion is paused: pushes are answered 503 with Retry-After, nothing is taken.")
    step_seconds: float
    resumes_in_seconds: float | None
    skew_seconds: float
    now: str


class Status(Answer):
    clock: ClockStatus
    connectors: list[dict[str, Any]]
    consumers: list[dict[str, Any]]
    contracts: list[dict[str, Any]]
    commit: int
    version: str
    uptime_seconds: float


class Event(Answer):
    commit: int
    event: dict[str, Any] = Field(description="A CloudEvent.")


class Events(Answer):
    events: list[Event]
    through: int = Field(description="The commit up to which this is all.")
    place: str = Field(description="Where it ends, which may be within the next commit: ask on from there.")
    last: int = Field(description="The newest commit.")


class Webhook(Answer):
    name: str
    url: str
    filters: list[str] = Field(description="Its own, and those of the event routes that name it.")
    commit: int = Field(description="It has consumed the log up to here.")
    dead_letters: int = Field(description="How many events it has given up.")
    expired: int = Field(description="How many of those were let go of; they can't be sent any more.")


class Webhooks(Answer):
    value: list[Webhook]


class WebhookLetter(Answer):
    id: str
    at: str
    reason: str
    attempts: int
    event: dict[str, Any]


class WebhookLetters(Answer):
    value: list[WebhookLetter]


class WebhookRetry(Answer):
    delivered: int
    still_refused: int
    left: int
