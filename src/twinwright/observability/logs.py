"""Structured logs: one JSON object a line for machines, aligned text for people, and no secret in either.

    configure("info")                               # once, by a program; a library that is only imported stays silent
    log = get_logger(__name__)
    with correlated():                              # everything logged inside carries the same correlation_id
        log.info("batch_committed", contract="pump", readings=512)

Events are names in the past tense (`source_recovered`), details are key-values. Everything goes to standard error: standard
output belongs to what a command prints.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor

Level = Literal["debug", "info", "warning", "error", "critical"]

REDACTED: Final = "[redacted]"
MAX_TEXT: Final = 8_192
MAX_DEPTH: Final = 6
_ROOT: Final = "twinwright"

_SECRET_KEY: Final = re.compile(
    r"token|passw|passphrase|secret|api[-_]?key|authori[sz]ation|cookie|credential|private[-_]?key|one[-_]?time|^pwd$|bearer",
    re.IGNORECASE,
)
_SECRET_TEXT: Final = re.compile(
    r"(?P<scheme>\b(?:bearer|basic|digest)\s+)[A-Za-z0-9._~+/=-]{6,}"
    r"|(?P<userinfo>://[^\s/:@]*:)[^\s/@]+(?=@)"
    r"|(?P<pair>\b(?:password|passwd|token|secret|api[-_]?key)\s*[=:]\s*|[?&]code=)[^\s&,;]+",
    re.IGNORECASE,
)

_correlation: ContextVar[str | None] = ContextVar("twinwright_correlation", default=None)

logging.getLogger(_ROOT).addHandler(logging.NullHandler())  # silent until a program calls `configure`


def configure(level: Level = "info", json: bool | None = None, *, stream: TextIO | None = None) -> None:
    """Send logs to `stream` (default: standard error), as JSON lines (default: when that is not a terminal) or as text.

    Ours at `level` and above, those of libraries at `warning` and above, through the same redaction. Calling it again
    replaces what was configured before.
    """
    target = sys.stderr if stream is None else stream
    as_json = not target.isatty() if json is None else json
    handler = _Handler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_processors(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(as_json, target)],
        )
    )
    root = logging.getLogger()
    for old in [other for other in root.handlers if isinstance(other, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.getLogger(_ROOT).setLevel(level.upper())


def get_logger(name: str, **bound: Any) -> FilteringBoundLogger:
    """A logger under `twinwright.`; `bound` key-values go with each of its lines. Methods take (event, **key_values)."""
    full = name if name == _ROOT or name.startswith(f"{_ROOT}.") else f"{_ROOT}.{name}"
    logger: FilteringBoundLogger = structlog.wrap_logger(
        logging.getLogger(full),
        processors=[structlog.stdlib.filter_by_level, *_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
        **bound,
    )
    return logger


def new_correlation() -> str:
    """A fresh id of 16 hexadecimal digits."""
    return secrets.token_hex(8)


def current_correlation() -> str | None:
    """The correlation id of this thread or task; None where none is bound."""
    return _correlation.get()


def bind_correlation(id: str) -> None:
    """Give everything that this thread or task logs from now on this id. Prefer `correlated` where there is an end."""
    _correlation.set(_harmless(id))


@contextmanager
def correlated(id: str | None = None) -> Iterator[str]:
    """Within the block all lines carry `id` (default: the enclosing id, or else a fresh one), which is yielded."""
    chosen = _harmless(id) if id is not None else current_correlation() or new_correlation()
    before = _correlation.set(chosen)
    try:
        yield chosen
    finally:
        _correlation.reset(before)


def redact(value: Any, depth: int = 0) -> Any:
    """`value` without secrets: by the names of keys at any depth, and by form (bearer headers, passwords in URLs) in text.

    Long text is cut at MAX_TEXT characters and what nests deeper than MAX_DEPTH is left out, so that one line stays one
    line. An integer under a key `token` is a commit number, not a credential, and stays.
    """
    if isinstance(value, str):
        return _redact_text(value)
    if isinstance(value, bytes):
        return _redact_text(value[:MAX_TEXT].decode("utf-8", "replace"))
    if depth >= MAX_DEPTH and isinstance(value, Mapping | list | tuple | set | frozenset):
        return "..."
    if isinstance(value, Mapping):
        return {key: REDACTED if _is_secret(str(key), item) else redact(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _redact_text(str(value))


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, told apart from the handlers of others by its type."""


def _processors() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _add_correlation,
        _redact_event,
    ]


def _renderer(as_json: bool, target: TextIO) -> Processor:
    if as_json:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=target.isatty(), pad_event_to=28)


def _add_correlation(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    id = current_correlation()
    if id is not None:
        event.setdefault("correlation_id", id)
    return event


def _redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if not key.startswith("_"):  # structlog's own, taken out again before rendering
            event[key] = REDACTED if _is_secret(key, value) else redact(value)
    return event


def _is_secret(key: str, value: Any) -> bool:
    if value is None or isinstance(value, bool) or (key == "token" and isinstance(value, int)):
        return False
    return _SECRET_KEY.search(key) is not None


def _redact_text(text: str) -> str:
    cut = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}... ({len(text)} characters)"
    return _SECRET_TEXT.sub(lambda match: f"{match['scheme'] or match['userinfo'] or match['pair']}{REDACTED}", cut)


def _harmless(id: str) -> str:
    """Ids come from request headers: printable ASCII only, at most 64 characters."""
    return re.sub(r"[^A-Za-z0-9._:-]", "", id)[:64] or new_correlation()
