"""Any sequence of transactions, rolled back or not, with the store reopened in between, against a store that is a few lists.

`PlainStore` works everything out anew for each question, by the words of the laws; the machine asks both after every step.
"""

import copy
import json
from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from tests.storage.conformance_case import COLUMNS, cells, letter, values, wide, write
from tests.storage.held import held

from twinwright.errors import FenceError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Counts, JournalEntry, ReadingTable, Retraction, Selection
from twinwright.storage.protocol import BAD, GOOD, RECORD_SCHEMA, REMOVED, VALUE_SCHEMA

HOUR = 3_600_000_000
CONTRACTS, PATHS, TWINS, TIMES = ("a", "b"), ("p", "m", "on"), (1, 2), (0, 1, HOUR, -HOUR)


@dataclass
class PlainStore:
    """What a store holds, as lists of what was said."""

    tables: list = field(default_factory=list)
    readings: list = field(default_factory=list)  # (table, is a further sighting, columns by name)
    values: list = field(default_factory=list)  # (commit, columns by name)
    retractions: list = field(default_factory=list)
    log: list = field(default_factory=list)  # (number, at, kind, source, counts)
    letters: list = field(default_factory=list)
    positions: dict = field(default_factory=dict)
    journal: list = field(default_factory=list)
    records: list = field(default_factory=list)  # (id, body, commit)
    cells: dict = field(default_factory=dict)  # contract -> (through, {twin: num})

    def visible(self, table, known_at=None, without=()):
        for other, sighting, row in self.readings:
            hidden = any(
                (known_at is None or r.commit <= known_at)
                and r.contract == table.contract
                and row["commit"] < r.commit
                and r.first <= row["origin"] <= r.last
                and table.revision < r.below
                for r in [*self.retractions, *without]
            )
            if other == table.number and not hidden and (known_at is None or row["commit"] <= known_at):
                yield sighting, row

    def records_of(self, known_at, lane):
        """Every visible record, in long form."""
        for commit, said in self.values:
            if said["lane"] == lane and (known_at is None or commit <= known_at):
                yield {name: said[name] for name in RECORD_SCHEMA.names if name != "commit"} | {"commit": commit}
        for table in self.tables if lane == "observed" else ():
            for _, row in self.visible(table, known_at):
                for j, column in enumerate(table.columns):
                    bad = row["bad0"] >> j & 1
                    if bad or row[f"v{j}"] is not None:
                        yield _long(table, row, j, column, BAD if bad else GOOD)

    def history(self, selection):
        current = {}
        for one in self.records_of(selection.known_at, selection.lane):
            key = (one["twin"], one["path"], one["time"], one["source"])
            if _chosen(one, selection) and (key not in current or _rank(one) > _rank(current[key])):
                current[key] = one
        return [current[key] for key in sorted(current)]

    def latest(self, selection):
        newest = {}
        for one in self.history(selection):
            newest[one["twin"], one["path"]] = max(newest.get((one["twin"], one["path"]), one), one, key=lambda r: (r["time"], r["source"]))
        return [newest[key] for key in sorted(newest)]

    def last_good(self):
        """Of each cell the newest good value, if nothing removed the cell at its time or later."""
        found = {}
        history = self.history(Selection())
        for one in history:
            cell = (one["twin"], one["path"])
            removed = [r["time"] for r in history if (r["twin"], r["path"]) == cell and r["kind"] == REMOVED]
            if one["kind"] == GOOD and one["time"] > max(removed, default=-(2**63)):
                found[cell] = max(found.get(cell, one), one, key=lambda r: (r["time"], r["source"]))
        return [found[key] for key in sorted(found)]

    def counts(self):
        total = {}
        for _, _, _, source, counts in self.log:
            if source:
                total[source] = total.get(source, Counts()) + counts
        return total


def _long(table, row, j, column, kind):
    whole = row[f"v{j}"] if column.type == "BOOLEAN" else None
    return {
        "twin": row["twin"],
        "path": column.path,
        "time": row["time"],
        "source": table.source,
        "correction": row["correction"],
        "revision": table.revision,
        "commit": row["commit"],
        "kind": kind,
        "type": column.type,
        "num": row[f"v{j}"] if column.type == "DOUBLE" else None,
        "int": None if whole is None else int(whole),
        "txt": row[f"v{j}"] if column.type == "VARCHAR" else None,
        "unit": column.unit,
    }


def _chosen(one, selection):
    return (
        (selection.lifetimes is None or one["twin"] in selection.lifetimes)
        and (selection.paths is None or one["path"] in selection.paths)
        and (selection.start is None or one["time"] >= selection.start)
        and (selection.end is None or one["time"] < selection.end)
        and selection.source in (None, one["source"])
    )


