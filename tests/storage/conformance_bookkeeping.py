"""What every store has to do with dead letters, the journal, records, cells and hostile text. See `conformance.py`."""

import json

import pyarrow as pa
import pytest
from tests.storage.conformance_case import NOW, cells, letter, rows, told, value, values, write

from twinwright.errors import NotFoundError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import (
    Counts,
    DeadLetter,
    JournalSize,
    KeptReceipt,
    LetterGroup,
    Lifetime,
    ReadingColumn,
    Relationship,
    Selection,
)
from twinwright.storage.protocol import CELL_SCHEMA, CHECKPOINT_SCHEMA


def check_dead_letters_are_listed_filtered_and_closed(case):
    store = case.store
    with write(store) as transaction:
        transaction.add_dead_letters([])
        transaction.add_dead_letters([letter(), letter("bad_time"), letter("bad_time", "valve", origin=42)])
    first = store.dead_letter(SYSTEM, 1)
    assert first == DeadLetter(
        "pump", "bus", 3, "malformed", "why", b"\x00raw\xff", {"topic": "a/b"}, "file@7", id=1, origin=1, at=NOW, status="open"
    )
    assert [one.id for one in store.dead_letters(SYSTEM)] == [1, 2, 3]
    assert [one.id for one in store.dead_letters(SYSTEM, contract="pump", reason="bad_time")] == [2]
    assert [one.id for one in store.dead_letters(SYSTEM, limit=2)] == [1, 2]
    assert store.dead_letter_counts(SYSTEM) == {"bad_time": 2, "malformed": 1}
    assert store.dead_letter_counts(SYSTEM, contract="valve") == {"bad_time": 1}
    with write(store) as transaction:
        transaction.close_dead_letters([1, 99], "retried")
        transaction.close_dead_letters([], "retried")
        transaction.close_dead_letters_of("valve", 40, 42, "replayed")
        transaction.close_dead_letters_of("pump", 2, 50, "replayed")
        transaction.close_dead_letters_of("pump", 1, 0, "replayed")
    assert [(one.id, one.status) for one in store.dead_letters(SYSTEM, status="retried")] == [(1, "retried")]
    assert [one.id for one in store.dead_letters(SYSTEM, status="replayed")] == [3]
    assert [one.id for one in store.dead_letters(SYSTEM)] == [2]
    assert store.dead_letter_counts(SYSTEM) == {"bad_time": 1}
    with write(store) as transaction:
        transaction.close_dead_letters([1], "other")  # it is closed: nothing changes
        transaction.add_dead_letters([letter()])
    assert store.dead_letter(SYSTEM, 1).status == "retried"
    assert case.reopen().dead_letters(SYSTEM)[-1].id == 4
    with pytest.raises(NotFoundError, match="no dead letter 77"):
        case.store.dead_letter(SYSTEM, 77)


def check_dead_letters_are_grouped_and_expire_with_a_count(case):
    store = case.store
    for minute, reason in enumerate(["malformed", "bad_time", "bad_time"]):
        case.clock.advance(60_000_000 if minute else 0)
        with write(store) as transaction:
            transaction.add_dead_letters([letter(reason), *([letter(reason, "valve")] if minute == 2 else [])])
    assert store.dead_letter_groups(SYSTEM) == [
        LetterGroup("pump", "bus", "bad_time", 2, NOW + 60_000_000, NOW + 120_000_000),
        LetterGroup("pump", "bus", "malformed", 1, NOW, NOW),
        LetterGroup("valve", "bus", "bad_time", 1, NOW + 120_000_000, NOW + 120_000_000),
    ]
    assert [one.count for one in store.dead_letter_groups(SYSTEM, contract="valve")] == [1]
    before = store.last_commit(SYSTEM)
    assert store.expire_dead_letters(SYSTEM, NOW) == 0
    assert store.last_commit(SYSTEM) == before
    assert store.expire_dead_letters(SYSTEM, NOW + 60_000_001) == 2
    assert (store.commits(SYSTEM)[-1].kind, store.commits(SYSTEM)[-1].counts) == ("expire", Counts())
    assert [(one.id, one.status, one.payload) for one in case.reopen().dead_letters(SYSTEM, status="expired")] == [
        (1, "expired", b""),
        (2, "expired", b""),
    ]
    assert sum(one.count for one in case.store.dead_letter_groups(SYSTEM)) == 2
    assert sum(one.count for one in case.store.dead_letter_groups(SYSTEM, status="expired")) == 2


