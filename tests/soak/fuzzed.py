"""Payloads of each format as a fuzzer makes them: written by a grammar that is odd here and there, and then, of most, bytes changed.

What they are is decided by the numbers of a generator alone, so that a delivery can be made again from its seed.
"""

import base64
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
from tests.telemetry.plant import contract
from tests.telemetry.test_decode_events import EVENTS, event
from tests.telemetry.test_decode_lines import POINTS
from tests.telemetry.test_decode_nested import FLEET

from twinwright.telemetry.contract import Contract
from twinwright.telemetry.formats import EVENT_CAPTURE, PRECISION_CAPTURE
from twinwright.telemetry.payloads import Payload

AT = "2026-03-01T07:00:00Z"
TABLE = pa.table({"id": ["pump-1", "pump-2"], "ts": [AT, "2026-03-01T07:00:01Z"], "p": [1.5, None], "n": [3, 4], "on": [True, False]})
_ODD, _CHANGED = 0.08, 0.5  # how often a part is odd, and a payload changed after it was written
_FILES = 200  # of tables: they take longer to write than to read


def _each(words: str, *others: str) -> tuple[str, ...]:
    return (*words.split(), *others)


_TEXTS = _each('auto manual null NaN 1 pump-1 a,b a"b a\\ \u00e4\U0001f600 \u0130', "", "a\tb", "\u2028", "\x01", "x" * 300)
_IDS = ("pump-1", "pump-1", "pump-2")
_ODD_IDS = ("pump-3", "", " pump-1", "PUMP-1", "pump-1\x00", "pump-\u0661", "x" * 5_000, "{id}", "pump-1\n", "../pump-1")
_TIMES = _each(
    """2026-03-01T07:00:01.5+01:00 2026-03-01t07:00:00z 2026-03-01T07:00:00 2026-03-01 now 1772348400 1772348400000 -1 1e300
    2026-02-29T00:00:00Z 2024-02-29T23:59:59.999999999Z 2026-03-01T24:00:00Z 2026-03-01T23:59:60Z 2026-13-01T00:00:00Z 2026-3-1T7:0:0Z
    0000-01-01T00:00:00Z 0001-01-01T00:00:00Z 0001-01-01T00:00:00+23:59 9999-12-31T23:59:59.999999Z 9999-12-31T23:59:59-23:59
    10000-01-01T00:00:00Z -0001-01-01T00:00:00Z +2026-03-01T07:00:00Z 1970-01-01T00:00:00Z 1969-12-31T23:59:59.999999Z
    20260301T070000Z 2026-W09-7T07:00:00Z 2026-060T07:00:00Z 2026-03-01T07:00Z 2026-03-01T07:00:00,5Z 2026-03-01T07:00:00.Z
    2026-03-01T07:00:00+0100 2026-03-01T07:00:00+01 2026-03-01T07:00:00+24:00 2026-03-01T07:00:00-00:00 2026-03-01T07:00:00ZZ
    2026-03-01T08:00:30Z 2026-03-01T08:00:30.000001Z 2026-03-01T07:00:00.0000001Z""",
    *(AT, "", f" {AT}", f"{AT} ", f"{AT}\x00", "2026-03-01 07:00:00Z", "\uff12026-03-01T07:00:00Z", f"2026-03-01T07:00:00.{'1' * 40}Z"),
)
_ODD_JSON = _each(
    """null true "" "1.5" [] {} [1.5] {"p":1} NaN -Infinity Infinity nan 1e999 -1e999 1e308 1e-400 -0 -0.0 00 01 +1 .5 5. 1e 0x1F 1_000
    --1 1E+05 3.0 1e5 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 9007199254740993 None 'a'
    "\\ud800" "\\u0000" "\\x" "a "\\uD83D\\uDE00" """,
    *("", '"\n"', "1" * 400, "0." + "1" * 400, "1" + "0" * 308, "[" * 250 + "]" * 250, '{"a":' * 250 + "1" + "}" * 250, "[" * 2_000),
)
_ODD_CELLS = _each(
    """NaN inf -Inf 1e999 0x10 TRUE t 1.0 -0 9223372036854775808 " "a a" "" \"\"\" "a"b" 'a,b'""",
    *("", " ", " 1", "1 ", "1" * 400, "\x00", "\r", "a\nb", '"a\n'),
)
_ODD_FIELDS = _each("""1u -1u 9223372036854775808i NaN 1e999 "a "a\\"b" 1. .5 +1 tRue 'a' 1ii 0x1""")
_ODD_MOMENTS = ("", "0", "-1", "1" * 30, "1.5", "1772348400", "9223372036854775807", "1e18", " 1", "\u0661")
_KEYS = ("id", "ts", "p", "q", "n", "on", "m")
_ESCAPED = {'"id"': '"\\u0069d"', '"p"': '"\\u0070"', '"ts"': '"TS"', '"n"': "'n'", '"m"': '"m" '}
_TOKENS = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"'", b"="),
    *(b" ", b"#", b"\x1a", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b"\x85", b"\n\n", b"}\n{", b'""', b"]["),
    *(b"null", b"NaN", b"-Infinity", b"1e999", b"-0", b"9223372036854775808", b"1" * 400, b"0.1e-400", b"\\ud800", b"\\u0000", b"true"),
    *(b"[" * 300, b'{"a":' * 300, b"1970-01-01T00:00:00Z", b"9999-12-31T23:59:60Z", b"pump-2", b'"id"', b"PAR1", b"ARROW1"),
    *(b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", b"\x00" * 8, b"\x7f"),
)