def _rank(one):
    worth = tuple((one[name] is not None, one[name] if one[name] is not None else 0) for name in ("num", "int"))
    return (one["correction"], one["revision"], one["kind"], *worth, one["txt"] is not None, one["txt"] or "", -one["commit"])


# --- what a transaction may do: (name, argument ...), drawn without knowing the store ---------------------------------

readings = st.fixed_dictionaries(
    {
        "twin": st.sampled_from(TWINS),
        "time": st.sampled_from(TIMES),
        "correction": st.integers(0, 1),
        "bad0": st.sampled_from([0, 0, 0, 1, 6]),
        "v0": st.sampled_from([None, 1.5, -2.0]),
        "v1": st.sampled_from([None, "", "x\0", "Y"]),
        "v2": st.sampled_from([None, True, False]),
    }
)
said = st.builds(
    lambda lane, twin, path, time, kind, num, correction: {
        **dict.fromkeys(VALUE_SCHEMA.names),
        **{"twin": twin, "path": path, "time": time, "source": "api", "correction": correction, "revision": 0, "kind": kind},
        **{"type": "DOUBLE", "num": num if kind == GOOD else None, "unit": "kPa", "lane": lane},
    },
    st.sampled_from(["observed", "desired"]),
    st.sampled_from(TWINS),
    st.sampled_from(["p", "q"]),
    st.sampled_from(TIMES),
    st.sampled_from([BAD, GOOD, GOOD, REMOVED]),
    st.sampled_from([1.0, 2.0]),
    st.integers(0, 1),
)
contract, small = st.sampled_from(CONTRACTS), st.integers(0, 6)
counts = st.builds(lambda accepted, duplicate, dead: Counts(accepted + duplicate + dead, accepted, duplicate, dead), small, small, small)
acts = st.one_of(
    st.tuples(st.just("append"), contract, st.integers(1, 2), st.lists(readings, min_size=1, max_size=4), small),
    st.tuples(st.just("append"), contract, st.just(1), st.lists(readings, min_size=1, max_size=4), st.just(0)),
    st.tuples(st.just("sight"), contract, st.integers(1, 2), small),
    st.tuples(st.just("say"), st.lists(said, min_size=1, max_size=3)),
    st.tuples(st.just("retract"), contract, small, small, st.integers(1, 3)),
    st.tuples(st.just("position"), contract, small, small),
    st.tuples(st.just("letters"), contract, st.integers(0, 2)),
    st.tuples(st.just("close"), st.lists(small, max_size=2)),
    st.tuples(st.just("close of"), contract, small, small),
    st.tuples(st.just("count"), contract, counts),
    st.tuples(st.just("journal"), contract, st.binary(max_size=5), counts),
    st.tuples(st.just("adjust"), small, counts),
    st.tuples(st.just("record"), st.sampled_from(["i", "ij", "k"]), small),
    st.tuples(st.just("cells"), contract, st.dictionaries(st.sampled_from(TWINS), st.sampled_from([1.0, 2.0])), st.booleans()),
)