def check_the_journal_is_read_by_range_and_its_counts_move(case):
    store = case.store
    for number in range(3):
        with write(store) as transaction:
            transaction.journal("pump", "bus", 2, b"frame %d" % number, Counts(2, 1, 0, 1))
    with write(store) as transaction:
        transaction.journal("valve", "bus", 2, b"", Counts())
        transaction.adjust_journal(2, Counts(0, 1, 0, -1))
    entries = list(store.journal_entries(SYSTEM, "pump", 2, 9))
    assert [(entry.commit, entry.frames, entry.counts) for entry in entries] == [
        (2, b"frame 1", Counts(2, 2)),
        (3, b"frame 2", Counts(2, 1, 0, 1)),
    ]
    assert (entries[0].contract, entries[0].source, entries[0].revision, entries[0].at) == ("pump", "bus", 2, NOW)
    assert store.journal_sizes(SYSTEM, "pump", 2, 9) == [JournalSize(2, 7, Counts(2, 2)), JournalSize(3, 7, Counts(2, 1, 0, 1))]
    assert store.journal_sizes(SYSTEM, "valve", 0, 9) == [JournalSize(4, 0, Counts())]
    assert [entry.frames for entry in store.journal_entries(SYSTEM, "valve", 0, 9)] == [b""]


def check_an_expired_journal_is_gone_and_known_to_be_missing(case):
    store, clock, day = case.store, case.clock, 86_400_000_000
    with write(store) as transaction:
        transaction.create_reading_table("pump", "bus", 1, [ReadingColumn("p", "DOUBLE", None)])
    for number in range(4):
        with write(store, "ingest") as transaction:
            transaction.journal("pump", "bus", 1, bytes([number]) * 100_000, Counts(1, 1))
            transaction.count(Counts(1, 1), source="bus")
        clock.advance(day)
    with write(store, "ingest") as transaction:
        transaction.journal("valve", "valve", 1, b"valve", Counts())
    assert store.unjournalled(SYSTEM, "pump", 0, 99) == 0
    assert store.expire_journal(SYSTEM, "pump", NOW) == 0
    assert store.expire_journal(SYSTEM, "valve", NOW) == 0
    assert store.last_commit(SYSTEM) == 6  # nothing to do is no commit
    assert store.expire_journal(SYSTEM, "pump", NOW + 2 * day) == 2
    _pump_is_journalled_from_commit_4(store)
    _pump_is_journalled_from_commit_4(case.reopen())
    assert case.store.commits(SYSTEM, first=7)[0].kind == "expire"
    assert case.store.expire_journal(SYSTEM, "pump", NOW + 9 * day) == 2
    with write(case.store) as transaction:
        transaction.journal("pump", "bus", 1, b"after", Counts())
    assert [entry.frames for entry in case.store.journal_entries(SYSTEM, "pump", 0, 99)] == [b"after"]


def _pump_is_journalled_from_commit_4(store):
    assert [(entry.commit, entry.frames[:1]) for entry in store.journal_entries(SYSTEM, "pump", 0, 99)] == [(4, b"\2"), (5, b"\3")]
    assert store.unjournalled(SYSTEM, "pump", 0, 99) == 2
    assert store.unjournalled(SYSTEM, "pump", 3, 3) == store.unjournalled(SYSTEM, "pump", 2, 2) == 1
    assert store.unjournalled(SYSTEM, "pump", 4, 99) == store.unjournalled(SYSTEM, "valve", 0, 99) == 0
    assert [entry.frames for entry in store.journal_entries(SYSTEM, "valve", 0, 99)] == [b"valve"]


