from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Error(_message.Message):
    __slots__ = ("code", "message", "target", "details", "correlation_id")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    target: str
    details: _containers.RepeatedCompositeFieldContainer[Error]
    correlation_id: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., target: _Optional[str] = ..., details: _Optional[_Iterable[_Union[Error, _Mapping]]] = ..., correlation_id: _Optional[str] = ...) -> None: ...

class PushRequest(_message.Message):
    __slots__ = ("contract", "payload", "idempotency_key", "precision", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    contract: str
    payload: bytes
    idempotency_key: str
    precision: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, contract: _Optional[str] = ..., payload: _Optional[bytes] = ..., idempotency_key: _Optional[str] = ..., precision: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("received", "accepted", "duplicate", "late", "conflict", "dead_lettered", "token", "seconds")
    class DeadLetteredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    received: int
    accepted: int
    duplicate: int
    late: int
    conflict: int
    dead_lettered: _containers.ScalarMap[str, int]
    token: int
    seconds: float
    def __init__(self, received: _Optional[int] = ..., accepted: _Optional[int] = ..., duplicate: _Optional[int] = ..., late: _Optional[int] = ..., conflict: _Optional[int] = ..., dead_lettered: _Optional[_Mapping[str, int]] = ..., token: _Optional[int] = ..., seconds: _Optional[float] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("contract", "reason", "limit", "after")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    contract: str
    reason: str
    limit: int
    after: int
    def __init__(self, contract: _Optional[str] = ..., reason: _Optional[str] = ..., limit: _Optional[int] = ..., after: _Optional[int] = ...) -> None: ...

class DeadLetters(_message.Message):
    __slots__ = ("total", "by_reason", "items", "expired", "groups_json")
    class ByReasonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BY_REASON_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    GROUPS_JSON_FIELD_NUMBER: _ClassVar[int]
    total: int
    by_reason: _containers.ScalarMap[str, int]
    items: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    expired: int
    groups_json: str
    def __init__(self, total: _Optional[int] = ..., by_reason: _Optional[_Mapping[str, int]] = ..., items: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., expired: _Optional[int] = ..., groups_json: _Optional[str] = ...) -> None: ...

class DeadLetterRequest(_message.Message):
    __slots__ = ("id", "after")
    ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    id: int
    after: int
    def __init__(self, id: _Optional[int] = ..., after: _Optional[int] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("id", "contract", "source", "revision", "reason", "detail", "position", "at", "status", "encoding", "payload")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    id: int
    contract: str
    source: str
    revision: int
    reason: str
    detail: str
    position: str
    at: str
    status: str
    encoding: str
    payload: str
    def __init__(self, id: _Optional[int] = ..., contract: _Optional[str] = ..., source: _Optional[str] = ..., revision: _Optional[int] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., position: _Optional[str] = ..., at: _Optional[str] = ..., status: _Optional[str] = ..., encoding: _Optional[str] = ..., payload: _Optional[str] = ...) -> None: ...

class RetryDeadLettersRequest(_message.Message):
    __slots__ = ("all", "ids", "contract", "dry_run")
    ALL_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    all: bool
    ids: _containers.RepeatedScalarFieldContainer[int]
    contract: str
    dry_run: bool
    def __init__(self, all: _Optional[bool] = ..., ids: _Optional[_Iterable[int]] = ..., contract: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class RetryReceipt(_message.Message):
    __slots__ = ("received", "accepted", "duplicate", "late", "conflict", "dead_lettered", "token", "seconds", "still_refused")
    class DeadLetteredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    STILL_REFUSED_FIELD_NUMBER: _ClassVar[int]
    received: int
    accepted: int
    duplicate: int
    late: int
    conflict: int
    dead_lettered: _containers.ScalarMap[str, int]
    token: int
    seconds: float
    still_refused: int
    def __init__(self, received: _Optional[int] = ..., accepted: _Optional[int] = ..., duplicate: _Optional[int] = ..., late: _Optional[int] = ..., conflict: _Optional[int] = ..., dead_lettered: _Optional[_Mapping[str, int]] = ..., token: _Optional[int] = ..., seconds: _Optional[float] = ..., still_refused: _Optional[int] = ...) -> None: ...

class ExpireRequest(_message.Message):
    __slots__ = ("older_than",)
    OLDER_THAN_FIELD_NUMBER: _ClassVar[int]
    older_than: str
    def __init__(self, older_than: _Optional[str] = ...) -> None: ...

class Expired(_message.Message):
    __slots__ = ("expired", "before")
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    expired: int
    before: str
    def __init__(self, expired: _Optional[int] = ..., before: _Optional[str] = ...) -> None: ...

class ReplayRequest(_message.Message):
    __slots__ = ("start", "end", "contract", "rate")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    start: str
    end: str
    contract: str
    rate: float
    def __init__(self, start: _Optional[str] = ..., end: _Optional[str] = ..., contract: _Optional[str] = ..., rate: _Optional[float] = ...) -> None: ...

class Cost(_message.Message):
    __slots__ = ("contract", "revision", "rows", "seconds", "bytes", "journal_bytes", "pause_seconds")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAUSE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    contract: str
    revision: int
    rows: int
    seconds: float
    bytes: int
    journal_bytes: int
    pause_seconds: float
    def __init__(self, contract: _Optional[str] = ..., revision: _Optional[int] = ..., rows: _Optional[int] = ..., seconds: _Optional[float] = ..., bytes: _Optional[int] = ..., journal_bytes: _Optional[int] = ..., pause_seconds: _Optional[float] = ...) -> None: ...

class ReplayCosts(_message.Message):
    __slots__ = ("cost", "contracts")
    COST_FIELD_NUMBER: _ClassVar[int]
    CONTRACTS_FIELD_NUMBER: _ClassVar[int]
    cost: Cost
    contracts: _containers.RepeatedCompositeFieldContainer[Cost]
    def __init__(self, cost: _Optional[_Union[Cost, _Mapping]] = ..., contracts: _Optional[_Iterable[_Union[Cost, _Mapping]]] = ...) -> None: ...

class ReplayReceipt(_message.Message):
    __slots__ = ("received", "accepted", "duplicate", "late", "conflict", "dead_lettered", "token", "seconds", "superseded", "retracted")
    class DeadLetteredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    RETRACTED_FIELD_NUMBER: _ClassVar[int]
    received: int
    accepted: int
    duplicate: int
    late: int
    conflict: int
    dead_lettered: _containers.ScalarMap[str, int]
    token: int
    seconds: float
    superseded: int
    retracted: int
    def __init__(self, received: _Optional[int] = ..., accepted: _Optional[int] = ..., duplicate: _Optional[int] = ..., late: _Optional[int] = ..., conflict: _Optional[int] = ..., dead_lettered: _Optional[_Mapping[str, int]] = ..., token: _Optional[int] = ..., seconds: _Optional[float] = ..., superseded: _Optional[int] = ..., retracted: _Optional[int] = ...) -> None: ...

class ReconcileRequest(_message.Message):
    __slots__ = ("against", "contract", "repair")
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    against: str
    contract: str
    repair: bool
    def __init__(self, against: _Optional[str] = ..., contract: _Optional[str] = ..., repair: _Optional[bool] = ...) -> None: ...

class Reconciled(_message.Message):
    __slots__ = ("checked", "inconsistent", "repaired", "json")
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    INCONSISTENT_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    checked: int
    inconsistent: int
    repaired: int
    json: str
    def __init__(self, checked: _Optional[int] = ..., inconsistent: _Optional[int] = ..., repaired: _Optional[int] = ..., json: _Optional[str] = ...) -> None: ...

class GapsRequest(_message.Message):
    __slots__ = ("contract", "start", "end")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    contract: str
    start: str
    end: str
    def __init__(self, contract: _Optional[str] = ..., start: _Optional[str] = ..., end: _Optional[str] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("twin", "path", "source", "start", "end", "missing")
    TWIN_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    twin: str
    path: str
    source: str
    start: str
    end: str
    missing: int
    def __init__(self, twin: _Optional[str] = ..., path: _Optional[str] = ..., source: _Optional[str] = ..., start: _Optional[str] = ..., end: _Optional[str] = ..., missing: _Optional[int] = ...) -> None: ...

class Gaps(_message.Message):
    __slots__ = ("checked", "inconsistent", "missing", "items")
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    INCONSISTENT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    checked: int
    inconsistent: int
    missing: int
    items: _containers.RepeatedCompositeFieldContainer[Gap]
    def __init__(self, checked: _Optional[int] = ..., inconsistent: _Optional[int] = ..., missing: _Optional[int] = ..., items: _Optional[_Iterable[_Union[Gap, _Mapping]]] = ...) -> None: ...

class ListReconciliationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Reconciliation(_message.Message):
    __slots__ = ("name", "every_seconds", "against", "contract", "repair", "last_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    LAST_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    every_seconds: float
    against: str
    contract: str
    repair: bool
    last_json: str
    def __init__(self, name: _Optional[str] = ..., every_seconds: _Optional[float] = ..., against: _Optional[str] = ..., contract: _Optional[str] = ..., repair: _Optional[bool] = ..., last_json: _Optional[str] = ...) -> None: ...

class Reconciliations(_message.Message):
    __slots__ = ("reconciliations",)
    RECONCILIATIONS_FIELD_NUMBER: _ClassVar[int]
    reconciliations: _containers.RepeatedCompositeFieldContainer[Reconciliation]
    def __init__(self, reconciliations: _Optional[_Iterable[_Union[Reconciliation, _Mapping]]] = ...) -> None: ...

class RunReconciliationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ReconciliationRun(_message.Message):
    __slots__ = ("name", "outcome", "error", "checked", "inconsistent", "repaired", "json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    INCONSISTENT_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    outcome: str
    error: str
    checked: int
    inconsistent: int
    repaired: int
    json: str
    def __init__(self, name: _Optional[str] = ..., outcome: _Optional[str] = ..., error: _Optional[str] = ..., checked: _Optional[int] = ..., inconsistent: _Optional[int] = ..., repaired: _Optional[int] = ..., json: _Optional[str] = ...) -> None: ...

class ListTwinsRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class Twin(_message.Message):
    __slots__ = ("id", "model", "newest")
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    model: str
    newest: str
    def __init__(self, id: _Optional[str] = ..., model: _Optional[str] = ..., newest: _Optional[str] = ...) -> None: ...

class Twins(_message.Message):
    __slots__ = ("twins",)
    TWINS_FIELD_NUMBER: _ClassVar[int]
    twins: _containers.RepeatedCompositeFieldContainer[Twin]
    def __init__(self, twins: _Optional[_Iterable[_Union[Twin, _Mapping]]] = ...) -> None: ...

class ListPathsRequest(_message.Message):
    __slots__ = ("id", "after")
    ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    after: int
    def __init__(self, id: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class Path(_message.Message):
    __slots__ = ("path", "kind", "type", "unit")
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    path: str
    kind: str
    type: str
    unit: str
    def __init__(self, path: _Optional[str] = ..., kind: _Optional[str] = ..., type: _Optional[str] = ..., unit: _Optional[str] = ...) -> None: ...

class Paths(_message.Message):
    __slots__ = ("paths",)
    PATHS_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedCompositeFieldContainer[Path]
    def __init__(self, paths: _Optional[_Iterable[_Union[Path, _Mapping]]] = ...) -> None: ...

class StateRequest(_message.Message):
    __slots__ = ("id", "as_of", "known_at", "lane", "facts", "interface", "after")
    ID_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    as_of: str
    known_at: str
    lane: str
    facts: bool
    interface: str
    after: int
    def __init__(self, id: _Optional[str] = ..., as_of: _Optional[str] = ..., known_at: _Optional[str] = ..., lane: _Optional[str] = ..., facts: _Optional[bool] = ..., interface: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class StatesRequest(_message.Message):
    __slots__ = ("as_of", "known_at", "lane", "facts", "interface", "after")
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    as_of: str
    known_at: str
    lane: str
    facts: bool
    interface: str
    after: int
    def __init__(self, as_of: _Optional[str] = ..., known_at: _Optional[str] = ..., lane: _Optional[str] = ..., facts: _Optional[bool] = ..., interface: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class State(_message.Message):
    __slots__ = ("id", "etag", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    json: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class States(_message.Message):
    __slots__ = ("states",)
    STATES_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[State]
    def __init__(self, states: _Optional[_Iterable[_Union[State, _Mapping]]] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("twin", "path", "start", "end", "every", "agg", "unit", "known_at", "lane", "interface", "after")
    TWIN_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    AGG_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    twin: str
    path: str
    start: str
    end: str
    every: str
    agg: str
    unit: str
    known_at: str
    lane: str
    interface: str
    after: int
    def __init__(self, twin: _Optional[str] = ..., path: _Optional[str] = ..., start: _Optional[str] = ..., end: _Optional[str] = ..., every: _Optional[str] = ..., agg: _Optional[str] = ..., unit: _Optional[str] = ..., known_at: _Optional[str] = ..., lane: _Optional[str] = ..., interface: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class HistoryPart(_message.Message):
    __slots__ = ("arrow",)
    ARROW_FIELD_NUMBER: _ClassVar[int]
    arrow: bytes
    def __init__(self, arrow: _Optional[bytes] = ...) -> None: ...

class ListRelationshipsRequest(_message.Message):
    __slots__ = ("twin", "as_of", "known_at", "after", "name", "continuation_token", "max_items")
    TWIN_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    twin: str
    as_of: str
    known_at: str
    after: int
    name: str
    continuation_token: str
    max_items: int
    def __init__(self, twin: _Optional[str] = ..., as_of: _Optional[str] = ..., known_at: _Optional[str] = ..., after: _Optional[int] = ..., name: _Optional[str] = ..., continuation_token: _Optional[str] = ..., max_items: _Optional[int] = ...) -> None: ...

class Relationship(_message.Message):
    __slots__ = ("id", "source", "target", "name", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    target: str
    name: str
    json: str
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., target: _Optional[str] = ..., name: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class Relationships(_message.Message):
    __slots__ = ("relationships", "continuation_token")
    RELATIONSHIPS_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    relationships: _containers.RepeatedCompositeFieldContainer[Relationship]
    continuation_token: str
    def __init__(self, relationships: _Optional[_Iterable[_Union[Relationship, _Mapping]]] = ..., continuation_token: _Optional[str] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("query", "continuation_token", "max_items", "after", "interface")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    query: str
    continuation_token: str
    max_items: int
    after: int
    interface: str
    def __init__(self, query: _Optional[str] = ..., continuation_token: _Optional[str] = ..., max_items: _Optional[int] = ..., after: _Optional[int] = ..., interface: _Optional[str] = ...) -> None: ...

class QueryPage(_message.Message):
    __slots__ = ("rows_json", "continuation_token")
    ROWS_JSON_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rows_json: _containers.RepeatedScalarFieldContainer[str]
    continuation_token: str
    def __init__(self, rows_json: _Optional[_Iterable[str]] = ..., continuation_token: _Optional[str] = ...) -> None: ...

class DiffGraphRequest(_message.Message):
    __slots__ = ("start", "end", "event_time", "as_of", "known_at", "kind", "continuation_token", "max_items", "after")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    start: str
    end: str
    event_time: bool
    as_of: str
    known_at: str
    kind: str
    continuation_token: str
    max_items: int
    after: int
    def __init__(self, start: _Optional[str] = ..., end: _Optional[str] = ..., event_time: _Optional[bool] = ..., as_of: _Optional[str] = ..., known_at: _Optional[str] = ..., kind: _Optional[str] = ..., continuation_token: _Optional[str] = ..., max_items: _Optional[int] = ..., after: _Optional[int] = ...) -> None: ...

class GraphDifference(_message.Message):
    __slots__ = ("kind", "change", "id", "interface", "source", "name", "properties_json")
    KIND_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_JSON_FIELD_NUMBER: _ClassVar[int]
    kind: str
    change: str
    id: str
    interface: str
    source: str
    name: str
    properties_json: str
    def __init__(self, kind: _Optional[str] = ..., change: _Optional[str] = ..., id: _Optional[str] = ..., interface: _Optional[str] = ..., source: _Optional[str] = ..., name: _Optional[str] = ..., properties_json: _Optional[str] = ...) -> None: ...

class GraphDiff(_message.Message):
    __slots__ = ("differences", "counts_json", "from_json", "to_json", "continuation_token")
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    COUNTS_JSON_FIELD_NUMBER: _ClassVar[int]
    FROM_JSON_FIELD_NUMBER: _ClassVar[int]
    TO_JSON_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[GraphDifference]
    counts_json: str
    from_json: str
    to_json: str
    continuation_token: str
    def __init__(self, differences: _Optional[_Iterable[_Union[GraphDifference, _Mapping]]] = ..., counts_json: _Optional[str] = ..., from_json: _Optional[str] = ..., to_json: _Optional[str] = ..., continuation_token: _Optional[str] = ...) -> None: ...

class UpdateTwinsRequest(_message.Message):
    __slots__ = ("query", "set_json", "remove", "patch_json", "delete", "with_relationships", "dry_run", "after", "interface")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    SET_JSON_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    PATCH_JSON_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    WITH_RELATIONSHIPS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    query: str
    set_json: str
    remove: _containers.RepeatedScalarFieldContainer[str]
    patch_json: str
    delete: bool
    with_relationships: bool
    dry_run: bool
    after: int
    interface: str
    def __init__(self, query: _Optional[str] = ..., set_json: _Optional[str] = ..., remove: _Optional[_Iterable[str]] = ..., patch_json: _Optional[str] = ..., delete: _Optional[bool] = ..., with_relationships: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., after: _Optional[int] = ..., interface: _Optional[str] = ...) -> None: ...

class TwinsUpdate(_message.Message):
    __slots__ = ("id", "matched", "changed", "unchanged", "deleted", "relationships", "refused", "missing", "commits", "token", "problems_json", "preview_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    RELATIONSHIPS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_JSON_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    matched: int
    changed: int
    unchanged: int
    deleted: int
    relationships: int
    refused: int
    missing: int
    commits: int
    token: int
    problems_json: _containers.RepeatedScalarFieldContainer[str]
    preview_json: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., matched: _Optional[int] = ..., changed: _Optional[int] = ..., unchanged: _Optional[int] = ..., deleted: _Optional[int] = ..., relationships: _Optional[int] = ..., refused: _Optional[int] = ..., missing: _Optional[int] = ..., commits: _Optional[int] = ..., token: _Optional[int] = ..., problems_json: _Optional[_Iterable[str]] = ..., preview_json: _Optional[_Iterable[str]] = ...) -> None: ...

class ImportByQueryRequest(_message.Message):
    __slots__ = ("query", "template_json", "rows_json", "on", "dry_run", "after")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_JSON_FIELD_NUMBER: _ClassVar[int]
    ROWS_JSON_FIELD_NUMBER: _ClassVar[int]
    ON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    query: str
    template_json: str
    rows_json: _containers.RepeatedScalarFieldContainer[str]
    on: _containers.RepeatedScalarFieldContainer[str]
    dry_run: bool
    after: int
    def __init__(self, query: _Optional[str] = ..., template_json: _Optional[str] = ..., rows_json: _Optional[_Iterable[str]] = ..., on: _Optional[_Iterable[str]] = ..., dry_run: _Optional[bool] = ..., after: _Optional[int] = ...) -> None: ...

class QueryImport(_message.Message):
    __slots__ = ("id", "rows", "unmatched", "twins_created", "twins_changed", "relationships_created", "relationships_changed", "unchanged", "refused", "commits", "token", "problems_json", "preview_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    TWINS_CREATED_FIELD_NUMBER: _ClassVar[int]
    TWINS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    RELATIONSHIPS_CREATED_FIELD_NUMBER: _ClassVar[int]
    RELATIONSHIPS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_JSON_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    rows: int
    unmatched: int
    twins_created: int
    twins_changed: int
    relationships_created: int
    relationships_changed: int
    unchanged: int
    refused: int
    commits: int
    token: int
    problems_json: _containers.RepeatedScalarFieldContainer[str]
    preview_json: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., rows: _Optional[int] = ..., unmatched: _Optional[int] = ..., twins_created: _Optional[int] = ..., twins_changed: _Optional[int] = ..., relationships_created: _Optional[int] = ..., relationships_changed: _Optional[int] = ..., unchanged: _Optional[int] = ..., refused: _Optional[int] = ..., commits: _Optional[int] = ..., token: _Optional[int] = ..., problems_json: _Optional[_Iterable[str]] = ..., preview_json: _Optional[_Iterable[str]] = ...) -> None: ...

class ListForksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Fork(_message.Message):
    __slots__ = ("name", "commit", "created", "by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    commit: int
    created: str
    by: str
    def __init__(self, name: _Optional[str] = ..., commit: _Optional[int] = ..., created: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class Forks(_message.Message):
    __slots__ = ("forks",)
    FORKS_FIELD_NUMBER: _ClassVar[int]
    forks: _containers.RepeatedCompositeFieldContainer[Fork]
    def __init__(self, forks: _Optional[_Iterable[_Union[Fork, _Mapping]]] = ...) -> None: ...

class CreateForkRequest(_message.Message):
    __slots__ = ("name", "at")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    name: str
    at: str
    def __init__(self, name: _Optional[str] = ..., at: _Optional[str] = ...) -> None: ...

class DiffForkRequest(_message.Message):
    __slots__ = ("name", "against", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    against: str
    limit: int
    def __init__(self, name: _Optional[str] = ..., against: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ForkDiff(_message.Message):
    __slots__ = ("fork", "base", "commit", "against", "counts", "readings", "twins_json", "relationships_json", "values_json")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ReadingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    FORK_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    TWINS_JSON_FIELD_NUMBER: _ClassVar[int]
    RELATIONSHIPS_JSON_FIELD_NUMBER: _ClassVar[int]
    VALUES_JSON_FIELD_NUMBER: _ClassVar[int]
    fork: str
    base: int
    commit: int
    against: str
    counts: _containers.ScalarMap[str, int]
    readings: _containers.ScalarMap[str, int]
    twins_json: _containers.RepeatedScalarFieldContainer[str]
    relationships_json: _containers.RepeatedScalarFieldContainer[str]
    values_json: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fork: _Optional[str] = ..., base: _Optional[int] = ..., commit: _Optional[int] = ..., against: _Optional[str] = ..., counts: _Optional[_Mapping[str, int]] = ..., readings: _Optional[_Mapping[str, int]] = ..., twins_json: _Optional[_Iterable[str]] = ..., relationships_json: _Optional[_Iterable[str]] = ..., values_json: _Optional[_Iterable[str]] = ...) -> None: ...

class DropForkRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Dropped(_message.Message):
    __slots__ = ("dropped",)
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    dropped: str
    def __init__(self, dropped: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "version", "kind", "interface", "inputs", "outputs", "parameters_json", "assumptions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_FIELD_NUMBER: _ClassVar[int]
    ASSUMPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    kind: str
    interface: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    parameters_json: str
    assumptions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., kind: _Optional[str] = ..., interface: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Iterable[str]] = ..., parameters_json: _Optional[str] = ..., assumptions: _Optional[_Iterable[str]] = ...) -> None: ...

class Models(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class ListScenariosRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class Scenario(_message.Message):
    __slots__ = ("name", "model", "twin_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TWIN_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    twin_json: str
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., twin_json: _Optional[str] = ...) -> None: ...

class Scenarios(_message.Message):
    __slots__ = ("scenarios",)
    SCENARIOS_FIELD_NUMBER: _ClassVar[int]
    scenarios: _containers.RepeatedCompositeFieldContainer[Scenario]
    def __init__(self, scenarios: _Optional[_Iterable[_Union[Scenario, _Mapping]]] = ...) -> None: ...

class SimulateRequest(_message.Message):
    __slots__ = ("scenario", "scenario_json", "fresh", "after")
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_JSON_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    scenario: str
    scenario_json: str
    fresh: bool
    after: int
    def __init__(self, scenario: _Optional[str] = ..., scenario_json: _Optional[str] = ..., fresh: _Optional[bool] = ..., after: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "total")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class SimulateUpdate(_message.Message):
    __slots__ = ("progress", "done")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    done: Runs
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., done: _Optional[_Union[Runs, _Mapping]] = ...) -> None: ...

class SubmitRunRequest(_message.Message):
    __slots__ = ("scenario", "scenario_json", "priority", "fresh", "after")
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_JSON_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    scenario: str
    scenario_json: str
    priority: str
    fresh: bool
    after: int
    def __init__(self, scenario: _Optional[str] = ..., scenario_json: _Optional[str] = ..., priority: _Optional[str] = ..., fresh: _Optional[bool] = ..., after: _Optional[int] = ...) -> None: ...

class ListSubmittedRunsRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class SubmittedRunRequest(_message.Message):
    __slots__ = ("id", "after")
    ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    after: int
    def __init__(self, id: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class SubmittedRun(_message.Message):
    __slots__ = ("id", "status", "priority", "ahead", "total", "done", "eta_seconds", "ok", "failed", "error_json", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    ETA_SECONDS_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ERROR_JSON_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: str
    priority: int
    ahead: int
    total: int
    done: int
    eta_seconds: float
    ok: int
    failed: int
    error_json: str
    json: str
    def __init__(self, id: _Optional[str] = ..., status: _Optional[str] = ..., priority: _Optional[int] = ..., ahead: _Optional[int] = ..., total: _Optional[int] = ..., done: _Optional[int] = ..., eta_seconds: _Optional[float] = ..., ok: _Optional[int] = ..., failed: _Optional[int] = ..., error_json: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class SubmittedRuns(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SubmittedRun]
    def __init__(self, requests: _Optional[_Iterable[_Union[SubmittedRun, _Mapping]]] = ...) -> None: ...

class CancelSubmittedRunRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class FetchSubmittedRunRequest(_message.Message):
    __slots__ = ("id", "format", "after")
    ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    format: str
    after: int
    def __init__(self, id: _Optional[str] = ..., format: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class FilePart(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("model", "scenario", "after")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    model: str
    scenario: str
    after: int
    def __init__(self, model: _Optional[str] = ..., scenario: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class Runs(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    def __init__(self, runs: _Optional[_Iterable[_Union[Run, _Mapping]]] = ...) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ("id", "outputs", "after")
    ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    outputs: bool
    after: int
    def __init__(self, id: _Optional[str] = ..., outputs: _Optional[bool] = ..., after: _Optional[int] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("times", "values", "unit")
    TIMES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    times: _containers.RepeatedScalarFieldContainer[str]
    values: _containers.RepeatedScalarFieldContainer[float]
    unit: str
    def __init__(self, times: _Optional[_Iterable[str]] = ..., values: _Optional[_Iterable[float]] = ..., unit: _Optional[str] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("id", "status", "failure_json", "digest", "seconds", "model", "scenario", "outputs", "json")
    class OutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Series
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Series, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_JSON_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: str
    failure_json: str
    digest: str
    seconds: float
    model: str
    scenario: str
    outputs: _containers.MessageMap[str, Series]
    json: str
    def __init__(self, id: _Optional[str] = ..., status: _Optional[str] = ..., failure_json: _Optional[str] = ..., digest: _Optional[str] = ..., seconds: _Optional[float] = ..., model: _Optional[str] = ..., scenario: _Optional[str] = ..., outputs: _Optional[_Mapping[str, Series]] = ..., json: _Optional[str] = ...) -> None: ...

class VerifyRunRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Verification(_message.Message):
    __slots__ = ("id", "verified", "digest", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    verified: bool
    digest: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., verified: _Optional[bool] = ..., digest: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ExplainRunRequest(_message.Message):
    __slots__ = ("id", "after")
    ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    after: int
    def __init__(self, id: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("id", "sentences")
    ID_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    id: str
    sentences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., sentences: _Optional[_Iterable[str]] = ...) -> None: ...

class CompareRunsRequest(_message.Message):
    __slots__ = ("id", "other", "after")
    ID_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    other: str
    after: int
    def __init__(self, id: _Optional[str] = ..., other: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("same", "json")
    SAME_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    same: bool
    json: str
    def __init__(self, same: _Optional[bool] = ..., json: _Optional[str] = ...) -> None: ...

class PruneRunsRequest(_message.Message):
    __slots__ = ("older_than", "dry_run")
    OLDER_THAN_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    older_than: str
    dry_run: bool
    def __init__(self, older_than: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class Pruned(_message.Message):
    __slots__ = ("removed", "bytes")
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    removed: int
    bytes: int
    def __init__(self, removed: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class ListShadowsRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class ShadowRequest(_message.Message):
    __slots__ = ("name", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: int
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ShadowTwin(_message.Message):
    __slots__ = ("twin", "through", "error")
    TWIN_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    twin: str
    through: str
    error: str
    def __init__(self, twin: _Optional[str] = ..., through: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class ShadowDetail(_message.Message):
    __slots__ = ("name", "model", "model_version", "twins", "through", "commit", "behind", "error", "source", "forecast_source", "residuals", "failures", "failing", "retry_seconds", "items", "state", "outputs", "step_seconds")
    class ResidualsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class OutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TWINS_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FORECAST_SOURCE_FIELD_NUMBER: _ClassVar[int]
    RESIDUALS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    FAILING_FIELD_NUMBER: _ClassVar[int]
    RETRY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    STEP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    model_version: str
    twins: int
    through: str
    commit: int
    behind: int
    error: str
    source: str
    forecast_source: str
    residuals: _containers.ScalarMap[str, str]
    failures: int
    failing: int
    retry_seconds: float
    items: _containers.RepeatedCompositeFieldContainer[ShadowTwin]
    state: str
    outputs: _containers.ScalarMap[str, str]
    step_seconds: float
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., model_version: _Optional[str] = ..., twins: _Optional[int] = ..., through: _Optional[str] = ..., commit: _Optional[int] = ..., behind: _Optional[int] = ..., error: _Optional[str] = ..., source: _Optional[str] = ..., forecast_source: _Optional[str] = ..., residuals: _Optional[_Mapping[str, str]] = ..., failures: _Optional[int] = ..., failing: _Optional[int] = ..., retry_seconds: _Optional[float] = ..., items: _Optional[_Iterable[_Union[ShadowTwin, _Mapping]]] = ..., state: _Optional[str] = ..., outputs: _Optional[_Mapping[str, str]] = ..., step_seconds: _Optional[float] = ...) -> None: ...

class RunShadowsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchShadowRequest(_message.Message):
    __slots__ = ("name", "after", "twin")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    TWIN_FIELD_NUMBER: _ClassVar[int]
    name: str
    after: int
    twin: str
    def __init__(self, name: _Optional[str] = ..., after: _Optional[int] = ..., twin: _Optional[str] = ...) -> None: ...

class ShadowSeries(_message.Message):
    __slots__ = ("twin", "path", "kind", "unit", "times", "values")
    TWIN_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    twin: str
    path: str
    kind: str
    unit: str
    times: _containers.RepeatedScalarFieldContainer[str]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, twin: _Optional[str] = ..., path: _Optional[str] = ..., kind: _Optional[str] = ..., unit: _Optional[str] = ..., times: _Optional[_Iterable[str]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class ShadowSaid(_message.Message):
    __slots__ = ("commit", "at", "left_out", "series", "position")
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    commit: int
    at: str
    left_out: int
    series: _containers.RepeatedCompositeFieldContainer[ShadowSeries]
    position: int
    def __init__(self, commit: _Optional[int] = ..., at: _Optional[str] = ..., left_out: _Optional[int] = ..., series: _Optional[_Iterable[_Union[ShadowSeries, _Mapping]]] = ..., position: _Optional[int] = ...) -> None: ...

class ShadowSwitchRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("name", "model", "model_version", "twins", "through", "commit", "behind", "error", "state")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TWINS_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    model_version: str
    twins: int
    through: str
    commit: int
    behind: int
    error: str
    state: str
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., model_version: _Optional[str] = ..., twins: _Optional[int] = ..., through: _Optional[str] = ..., commit: _Optional[int] = ..., behind: _Optional[int] = ..., error: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class Shadows(_message.Message):
    __slots__ = ("shadows",)
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    shadows: _containers.RepeatedCompositeFieldContainer[Shadow]
    def __init__(self, shadows: _Optional[_Iterable[_Union[Shadow, _Mapping]]] = ...) -> None: ...

class CalibrateRequest(_message.Message):
    __slots__ = ("model", "twin", "start", "end", "holdout", "only", "parameters")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TWIN_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_FIELD_NUMBER: _ClassVar[int]
    ONLY_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    model: str
    twin: str
    start: str
    end: str
    holdout: float
    only: _containers.RepeatedScalarFieldContainer[str]
    parameters: str
    def __init__(self, model: _Optional[str] = ..., twin: _Optional[str] = ..., start: _Optional[str] = ..., end: _Optional[str] = ..., holdout: _Optional[float] = ..., only: _Optional[_Iterable[str]] = ..., parameters: _Optional[str] = ...) -> None: ...

class ParameterSet(_message.Message):
    __slots__ = ("id", "model", "twin", "warnings", "parameters_json", "metrics_json", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TWIN_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_JSON_FIELD_NUMBER: _ClassVar[int]
    METRICS_JSON_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    model: str
    twin: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    parameters_json: str
    metrics_json: str
    json: str
    def __init__(self, id: _Optional[str] = ..., model: _Optional[str] = ..., twin: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., parameters_json: _Optional[str] = ..., metrics_json: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class ListParameterSetsRequest(_message.Message):
    __slots__ = ("model", "after")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    model: str
    after: int
    def __init__(self, model: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class ParameterSets(_message.Message):
    __slots__ = ("parameter_sets",)
    PARAMETER_SETS_FIELD_NUMBER: _ClassVar[int]
    parameter_sets: _containers.RepeatedCompositeFieldContainer[ParameterSet]
    def __init__(self, parameter_sets: _Optional[_Iterable[_Union[ParameterSet, _Mapping]]] = ...) -> None: ...

class ParameterSetRequest(_message.Message):
    __slots__ = ("id", "after")
    ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    after: int
    def __init__(self, id: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class ValidateRequest(_message.Message):
    __slots__ = ("model", "twin", "start", "end", "parameters")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TWIN_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    model: str
    twin: str
    start: str
    end: str
    parameters: str
    def __init__(self, model: _Optional[str] = ..., twin: _Optional[str] = ..., start: _Optional[str] = ..., end: _Optional[str] = ..., parameters: _Optional[str] = ...) -> None: ...

class Validation(_message.Message):
    __slots__ = ("id", "model", "twin", "metrics_json", "baseline_json", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TWIN_FIELD_NUMBER: _ClassVar[int]
    METRICS_JSON_FIELD_NUMBER: _ClassVar[int]
    BASELINE_JSON_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    model: str
    twin: str
    metrics_json: str
    baseline_json: str
    json: str
    def __init__(self, id: _Optional[str] = ..., model: _Optional[str] = ..., twin: _Optional[str] = ..., metrics_json: _Optional[str] = ..., baseline_json: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class ListValidationsRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class Validations(_message.Message):
    __slots__ = ("validations",)
    VALIDATIONS_FIELD_NUMBER: _ClassVar[int]
    validations: _containers.RepeatedCompositeFieldContainer[Validation]
    def __init__(self, validations: _Optional[_Iterable[_Union[Validation, _Mapping]]] = ...) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ("name", "id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    id: str
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class Promotion(_message.Message):
    __slots__ = ("promoted", "reason")
    PROMOTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    promoted: bool
    reason: str
    def __init__(self, promoted: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class KpisRequest(_message.Message):
    __slots__ = ("window", "after")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    window: str
    after: int
    def __init__(self, window: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class Kpis(_message.Message):
    __slots__ = ("counts", "json")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.ScalarMap[str, int]
    json: str
    def __init__(self, counts: _Optional[_Mapping[str, int]] = ..., json: _Optional[str] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("clock", "commit", "version", "uptime_seconds", "json")
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    clock: Clock
    commit: int
    version: str
    uptime_seconds: float
    json: str
    def __init__(self, clock: _Optional[_Union[Clock, _Mapping]] = ..., commit: _Optional[int] = ..., version: _Optional[str] = ..., uptime_seconds: _Optional[float] = ..., json: _Optional[str] = ...) -> None: ...

class ClockRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TrustClockRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Clock(_message.Message):
    __slots__ = ("suspect", "step_seconds", "resumes_in_seconds", "skew_seconds", "now")
    SUSPECT_FIELD_NUMBER: _ClassVar[int]
    STEP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESUMES_IN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SKEW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    suspect: bool
    step_seconds: float
    resumes_in_seconds: float
    skew_seconds: float
    now: str
    def __init__(self, suspect: _Optional[bool] = ..., step_seconds: _Optional[float] = ..., resumes_in_seconds: _Optional[float] = ..., skew_seconds: _Optional[float] = ..., now: _Optional[str] = ...) -> None: ...

class EventsRequest(_message.Message):
    __slots__ = ("after", "filter", "place")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    after: int
    filter: str
    place: str
    def __init__(self, after: _Optional[int] = ..., filter: _Optional[str] = ..., place: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("type", "json", "position", "place")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    type: str
    json: str
    position: int
    place: str
    def __init__(self, type: _Optional[str] = ..., json: _Optional[str] = ..., position: _Optional[int] = ..., place: _Optional[str] = ...) -> None: ...

class ListWebhooksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Webhook(_message.Message):
    __slots__ = ("name", "url", "filters", "commit", "dead_letters", "expired")
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    filters: _containers.RepeatedScalarFieldContainer[str]
    commit: int
    dead_letters: int
    expired: int
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., filters: _Optional[_Iterable[str]] = ..., commit: _Optional[int] = ..., dead_letters: _Optional[int] = ..., expired: _Optional[int] = ...) -> None: ...

class Webhooks(_message.Message):
    __slots__ = ("webhooks",)
    WEBHOOKS_FIELD_NUMBER: _ClassVar[int]
    webhooks: _containers.RepeatedCompositeFieldContainer[Webhook]
    def __init__(self, webhooks: _Optional[_Iterable[_Union[Webhook, _Mapping]]] = ...) -> None: ...

class WebhookLettersRequest(_message.Message):
    __slots__ = ("name", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: int
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class WebhookLetter(_message.Message):
    __slots__ = ("id", "at", "reason", "attempts", "event_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    EVENT_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    at: str
    reason: str
    attempts: int
    event_json: str
    def __init__(self, id: _Optional[str] = ..., at: _Optional[str] = ..., reason: _Optional[str] = ..., attempts: _Optional[int] = ..., event_json: _Optional[str] = ...) -> None: ...

class WebhookLetters(_message.Message):
    __slots__ = ("letters",)
    LETTERS_FIELD_NUMBER: _ClassVar[int]
    letters: _containers.RepeatedCompositeFieldContainer[WebhookLetter]
    def __init__(self, letters: _Optional[_Iterable[_Union[WebhookLetter, _Mapping]]] = ...) -> None: ...

class RetryWebhookLettersRequest(_message.Message):
    __slots__ = ("name", "all", "ids")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    all: bool
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., all: _Optional[bool] = ..., ids: _Optional[_Iterable[str]] = ...) -> None: ...

class WebhookRetry(_message.Message):
    __slots__ = ("delivered", "still_refused", "left")
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    STILL_REFUSED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    delivered: int
    still_refused: int
    left: int
    def __init__(self, delivered: _Optional[int] = ..., still_refused: _Optional[int] = ..., left: _Optional[int] = ...) -> None: ...
