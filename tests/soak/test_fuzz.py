"""Ten million broken payloads over the decoders, through the whole pipeline: no crash, no hang, and what was received is what became of it.

Payloads are made from good ones, as a fuzzer does: bytes changed, cut out, doubled and moved, tokens that are special to a format put in,
and pieces of one put into another.
"""

import io
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.soak.shorter import amount
from tests.telemetry.plant import Plant, contract
from tests.telemetry.test_decode_events import EVENTS, event
from tests.telemetry.test_decode_lines import POINTS
from tests.telemetry.test_decode_nested import FLEET

from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Counts
from twinwright.telemetry.payloads import Delivery, Payload

pytestmark = pytest.mark.soak
PAYLOADS = amount("PAYLOADS", 10_000_000)  # of all formats together
DELIVERY, STORE = 2_000, 200_000  # payloads of a delivery, and of a store before the next takes its place
HANG = 120  # seconds for a delivery
AT = "2026-03-01T07:00:00Z"
TABLE = pa.table({"id": ["pump-1", "pump-2"], "ts": [AT, "2026-03-01T07:00:01Z"], "p": [1.5, None], "n": [3, 4], "on": [True, False]})


def parquet(compression="snappy"):
    out = io.BytesIO()
    pq.write_table(TABLE, out, compression=compression)
    return out.getvalue()


def arrow():
    out = io.BytesIO()
    with pa.ipc.new_stream(out, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return out.getvalue()


def reading(**changes):
    return json.dumps({"id": "pump-1", "ts": AT, "p": 1.5, "q": -2e3, "n": 7, "on": True, "m": "auto \u00e4\U0001f600", **changes}).encode()


SAMPLE = {"t": AT, "v": {"p": 1.5}}
DEVICES = {"site": {"mode": "auto"}, "devices": [{"id": "pump-1", "flow": 2, "samples": [SAMPLE, SAMPLE]}, {"id": "pump-2", "samples": []}]}
FORMATS = {
    "json": (
        contract(),
        [
            reading(),
            reading(p=None, m=""),
            b"[" + reading() + b"," + reading(ts="2026-03-01T07:00:01.5+01:00") + b"]",
            reading(n=1) + b"\n" + reading(n=2),
        ],
    ),
    "nested": (FLEET, [json.dumps(DEVICES).encode(), json.dumps(DEVICES, indent=1).encode()]),
    "csv": (
        contract(format="csv"),
        [
            b"id,ts,p,q,n,on,m\npump-1,%s,1.5,2,3,true,auto\npump-2,%s,,,,,\n" % ((AT.encode(),) * 2),
            b'"id","ts","m"\r\n"pump-1","x","a ""b"""',
        ],
    ),
    "cloudevents": (contract(**EVENTS), [event({"p": 1.5, "m": "auto"}), b"[" + event({"p": 1}) + b"," + event({"p": 2}) + b"]"]),
    "line-protocol": (
        contract(**POINTS),
        [b'pumps,id=pump-1,a\\ b=c p=1.5,m="auto",n=3i,on=t 1772348400000000000\npumps,id=pump-2 p=2 1772348401000000000'],
    ),
    "parquet": (contract(format="parquet"), [parquet(), parquet("none"), parquet("zstd")]),
    "arrow": (contract(format="arrow"), [arrow()]),
}
TOKENS = [
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\n",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"'",
        b"=",
        b" ",
        b"#",
    ),
    *(b"null", b"NaN", b"-Infinity", b"1e999", b"-0", b"9223372036854775808", b"1" * 400, b"0.1e-400", b"\\ud800", b"\\u0000", b"true"),
    *(b"[" * 300, b'{"a":' * 300, b"1970-01-01T00:00:00Z", b"9999-12-31T23:59:60Z", b"pump-2", b'"id"', b"PAR1", b"ARROW1"),
]


def mutated(good, rng):
    """One of the good ones, after one to six changes."""
    body = bytearray(rng.choice(good))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at, end = sorted((rng.randint(0, len(body)), rng.randint(0, len(body))))
        match rng.randrange(8):
            case 0 if body:
                body[rng.randrange(len(body))] = rng.randrange(256)
            case 1 if body:
                body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
            case 2:
                del body[at:end]
            case 3:
                body[at:at] = body[at : min(end, at + 64)] * rng.randint(1, 3)
            case 4 | 5:
                body[at:at] = rng.choice(TOKENS)
            case 6:
                body[at : at + rng.randint(1, 8)] = rng.choice(TOKENS)
            case _:
                other = rng.choice(good)
                body[at:end] = other[min(at, len(other)) : end]
    return bytes(body)


@pytest.mark.parametrize("name", FORMATS)
def test_no_payload_crashes_hangs_or_is_lost(name, tmp_path):
    made, good = FORMATS[name]
    rng, left, store = random.Random(name), PAYLOADS // len(FORMATS), 0
    while left > 0:
        plant, total = Plant(tmp_path / f"{store}.duckdb", [made]), Counts()
        try:
            for _ in range(0, min(left, STORE), DELIVERY):
                delivery = Delivery(made.name, tuple(Payload(mutated(good, rng)) for _ in range(min(left, DELIVERY))))
                receipt = plant.pipeline.submit_soon(delivery).result(HANG)
                assert receipt.received == receipt.accepted + receipt.duplicate + sum(receipt.dead_lettered.values())
                total += Counts(receipt.received, receipt.accepted, receipt.duplicate, sum(receipt.dead_lettered.values()))
                left -= len(delivery.payloads)
            counts = plant.store.counts(SYSTEM)[made.source]
            assert counts.conserved
            assert (counts.received, counts.accepted, counts.duplicate, counts.dead_lettered) == (
                *(total.received, total.accepted, total.duplicate, total.dead_lettered),
            )
            assert min(total.accepted, total.duplicate, total.dead_lettered) > 0  # it is neither all good nor all bad
            kept = plant.store._rows(SYSTEM, "SELECT count(*) FROM dead_letters")[0][0]
            assert kept == total.dead_lettered
        finally:
            plant.close()
        for path in tmp_path.glob(f"{store}.*"):
            if path.is_file():
                path.unlink()
        store += 1