def check_receipts_are_kept_by_key_until_they_expire(case):
    store = case.store

    def kept(*keys):
        with write(store) as transaction:
            found = [transaction.kept_receipt("pump", key) for key in keys]
        return [None if one is None else one.receipt for one in found]

    def keep(key, receipt, at):
        with write(store) as transaction:
            transaction.keep_receipt(KeptReceipt("pump", key, "digest", receipt, at))
            assert transaction.kept_receipt("pump", key) == KeptReceipt("pump", key, "digest", receipt, at)

    for at, key in enumerate("abcde"):
        keep(key, f"first {key}", at)
    keep("b", "second b", 9)
    with pytest.raises(ZeroDivisionError), write(store) as transaction:
        transaction.keep_receipt(KeptReceipt("pump", "c", "digest", "third", 9))
        raise ZeroDivisionError
    assert kept("a", "b", "c", "x") == ["first a", "second b", "first c", None]
    with write(store) as transaction:
        assert transaction.kept_receipt("valve", "a") is None
    before = store.last_commit(SYSTEM)
    assert store.expire_receipts(SYSTEM, 0, 5) == 0
    assert store.last_commit(SYSTEM) == before  # nothing to do is no commit
    assert store.expire_receipts(SYSTEM, 1, 5) == 1
    assert store.expire_receipts(SYSTEM, 0, 2) == 2
    assert kept("a", "b", "c", "d", "e") == [None, "second b", None, None, "first e"]
    store = case.reopen()
    assert kept("b", "e") == ["second b", "first e"]


def check_checkpoints_are_put_in_place_and_dropped(case):
    store = case.store

    def rows(*said):
        return pa.Table.from_pylist([{"twin": twin, "time": time, "body": body} for twin, time, body in said], schema=CHECKPOINT_SCHEMA)

    with write(store) as transaction:
        transaction.put_checkpoints("one", rows((2, 10, b"\0a"), (1, 20, b"b"), (1, -3, b"")))
        transaction.put_checkpoints("two", rows((1, 20, b"other")))
    assert [tuple(row.values()) for row in store.checkpoints(SYSTEM, "one").to_pylist()] == [(1, -3, b""), (1, 20, b"b"), (2, 10, b"\0a")]
    with pytest.raises(ZeroDivisionError), write(store) as transaction:
        transaction.drop_checkpoints("one", [1], [20])
        raise ZeroDivisionError
    with write(store) as transaction:
        transaction.drop_checkpoints("one", [1, 2, 2], [-3, 10, 20])
        transaction.put_checkpoints("one", rows((1, 20, b"again"), (2, 10, b"back")))
        transaction.put_checkpoints("one", rows())
        transaction.drop_checkpoints("one", [], [])
    store = case.reopen()
    assert store.checkpoints(SYSTEM, "one").equals(rows((1, 20, b"again"), (2, 10, b"back")))
    assert store.checkpoints(SYSTEM, "two").equals(rows((1, 20, b"other")))
    assert store.checkpoints(SYSTEM, "none").equals(rows())


def check_records_have_versions_and_are_found_by_a_beginning_of_their_id(case):
    store = case.store
    for id, body in (("abc1", {"n": 1}), ("abd2", {"n": 2}), ("abc1", {"n": 3}), ("ab", {"n": 4})):
        store.put_record(SYSTEM, "run", id, body)
    assert store.get_record(SYSTEM, "run", "abc").body == {"n": 3}
    assert store.get_record(SYSTEM, "run", "ab").body == {"n": 4}
    assert [record.body["n"] for record in store.versions(SYSTEM, "run", "abc1")] == [1, 3]
    assert [record.id for record in store.records(SYSTEM, "run")] == ["abd2", "abc1", "ab"]
    record = store.get_record(SYSTEM, "run", "abd2")
    assert (record.kind, record.commit, record.at, record.principal) == ("run", 2, NOW, "system")
    for id, message in (("a", "several of kind run"), ("x", "no run 'x'"), ("", "no run ''"), ("abc%", "no run"), ("ab_", "no run")):
        with pytest.raises(NotFoundError, match=message):
            store.get_record(SYSTEM, "run", id)
    with pytest.raises(NotFoundError):
        store.get_record(SYSTEM, "other", "ab")
    assert list(store.versions(SYSTEM, "run", "ab%")) == []


def check_records_that_are_put_together_have_one_commit(case):
    store = case.store
    store.put_record(SYSTEM, "run", "b", {"n": 0})
    assert store.put_records(SYSTEM, "run", {"a": {"n": 1}, "b": {"n": 2}}) == 2
    assert {record.id: (record.body["n"], record.commit) for record in store.records(SYSTEM, "run")} == {"a": (1, 2), "b": (2, 2)}
    assert store.last_commit(SYSTEM) == 2
    with pytest.raises(ValueError):
        store.put_records(SYSTEM, "run", {"c": {"n": 1}, "d": {"n": float("nan")}})
    assert store.last_commit(SYSTEM) == 2 and len(store.records(SYSTEM, "run")) == 2