class Machine(RuleBasedStateMachine):
    """Needs `case`, set by the check."""

    case = None

    def __init__(self):
        super().__init__()
        self.case.fresh()
        self.plain = PlainStore()

    @property
    def store(self):
        return self.case.store

    @rule(acts=st.lists(acts, min_size=1, max_size=5), fails=st.sampled_from([False, False, False, True]))
    def transact(self, acts, fails):
        draft = copy.deepcopy(self.plain)
        self.case.clock.advance(10)
        try:
            with write(self.store, "step") as transaction:
                line = [transaction.commit, transaction.at, "step", "", Counts()]
                assert (transaction.commit, transaction.at) == (len(self.plain.log) + 1, self.case.clock.now())
                for name, *arguments in acts:
                    getattr(self, "_" + name.replace(" ", "_"))(transaction, draft, line, *arguments)
                if fails:
                    raise ZeroDivisionError
        except (ZeroDivisionError, FenceError):
            return
        draft.log.append(tuple(line))
        self.plain = draft

    @rule()
    def reopen(self):
        self.case.reopen()

    @precondition(lambda self: self.plain.log)
    @rule()
    def move(self):
        """From now on a store that was made of a copy of this one."""
        copied = held(self.store)
        self.case.fresh().load(SYSTEM, copied)

    @rule(most=st.integers(1, 3), steps=st.integers(0, 4), days=st.sampled_from([1, 2, 8]))
    def seal(self, most, steps, days):
        """Some steps of sealing, or all: nothing that is compared changes."""
        for table in self.plain.tables:
            for one in self.store.unsealed(SYSTEM, table):
                sealing = self.store.seal(SYSTEM, table, one.day // days * days, most, days)
                list(zip(range(steps), sealing, strict=False)) if steps else list(sealing)
                sealing.close()

    @precondition(lambda self: self.plain.journal)
    @rule(contract=contract, before=small)
    def expire(self, contract, before):
        line = self.plain.log[min(before, len(self.plain.log) - 1)]
        old = [entry for entry in self.plain.journal if entry.contract == contract and entry.at < line[1]]
        assert self.store.expire_journal(SYSTEM, contract, line[1]) == len(old)
        if old:
            self.plain.journal = [entry for entry in self.plain.journal if entry not in old]
            self.plain.log.append((len(self.plain.log) + 1, self.case.clock.now(), "expire", "", Counts()))

    # --- the acts, on both -----------------------------------------------------------------------------------------------

    def _table(self, transaction, draft, name, revision):
        for wanted in range(1, revision + 1):
            if not any((table.contract, table.revision) == (name, wanted) for table in draft.tables):
                made = transaction.create_reading_table(name, name, wanted, COLUMNS)
                assert made == ReadingTable(len(draft.tables) + 1, name, name, wanted, tuple(COLUMNS))
                draft.tables.append(made)
        transaction.require_revision(name, max(table.revision for table in draft.tables if table.contract == name))
        return next(table for table in draft.tables if (table.contract, table.revision) == (name, revision))

    def _append(self, transaction, draft, line, name, revision, rows, origin):
        table = self._table(transaction, draft, name, revision)
        rows = [{**row, "commit": line[0], "origin": min(origin, line[0]) or line[0], "marks": 0} for row in rows]
        transaction.append_readings(table, wide(table, line[0], rows))
        draft.readings += [(table.number, False, row) for row in rows]

    def _sight(self, transaction, draft, line, name, revision, which):
        table = self._table(transaction, draft, name, revision)
        there = [row for sighting, row in self.plain.visible(table) if not sighting] if table in self.plain.tables else []
        if there:
            row = {**there[which % len(there)], "commit": line[0], "origin": line[0]}
            transaction.append_readings(table, wide(table, line[0], [row]), sightings=True)
            draft.readings.append((table.number, True, row))

    def _say(self, transaction, draft, line, rows):
        transaction.append_values(values(*rows))
        draft.values += [(line[0], row) for row in rows]

    def _retract(self, transaction, draft, line, name, first, width, below):
        transaction.retract(name, first, first + width, below)
        draft.retractions.append(Retraction(line[0], name, first, first + width, below))

    def _position(self, transaction, draft, line, name, start, next):
        draft.positions.setdefault(name, 0)
        if start % 3:  # mostly from where it is
            start = draft.positions[name]
        try:
            transaction.move_positions(name, [("log", start, next)])
        except FenceError:
            assert start != draft.positions[name]
            raise
        assert start == draft.positions[name]
        draft.positions[name] = next

    def _letters(self, transaction, draft, line, name, count):
        letters = [letter(contract=name, reason=("malformed", "bad_time")[at]) for at in range(count)]
        transaction.add_dead_letters(letters)
        for one in letters:
            draft.letters.append(replace(one, id=len(draft.letters) + 1, origin=line[0], at=line[1]))

    def _close(self, transaction, draft, line, ids):
        transaction.close_dead_letters(ids, "retried")
        self._close_where(draft, "retried", lambda one: one.id in ids)

    def _close_of(self, transaction, draft, line, name, first, width):
        transaction.close_dead_letters_of(name, first, first + width, "replayed")
        self._close_where(draft, "replayed", lambda one: one.contract == name and first <= one.origin <= first + width)

    def _close_where(self, draft, status, closes):
        draft.letters = [replace(one, status=status) if one.status == "open" and closes(one) else one for one in draft.letters]

    def _count(self, transaction, draft, line, name, counts):
        transaction.count(counts, source=name)
        line[3], line[4] = name, line[4] + counts

    def _journal(self, transaction, draft, line, name, frames, counts):
        if not any(entry.commit == line[0] for entry in draft.journal):  # one delivery of payloads a commit
            transaction.journal(name, name, 1, frames, counts)
            draft.journal.append(JournalEntry(line[0], name, name, 1, line[1], frames, counts))

    def _adjust(self, transaction, draft, line, commit, change):
        transaction.adjust_journal(commit, change)
        draft.journal = [replace(e, counts=e.counts + change) if e.commit == commit else e for e in draft.journal]

    def _record(self, transaction, draft, line, id, number):
        if (id, line[0]) not in [(known, commit) for known, _, commit in draft.records]:
            transaction.put_record("k", id, {"n": number})
            draft.records.append((id, {"n": number}, line[0]))

    def _cells(self, transaction, draft, line, name, numbers, replace):
        transaction.save_cells(name, line[0], cells(*numbers.items()), replace=replace)
        kept = {} if replace else draft.cells.get(name, (0, {}))[1]
        draft.cells[name] = (line[0], {**kept, **numbers})

    # --- what both say ---------------------------------------------------------------------------------------------------

    @rule(known_at=st.one_of(st.none(), small), end=st.sampled_from([None, 1, 2]), twin=st.sampled_from([None, (1,), (1, 2, 3)]))
    def compare_history(self, known_at, end, twin):
        for selection in (
            Selection(known_at=known_at, end=end, lifetimes=twin),
            Selection(known_at=known_at, lane="desired"),
            Selection(known_at=known_at, source="a", paths=("p", "on"), start=0),
        ):
            assert self.store.history(SYSTEM, selection).to_pylist() == self.plain.history(selection)
            assert self.store.latest(SYSTEM, selection).to_pylist() == self.plain.latest(selection)
        assert self.store.latest(SYSTEM, Selection(good_only=True)).to_pylist() == self.plain.last_good()

    @rule(after=st.one_of(st.none(), small), hours=st.sampled_from([None, [-1], [0], [1, -1]]), without=st.booleans())
    def compare_readings(self, after, hours, without):
        assert self.store.reading_tables(SYSTEM) == self.plain.tables
        for table in self.plain.tables:
            more = [Retraction(10**6, table.contract, 0, 3, 2)] if without else []
            found = self.store.readings(SYSTEM, table, hours=hours, after=after, without=more[0] if more else None)
            assert found["commit"].to_pylist() == sorted(found["commit"].to_pylist())
            chosen = [
                (sighting, row)
                for sighting, row in self.plain.visible(table, without=more)
                if (after is None or row["commit"] > after) and (hours is None or row["time"] // HOUR in hours)
            ]
            kept = {_fact(row) for row in found.to_pylist()}
            assert {_fact(row) for sighting, row in chosen if not sighting} <= kept <= {_fact(row) for _, row in chosen}
            if after is None:  # a reading that any sighting keeps is there
                assert {_fact(row)[2:] for row in found.to_pylist()} == {_fact(row)[2:] for _, row in chosen}
        for name in CONTRACTS:
            mine = {table.number for table in self.plain.tables if table.contract == name}
            assert self.store.hours(SYSTEM, name) == Counter(
                row["time"] // HOUR for n, s, row in self.plain.readings if n in mine and not s
            )

    @rule()
    def compare_bookkeeping(self):
        store, plain = self.store, self.plain
        assert [(c.number, c.at, c.kind, c.source, c.counts) for c in store.commits(SYSTEM)] == plain.log
        assert store.last_commit(SYSTEM) == len(plain.log)
        assert store.counts(SYSTEM) == plain.counts()
        assert store.retractions(SYSTEM) == plain.retractions
        for status in ("open", "retried", "replayed"):
            assert store.dead_letters(SYSTEM, status=status) == [one for one in plain.letters if one.status == status]
        for name in CONTRACTS:
            assert store.position(SYSTEM, name, "log") == plain.positions.get(name, 0)
            assert list(store.journal_entries(SYSTEM, name, 1, 10**6)) == [e for e in plain.journal if e.contract == name]
            through, found = store.cells(SYSTEM, name)
            numbers = dict(zip(found["twin"].to_pylist(), found["num"].to_pylist(), strict=True))
            assert (through, numbers) == plain.cells.get(name, (0, {}))
        versions = {id: [(r.body, r.commit) for r in store.versions(SYSTEM, "k", id)] for id in ("i", "ij", "k")}
        assert versions == {id: [(body, commit) for known, body, commit in plain.records if known == id] for id in versions}
        assert {r.id: r.body for r in store.records(SYSTEM, "k")} == {id: body for id, body, _ in plain.records}

    def teardown(self):
        try:
            self.compare_history(None, None, None)
            self.compare_readings(None, None, False)
            self.compare_bookkeeping()
        finally:
            self.case.close()


def _fact(row):
    """A row as something that can be in a set."""
    return tuple(json.dumps(row[name]) for name in ("commit", "origin", "twin", "time", "correction", "bad0", "v0", "v1", "v2"))


def check_any_sequence_of_transactions_is_what_the_plain_store_says(case, examples=25, steps=14):
    machine = type("Machine", (Machine,), {"case": case})
    how = settings(
        derandomize=True,
        database=None,
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        phases=(Phase.generate,),  # a counterexample is small as it is, and each costs a store
    )
    run_state_machine_as_test(machine, settings=how)


CHECKS = [check_any_sequence_of_transactions_is_what_the_plain_store_says]
