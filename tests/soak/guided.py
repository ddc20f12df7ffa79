"""The decoders of one format under atheris, which looks for payloads that reach code no other did: no crash, no hang, nothing lost.

guided.py FORMAT RUNS FOLDER. Between two good payloads stands the one made up; those have to come through as if it were not there.
"""

from __future__ import annotations

import inspect
import logging
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.soak.fuzzed import FORMATS
from tests.telemetry.plant import INTERFACE, NOW, PATHS

from twinwright.storage.layout import Lifetime
from twinwright.telemetry import (
    batches,
    decode,
    decode_csv,
    decode_events,
    decode_json,
    decode_lines,
    decode_matching,
    decode_nested,
    decode_tables,
    evaluate,
    fields,
)
from twinwright.telemetry.payloads import Payload
from twinwright.twins.registry import TwinRegistry

READERS = (
    *(batches, decode, decode_csv, decode_events, decode_json, decode_lines, decode_matching, decode_nested, decode_tables),
    *(evaluate, fields),
)
HANG_SECONDS, MOST_BYTES, MOST_MEGABYTES = 60, 8_192, 2_048


def guide() -> None:
    """Have atheris see the way through these modules, less what is compiled."""
    for module in READERS:
        for found in vars(module).values():
            for function in vars(found).values() if inspect.isclass(found) else (found,):
                if (
                    inspect.isfunction(function)
                    and function.__module__ == module.__name__
                    and function.__code__.co_filename == module.__file__  # a dataclass has some that are written for it
                ):
                    atheris.instrument_func(function)


def main(name: str, runs: str, folder: str) -> None:
    logging.disable(logging.CRITICAL)
    contract, good = FORMATS[name].contract, FORMATS[name].good
    guide()
    decoder = batches.decoder_of(contract)
    registry = TwinRegistry([Lifetime(n, f"pump-{n}", INTERFACE) for n in (1, 2)], {INTERFACE: PATHS})
    neighbours = [Payload(good[0]), Payload(good[-1])]

    def settled(payloads):
        prepared = batches.prepare(contract, decoder, payloads, registry, NOW)
        letters, owners = prepared.dead_letters(lambda payload, _: str(payload))
        assert prepared.received == len(prepared.readings) + len(letters)
        rows = prepared.payload_of(prepared.readings.row).tolist()
        return [(rows.count(at), owners.count(at)) for at in range(len(payloads))]

    first, last = settled(neighbours)

    def one(data: bytes) -> None:
        found = settled([neighbours[0], Payload(data), neighbours[1]])
        assert (found[0], found[2]) == (first, last)

    corpus = Path(folder) / "corpus"
    corpus.mkdir(exist_ok=True)
    for at, body in enumerate(good):
        (corpus / f"good-{at}").write_bytes(body)
    limits = [f"-runs={runs}", f"-timeout={HANG_SECONDS}", f"-max_len={MOST_BYTES}", f"-rss_limit_mb={MOST_MEGABYTES}", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