def check_versions_of_records_are_read_by_range_of_commits_and_kind(case):
    store = case.store
    first = store.put_record(SYSTEM, "run", "a", {"n": 1})
    store.put_record(SYSTEM, "other", "a", {"n": 2})
    store.put_record(SYSTEM, "run", "a", {"n": 3})
    last = store.put_record(SYSTEM, "mail", "a", {"n": 4})
    for opened in (lambda: case.store, case.reopen):
        store = opened()
        assert [one.body["n"] for one in store.record_versions(SYSTEM, ["run", "mail"], 0, last)] == [1, 3, 4]
        assert [one.body["n"] for one in store.record_versions(SYSTEM, ["run", "mail"], first, last - 1)] == [3]
        assert store.record_versions(SYSTEM, [], 0, last) == []


def check_records_are_looked_up_by_their_digest(case):
    store = case.store
    one, other, third = ("a" * 16 + letter * 48 for letter in "012")  # equal in what an engine may look at first
    store.put_records(SYSTEM, "run", {"x": {"digest": one, "n": 1}, "y": {"digest": other, "n": 2}, "z": {"n": 3, "digest": None}})
    store.put_record(SYSTEM, "other", "x", {"digest": one, "n": 4})
    store.put_record(SYSTEM, "run", "w", {"digest": one, "n": 5, "text": f'"digest":"{third}"'})
    store.put_record(SYSTEM, "run", "x", {"digest": one, "n": 6})
    many = {f"r{n}": {"digest": f"{n:016x}" * 4 if n % 3 else None, "n": n, "text": "é\n"} for n in range(300)}
    store.put_records(SYSTEM, "many", many)
    for opened in (lambda: case.store, case.reopen):
        store = opened()
        assert [record.body["n"] for record in store.records_of_digest(SYSTEM, "run", {one})] == [5, 6]
        assert [record.body["n"] for record in store.records_of_digest(SYSTEM, "run", [one, other])] == [2, 5, 6]
        assert [record.id for record in store.records_of_digest(SYSTEM, "other", {one, third})] == ["x"]
        assert [record.id for record in store.records_of_digest(SYSTEM, "many", [many["r7"]["digest"], one])] == ["r7"]
        assert {record.id: record.body for record in store.records(SYSTEM, "many")} == many
        assert store.records_of_digest(SYSTEM, "run", {third}) == store.records_of_digest(SYSTEM, "run", ()) == []


def check_record_bodies_come_back_as_they_were(case):
    body = {"text": "é\u0000\n\u0001", "list": [1, 2.5, None, True, 10**30, 1e-300], "deep": {"a": {"b": []}}, "": {}}
    case.store.put_record(SYSTEM, "k", "a", body)
    assert case.store.get_record(SYSTEM, "k", "a").body == json.loads(json.dumps(body))


def check_cells_are_replaced_by_twin_or_whole(case):
    store = case.store

    def save(through, *numbers, replace=False, contract="pump"):
        with write(store) as transaction:
            transaction.save_cells(contract, through, cells(*numbers), replace=replace)

    def saved(contract="pump"):
        through, found = store.cells(SYSTEM, contract)
        assert found.schema == CELL_SCHEMA
        return through, sorted(zip(found["twin"].to_pylist(), found["num"].to_pylist(), strict=True))

    save(1, (1, 1.0), (2, 2.0))
    save(1, (1, 7.0), contract="valve")
    save(2, (2, 9.0))
    assert saved() == (2, [(1, 1.0), (2, 9.0)])
    save(3)
    assert saved() == (3, [(1, 1.0), (2, 9.0)])
    save(4, (3, 3.0), replace=True)
    assert saved() == (4, [(3, 3.0)])
    assert saved("valve") == (1, [(1, 7.0)])
    assert saved("none") == (0, [])


# --- hostile text -----------------------------------------------------------------------------------------------------