@dataclass(frozen=True)
class Format:
    """A contract of one format, payloads that are good under it, and what writes others. `share`: of a thousand of all payloads."""

    contract: Contract
    good: Sequence[bytes]
    write: Callable[[Random], Payload | bytes]
    share: int


def mutated(body: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """The body after one to six changes; pieces of others may be put into it."""
    body = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        size = len(body)
        at, end = sorted((int(rng.random() * (size + 1)), int(rng.random() * (size + 1))))
        match int(rng.random() * 9):
            case 0 if size:
                body[min(at, size - 1)] = int(rng.random() * 256)
            case 1 if size:
                body[min(at, size - 1)] ^= 1 << int(rng.random() * 8)
            case 2:
                del body[at:end]
            case 3:
                body[at:at] = body[at : min(end, at + 64)] * int(1 + rng.random() * 3)
            case 4 | 5:
                body[at:at] = rng.choice(_TOKENS)
            case 6:
                body[at : at + int(1 + rng.random() * 8)] = rng.choice(_TOKENS)
            case 7:
                del body[end:]
            case _:
                other = rng.choice(others)
                body[at:end] = other[min(at, len(other)) : end]
    return bytes(body)


def payloads(name: str, number: int, count: int) -> tuple[Payload, ...]:
    """The payloads of one delivery."""
    made, rng = FORMATS[name], Random(f"{name} {number}")
    found: list[Payload] = []
    while len(found) < count:
        one = made.write(rng)
        one = one if isinstance(one, Payload) else Payload(one)
        if rng.random() < _CHANGED:
            one = Payload(mutated(one.body if rng.random() < 0.8 else rng.choice(made.good), (*made.good, one.body), rng), one.captures)
        found.append(one)
    return tuple(found)


# --- text -------------------------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii="\x00" in text)


def _time(rng: Random) -> str:
    if rng.random() < _ODD:
        return rng.choice(_TIMES)
    zone = "Z" if rng.random() < 0.9 else "+01:00"
    return f"2026-03-01T0{int(rng.random() * 8)}:{int(rng.random() * 60):02}:{int(rng.random() * 60):02}{zone}"


def _twin(rng: Random) -> str:
    return rng.choice(_IDS if rng.random() > _ODD else _ODD_IDS)


def _number(rng: Random) -> str:
    return str(int(rng.random() * 100)) if rng.random() < 0.5 else repr(round(rng.random() * 1e3, 3))


def _member(key: str, rng: Random) -> str:
    if rng.random() < _ODD:
        value = rng.choice(_ODD_JSON)
    elif key == "id":
        value = _quoted(_twin(rng))
    elif key == "ts":
        value = _quoted(_time(rng))
    elif key == "m":
        value = _quoted(rng.choice(_TEXTS))
    elif key == "on":
        value = "true" if rng.random() < 0.5 else "false"
    else:
        value = _number(rng)
    name = f'"{key}"'
    return f"{_ESCAPED.get(name, name) if rng.random() < 0.01 else name}:{value}"


def _document(rng: Random, keys: Sequence[str] = _KEYS) -> str:
    """An object of JSON, mostly."""
    members = [_member(key, rng) for key in keys if rng.random() > _ODD]
    kind = rng.random()
    if kind < 0.04:
        members.append(rng.choice(members or ['"p":1']))
    elif kind < 0.08:
        members.append(_member(rng.choice(keys), rng))  # a key that is there twice says two things
    elif kind < 0.12:
        rng.shuffle(members)
    elif kind < 0.16:
        members.append(f'"other":{rng.choice(_ODD_JSON)}')
    comma = "," if kind < 0.9 else rng.choice((", ", ",\n", " ,\t", ",\r\n", ",,", ""))
    return "{" + comma.join(members) + "}"


def _several(one: Callable[[Random], str], rng: Random) -> bytes:
    """A document, an array of them, or one a line."""
    kind = rng.random()
    if kind < 0.7:
        text = one(rng)
    else:
        parts = [one(rng) for _ in range(int(rng.random() * 4))]
        end = "\n" if rng.random() < 0.8 else rng.choice(("\r\n", "\n\n", "\n ", ""))
        text = f"[{','.join(parts)}]" if kind < 0.85 else end.join(parts) + (end if kind < 0.92 else "")
    return text.encode("utf-8", "surrogatepass")


def _json(rng: Random) -> bytes:
    return _several(_document, rng)


def _fleet(rng: Random) -> str:
    def oddly(text: str) -> str:
        return text if rng.random() > _ODD else rng.choice(_ODD_JSON)

    def sample() -> str:
        value = oddly(f'{{"p":{oddly(_number(rng))}}}')
        return oddly(f'{{"t":{_quoted(_time(rng))},"v":{value}}}')

    def device() -> str:
        samples = oddly(f"[{','.join(sample() for _ in range(int(rng.random() * 4)))}]")
        members = [_member("id", rng), f'"flow":{_number(rng)}', f'"samples":{samples}']
        return oddly("{" + ",".join(one for one in members if rng.random() > _ODD / 2) + "}")

    devices = oddly(f"[{','.join(device() for _ in range(int(rng.random() * 4)))}]")
    site = oddly(f'{{"mode":{_quoted(rng.choice(_TEXTS))}}}')
    return f'{{"site":{site},"devices":{devices}}}'


def _nested(rng: Random) -> bytes:
    return _several(_fleet, rng)


def _csv(rng: Random) -> bytes:
    def cell(key: str) -> str:
        value = {"id": _twin, "ts": _time, "m": lambda _: rng.choice(_TEXTS)}.get(key, _number)(rng)
        kind = rng.random()
        if kind < _ODD / 2:
            value = rng.choice(_ODD_CELLS)
        elif kind < 2 * _ODD or any(character in value for character in ',"\n'):
            value = '"' + value.replace('"', '""') + '"'
        return value

    keys = list(_KEYS)
    kind = rng.random()
    if kind < 0.04:
        rng.shuffle(keys)
    elif kind < 0.08:
        keys.remove(rng.choice(keys))
    elif kind < 0.1:
        keys.append(rng.choice((*_KEYS, "", " p", "\ufeffid", "other", '"p"')))
    end = "\n" if rng.random() < 0.9 else rng.choice(("\r\n", "\r", "\n\n", "\n\r"))
    header = ("\ufeff" if kind > 0.98 else "") + ",".join(f'"{key}"' if kind > 0.95 else key for key in keys)
    lines = [header]
    for _ in range(int(rng.random() * 5)):
        cells = [cell(key) for key in keys]
        if rng.random() < _ODD / 4:
            cells = cells[:-1] if rng.random() < 0.5 else [*cells, ""]
        lines.append((";" if kind > 0.99 else ",").join(cells))
    return (end.join(lines) + (end if kind < 0.7 else "")).encode("utf-8", "surrogatepass")


def _event(rng: Random) -> str:
    attributes = {"specversion": '"1.0"', "id": '"1"', "source": '"/plant"', "type": '"sample"', "subject": _quoted(_twin(rng))}
    attributes["time"] = _quoted(_time(rng))
    if rng.random() < _ODD:
        attributes[rng.choice(list(attributes))] = rng.choice(_ODD_JSON)
    if rng.random() < _ODD:
        attributes.pop(rng.choice(list(attributes)))
    data = _several(lambda one: _document(one, ("p", "m")), rng).decode("utf-8", "surrogatepass")
    kind = rng.random()
    if kind < 0.85:
        attributes["data"] = data
    if kind > 0.8:
        packed = base64.b64encode(data.encode("utf-8", "surrogatepass")).decode()
        attributes["data_base64"] = f'"{packed}"' if rng.random() > _ODD else rng.choice(_ODD_JSON)
    return "{" + ",".join(f'"{name}":{value}' for name, value in attributes.items()) + "}"


def _cloudevents(rng: Random) -> Payload | bytes:
    if rng.random() > 0.2:
        return _several(_event, rng)
    beside = {"specversion": "1.0", "id": "1", "source": "/plant", "type": "sample", "subject": _twin(rng), "time": _time(rng)}
    if rng.random() < _ODD:
        beside[rng.choice(list(beside))] = rng.choice(("", "0.3", "\x00", "x" * 300))
    if rng.random() < _ODD:
        beside.pop(rng.choice(list(beside)))
    body = _several(lambda one: _document(one, ("p", "m")), rng)
    return Payload(body, {EVENT_CAPTURE + name: value for name, value in beside.items()})


def _lines(rng: Random) -> Payload | bytes:
    def point() -> str:
        if rng.random() < _ODD / 2:
            return rng.choice(("", "#", "# pumps p=1", " ", "pumps", "pumps,id=pump-1", "pumps p=1", ",id=pump-1 p=1", "pumps,id= p=1 1"))
        tags = [f"id={_twin(rng)}"]
        if rng.random() < _ODD:
            tags.append(rng.choice(("a\\ b=c", "a=", "=b", "a=b=c", "\u00e4=\u00f6", "a=\\")))
        fields = [f"p={_number(rng)}", f"n={int(rng.random() * 50)}i", f"on={rng.choice('tFTf')}", f"m={_quoted(rng.choice(_TEXTS))}"]
        fields = [one for one in fields if rng.random() > _ODD]
        if rng.random() < 2 * _ODD:
            fields.append(f"{rng.choice('pqnm')}={rng.choice(_ODD_FIELDS)}")
        at = 1772323200000000000 + int(rng.random() * 28800) * 1_000_000_000
        when = str(at) if rng.random() > _ODD else rng.choice(_ODD_MOMENTS)
        space = " " if rng.random() > _ODD / 4 else rng.choice(("  ", "\t", "", " \r"))
        return f"pumps,{','.join(tags)}{space}{','.join(fields)}{space}{when}"

    end = "\n" if rng.random() < 0.95 else rng.choice(("\r\n", "\r", "\n\n"))
    body = end.join(point() for _ in range(1 + int(rng.random() * 3))).encode("utf-8", "surrogatepass")
    if rng.random() > _ODD:
        return body
    return Payload(body, {PRECISION_CAPTURE: rng.choice(("ns", "us", "ms", "s", "h", "", "NS"))})


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(rng: Random) -> pa.Table:
    """Columns of the types that may be expected, and of others."""
    rows = int(rng.random() * 4)
    times = pa.array([_time(rng) for _ in range(rows)])
    instants = pa.array([datetime(2026, 3, 1, 7, 0, n, tzinfo=UTC) for n in range(rows)], pa.timestamp("us", "UTC"))
    numbers = pa.array([None if rng.random() < _ODD else float(int(rng.random() * 10)) for _ in range(rows)], pa.float64())
    texts = pa.array([rng.choice(_TEXTS) for _ in range(rows)], pa.string())
    odd = [
        *(pa.nulls(rows), numbers.cast(pa.int64()), numbers.cast(pa.float32()), numbers.cast(pa.uint8()), texts.dictionary_encode()),
        *(texts.cast(pa.large_string()), texts.cast(pa.binary()), pa.array([[1.5]] * rows, pa.list_(pa.float64())), instants),
        *(pa.array([{"p": 1}] * rows, pa.struct([("p", pa.int64())])), pa.array([Decimal("1.5")] * rows, pa.decimal128(9, 2))),
        *(pa.array([float("nan")] * rows, pa.float64()), pa.array([2**64 - 1] * rows, pa.uint64()), pa.array([True] * rows, pa.bool_())),
        *(instants.cast(pa.timestamp("ns", "UTC")), instants.cast(pa.date32()), pa.array([1] * rows, pa.duration("us")), numbers),
    ]
    plain = {
        "id": pa.array([_twin(rng) for _ in range(rows)], pa.string()),
        "ts": times if rng.random() < 0.7 else instants,
        "p": numbers,
        "n": pa.array([int(rng.random() * 10) for _ in range(rows)], pa.int64()),
        "on": pa.array([rng.random() < 0.5 for _ in range(rows)], pa.bool_()),
        "m": texts,
    }
    columns = {name: column if rng.random() > _ODD else rng.choice(odd) for name, column in plain.items() if rng.random() > _ODD}
    names, arrays = list(columns), list(columns.values())
    if rng.random() < _ODD:
        names.append(rng.choice(("p", "other", "")))
        arrays.append(rng.choice(odd))
    return pa.table(arrays, names=names)


def _parquet_file(rng: Random) -> bytes:
    out = io.BytesIO()
    pq.write_table(
        _table(rng),
        out,
        compression=rng.choice(("snappy", "none", "zstd", "gzip", "lz4", "brotli")),
        use_dictionary=rng.random() < 0.7,
        write_statistics=rng.random() < 0.7,
        data_page_version=rng.choice(("1.0", "2.0")),
        version=rng.choice(("1.0", "2.6")),
        row_group_size=rng.choice((1, 100)),
        store_schema=rng.random() < 0.8,
    )
    return out.getvalue()


def _arrow_file(rng: Random) -> bytes:
    out, table = io.BytesIO(), _table(rng)
    options = pa.ipc.IpcWriteOptions(compression=rng.choice((None, None, "lz4", "zstd")))
    begin = pa.ipc.new_stream if rng.random() < 0.7 else pa.ipc.new_file
    with begin(out, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rng.choice((1, 100)))
    return out.getvalue()


def _one_of(write: Callable[[Random], bytes]) -> Callable[[Random], bytes]:
    """What takes one of files that are written once."""
    files: list[bytes] = []

    def take(rng: Random) -> bytes:
        if not files:
            own = Random("files")
            files.extend(write(own) for _ in range(_FILES))
        return rng.choice(files)

    return take


def _as_parquet(compression: str) -> bytes:
    out = io.BytesIO()
    pq.write_table(TABLE, out, compression=compression)
    return out.getvalue()


def _as_arrow() -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return out.getvalue()


def _reading(**changes: object) -> bytes:
    return json.dumps({"id": "pump-1", "ts": AT, "p": 1.5, "q": -2e3, "n": 7, "on": True, "m": "auto \u00e4\U0001f600", **changes}).encode()


_SAMPLE = {"t": AT, "v": {"p": 1.5}}
_DEVICES = {
    "site": {"mode": "auto"},
    "devices": [{"id": "pump-1", "flow": 2, "samples": [_SAMPLE, _SAMPLE]}, {"id": "pump-2", "samples": []}],
}
FORMATS = {
    "json": Format(
        contract(),
        [
            _reading(),
            _reading(p=None, m=""),
            b"[" + _reading() + b"," + _reading(ts="2026-03-01T07:00:01.5+01:00") + b"]",
            _reading(n=1) + b"\n" + _reading(n=2),
        ],
        _json,
        300,
    ),
    "nested": Format(FLEET, [json.dumps(_DEVICES).encode(), json.dumps(_DEVICES, indent=1).encode()], _nested, 150),
    "csv": Format(
        contract(format="csv"),
        [
            b"id,ts,p,q,n,on,m\npump-1,%s,1.5,2,3,true,auto\npump-2,%s,,,,,\n" % ((AT.encode(),) * 2),
            b'"id","ts","m"\r\n"pump-1","x","a ""b"""',
        ],
        _csv,
        150,
    ),
    "cloudevents": Format(
        contract(**EVENTS), [event({"p": 1.5, "m": "auto"}), b"[" + event({"p": 1}) + b"," + event({"p": 2}) + b"]"], _cloudevents, 150
    ),
    "line-protocol": Format(
        contract(**POINTS),
        [b'pumps,id=pump-1,a\\ b=c p=1.5,m="auto",n=3i,on=t 1772348400000000000\npumps,id=pump-2 p=2 1772348401000000000'],
        _lines,
        200,
    ),
    "parquet": Format(
        contract(format="parquet"), [_as_parquet("snappy"), _as_parquet("none"), _as_parquet("zstd")], _one_of(_parquet_file), 20
    ),
    "arrow": Format(contract(format="arrow"), [_as_arrow()], _one_of(_arrow_file), 30),
}
