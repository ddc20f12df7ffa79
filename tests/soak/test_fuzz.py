"""Ten million broken payloads over the decoders, through the whole pipeline: no crash, no hang, and what was received is what became of it.

They come in deliveries of hundreds, as a broker's do, so that what is fuzzed is the way that batches take. Of some deliveries payloads are
judged again, each alone: what became of one must not depend on its neighbours. And the journal must have all of them as they came.
"""

from random import Random

import pytest
from tests.soak.fuzzed import FORMATS, payloads
from tests.soak.shorter import amount
from tests.telemetry.plant import NOW, Plant

from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Counts
from twinwright.telemetry import journal
from twinwright.telemetry.batches import decoder_of, prepare
from twinwright.telemetry.payloads import Delivery

pytestmark = pytest.mark.soak
PAYLOADS = amount("PAYLOADS", 10_000_000)  # of all formats together
FROM = amount("FROM", 0)  # the first delivery: one that fails can be made again without those before it
LARGEST, STORE = 2_500, 200  # payloads of a delivery, and deliveries to a store before the next takes its place
JUDGED, ALONE = 25, 60  # of so many deliveries one is judged again, and of its payloads so many alone
HANG = 900  # seconds for a delivery: a busy machine is no hang


def judged(made, batch, registry):
    """What each payload comes to: its readings, and what is refused of it."""
    prepared = prepare(made, decoder_of(made), batch, registry, NOW)
    found = [[] for _ in batch]
    r = prepared.readings
    columns = [r.twin.tolist(), r.time.tolist(), r.correction.tolist(), *r.present.tolist(), *r.bad.tolist()]
    columns += [values.to_pylist() for values in r.values]
    for owner, *reading in zip(prepared.payload_of(r.row).tolist(), *columns, strict=True):
        found[owner].append(repr(reading))
    letters, owners = prepared.dead_letters(lambda payload, _: str(payload))
    for owner, letter in zip(owners, letters, strict=True):
        found[owner].append((letter.reason, letter.payload))
    assert prepared.received == sum(map(len, found))
    return [sorted(one, key=str) for one in found], Counts(prepared.received, dead_lettered=len(letters))


def check_apart(made, plant, batch, receipt, rng):
    """A delivery that was taken in: its payloads alone are what they are together, and the journal has them."""
    together, counts = judged(made, batch, plant.pipeline.registry)
    assert (receipt.received, sum(receipt.dead_lettered.values())) == (counts.received, counts.dead_lettered)
    for at in rng.sample(range(len(batch)), min(ALONE, len(batch))):
        assert judged(made, [batch[at]], plant.pipeline.registry)[0] == [together[at]], (at, batch[at])
    (entry,) = plant.store.journal_entries(SYSTEM, made.name, receipt.token, receipt.token)
    assert tuple(journal.unpack(entry.frames)) == batch


def take(name, plant, numbers, left):
    """Deliveries to one store, until there are none or enough; the counts of all receipts, and how many payloads are left."""
    made, total = FORMATS[name].contract, Counts()
    for number in numbers:
        rng = Random(number)
        batch = payloads(name, number, min(rng.randint(1, LARGEST), left))
        try:
            receipt = plant.pipeline.submit_soon(Delivery(made.name, batch)).result(HANG)
            dead = sum(receipt.dead_lettered.values())
            assert receipt.received == receipt.accepted + receipt.duplicate + dead
            if number % JUDGED == 0:
                check_apart(made, plant, batch, receipt, rng)
        except BaseException as error:
            error.add_note(f"delivery {number} of {name}: TWINWRIGHT_SOAK_FROM={number} begins with it")
            raise
        total += Counts(receipt.received, receipt.accepted, receipt.duplicate, dead, receipt.late, receipt.conflict)
        left -= len(batch)
        if not left:
            break
    return total, left


@pytest.mark.parametrize("name", FORMATS)
def test_no_payload_crashes_hangs_or_is_lost(name, tmp_path):
    made, number = FORMATS[name].contract, FROM
    left = max(PAYLOADS * FORMATS[name].share // 1_000, 1)
    while left:
        plant = Plant(tmp_path / f"{number}.duckdb", [made])
        try:
            total, left = take(name, plant, range(number, number + STORE), left)
            assert plant.store.counts(SYSTEM)[made.source] == total
            rows = {
                what: plant.store._rows(SYSTEM, f"SELECT count(*) FROM {what}")[0][0]
                for what in ("readings_1", "sightings_1", "dead_letters")
            }
            assert list(rows.values()) == [total.accepted, total.duplicate, total.dead_lettered]
            assert min(rows.values()) > 0 or left == 0  # it is neither all good nor all bad
        finally:
            plant.close()
        number += STORE
        print(f"{name}: {number} deliveries, {left} payloads left, {total}", flush=True)
        for path in tmp_path.glob("*.duckdb*"):
            path.unlink()