EVIL = [
    "'; DROP TABLE commits; --",
    '"; DROP TABLE commits; --',
    "x' OR '1'='1",
    "$1",
    "%(a)s",
    "?",
    "{0}",
    "%s",
    "%",
    "\\'; SELECT 1; --",
    "\\\\.\\N\\",
    "a\nb\t\r",
    "é\u202e😀",
    "a\x00b\x01c\x0101",
    "' || (SELECT value FROM meta) || '",
    "); DELETE FROM commits; --",
]


def check_no_text_is_ever_taken_for_anything_else(case):
    for evil in EVIL:
        _is_only_text(case.fresh(), evil)


def _is_only_text(store, evil):
    with write(store, evil) as transaction:
        columns = [ReadingColumn(evil, "DOUBLE", evil), ReadingColumn("text", "VARCHAR", None)]
        made = transaction.create_reading_table(evil, evil, 1, columns)
        transaction.declare_twins([Lifetime(1, evil, evil)])
        transaction.declare_relationships([Relationship(evil, evil, evil, evil, {evil: evil})])
        transaction.append_readings(made, rows(made, transaction.commit, (1, 5, 0, 1.0)).set_column(8, "v1", [[evil]]))
        transaction.append_values(values({**value(1, evil, 6, source=evil), "unit": evil, "txt": evil}))
        transaction.move_positions(evil, [(evil, 0, 3)])
        transaction.journal(evil, evil, 1, evil.encode(), Counts())
        transaction.add_dead_letters([DeadLetter(evil, evil, 1, evil, evil, evil.encode(), {evil: evil}, evil)])
        transaction.count(Counts(), source=evil, detail=evil)
        transaction.put_record(evil, evil, {evil: evil})
        transaction.save_cells(evil, 1, cells((1, 1.0)).set_column(9, CELL_SCHEMA.field("txt"), [[evil]]), replace=False)
        transaction.retract("other", 0, 0, 0)
    history = store.history(SYSTEM, Selection(paths=(evil,), source=evil)).to_pylist()
    assert [(row["path"], row["source"], row["unit"], row["time"]) for row in history] == [(evil, evil, evil, 5), (evil, evil, evil, 6)]
    assert [row["txt"] for row in store.history(SYSTEM, Selection(paths=("text",))).to_pylist()] == [evil]
    assert store.readings(SYSTEM, made)["v1"].to_pylist() == [evil]
    assert told(store.latest, paths=(evil,), lane="observed") == [(1, evil, 6, 1.0)]
    assert told(store.history, lane=evil) == []
    assert store.reading_tables(SYSTEM) == [made]
    assert store.lifetimes(SYSTEM) == [Lifetime(1, evil, evil)]
    assert store.relationships(SYSTEM) == [Relationship(evil, evil, evil, evil, {evil: evil})]
    assert store.position(SYSTEM, evil, evil) == 3
    assert [(entry.frames, entry.source) for entry in store.journal_entries(SYSTEM, evil, 0, 9)] == [(evil.encode(), evil)]
    found = store.dead_letters(SYSTEM, contract=evil, reason=evil)[0]
    assert (found.captures, found.detail, found.position, found.source) == ({evil: evil}, evil, evil, evil)
    assert store.dead_letters(SYSTEM, status=evil) == []
    assert store.dead_letter_counts(SYSTEM, contract=evil) == {evil: 1}
    assert store.get_record(SYSTEM, evil, evil).body == store.get_record(SYSTEM, evil, evil[:1]).body == {evil: evil}
    assert [record.id for record in store.versions(SYSTEM, evil, evil)] == [evil]
    assert store.commits(SYSTEM, kind=evil)[0].detail == evil
    assert list(store.counts(SYSTEM)) == [evil]
    assert store.hours(SYSTEM, evil) == {0: 1}
    assert store.unjournalled(SYSTEM, evil, 0, 9) == store.expire_journal(SYSTEM, evil, 0) == 0
    assert store.cells(SYSTEM, evil)[0] == 1
    assert store.cells(SYSTEM, evil)[1]["txt"].to_pylist() == [evil]
    with write(store) as transaction:
        transaction.close_dead_letters_of(evil, 0, 9, evil)
        transaction.require_revision(evil, 1)
    assert len(store.dead_letters(SYSTEM, status=evil)) == 1
    with pytest.raises(NotFoundError):
        store.get_record(SYSTEM, "k", evil)


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
