"""A fork is a copy of the store at its commit to which the fork's transactions were added; and the store it forks never hears of them.

Both laws are shown to catch forks that break one thing each.
"""

import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.storage.conformance_case import NOW, append, rows, table, value, values, wide, write

from twinwright.clock import HOUR, SECOND, ManualClock
from twinwright.errors import NotFoundError, RefusedError
from twinwright.governance.principals import SYSTEM
from twinwright.storage import united
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.expiry import EXPIRE_HISTORY, Expiry
from twinwright.storage.forked import Beginning, ForkedStore
from twinwright.storage.layout import ALL_RELATIONSHIPS, Lifetime, Relationship, RelationshipPart, Selection
from twinwright.storage.postgres import PostgresStore
from twinwright.storage.protocol import BAD, GOOD, REMOVED

law = settings(
    derandomize=True, database=None, max_examples=6, deadline=None, report_multiple_bugs=False, phases=(Phase.explicit, Phase.generate)
)
READ = ("observed", "desired")
READS = {  # by name, which begins with that of the method
    "history": Selection(),
    "history of desired": Selection(lane="desired"),
    "history of good": Selection(good_only=True, start=1),
    "latest": Selection(end=2),
    "latest good": Selection(good_only=True),
}
PUMP, VALVE = "dtmi:t:Pump;1", "dtmi:t:Valve;1"
times, moments = st.integers(0, 2), st.sampled_from([None, 1, 2])
readings = st.tuples(
    st.just("reading"), st.integers(0, 1), st.booleans(), st.lists(st.tuples(st.integers(1, 2), times, times, st.sampled_from([1.0, 2.0])))
)
said = st.tuples(
    st.just("value"), st.integers(1, 2), st.sampled_from("pq"), times, st.sampled_from([BAD, GOOD, REMOVED]), times, st.sampled_from(READ)
)
lives = st.tuples(st.just("life"), st.integers(1, 3), st.sampled_from([PUMP, VALVE]), moments, moments)
edges = st.tuples(st.just("edge"), st.sampled_from("rsu"), st.integers(0, 2), st.booleans(), moments)
notes = st.tuples(st.just("record"), st.sampled_from("kl"), st.sampled_from(["ab", "ac"]), times)
acts = st.one_of(readings, readings, said, said, lives, edges, notes)
transactions = st.lists(st.lists(acts, min_size=1, max_size=4), min_size=1, max_size=4)
replays = st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(0, 3)))


def do(store, tables, acts):
    """One transaction, in which nothing is said twice of which the order would decide."""
    told = set()
    with write(store, "ingest") as transaction:
        for kind, *given_ in acts:
            key = (kind, *given_[: 1 + (kind == "record")], given_[-1] if kind in ("life", "edge") else None)
            if kind in ("life", "edge", "record") and key in told:
                continue
            told.add(key)
            if kind == "reading":
                which, sighting, many = given_
                made = tables[which]
                transaction.append_readings(made, rows(made, transaction.commit, *many), sightings=sighting)
            elif kind == "value":
                twin, path, time, of, correction, lane = given_
                transaction.append_values(values(value(twin, path, time, of, lane=lane, correction=correction)))
            elif kind == "life":
                number, interface, until, at = given_
                transaction.declare_twins([Lifetime(number, f"t{number}", interface, None, until, changed_at=at)])
            elif kind == "edge":
                id, x, removed, at = given_
                source, name = "t2" if id == "u" else "t1", "nears" if x > 1 else "feeds"
                transaction.declare_relationships([Relationship(source, id, name, "t2", {"x": x}, removed, changed_at=at)])
            else:
                record, id, x = given_
                transaction.put_record(record, id, {"x": x})
    return transaction.commit


def replay(store, first, count):
    with write(store, "replay") as transaction:
        transaction.retract("pump", first, first + count, 2)


class Worlds:
    """A store that is forked, the fork, and a copy to which the same was done."""

    def __init__(self, folder, stack, kind=ForkedStore, base=None):
        self.clock, self.folder, self.stack, self.kind = ManualClock(NOW), folder, stack, kind
        self.base = self.opened("base") if base is None else stack.enter_context(closing(base(self.clock)))
        self.copy = self.opened("copy")
        for store in (self.base, self.copy):
            self.tables = [table(store), table(store, revision=2)]

    def opened(self, name):
        folder = self.folder / name
        folder.mkdir()
        return self.stack.enter_context(closing(DuckDBStore(folder / "store.duckdb", self.clock)))

    def both(self, *stores, acts=None, replayed=None):
        self.clock.advance(SECOND)
        for store in stores:
            if acts is not None:
                do(store, self.tables, acts)
            else:
                replay(store, *replayed)

    def forked(self):
        self.at = self.base.last_commit(SYSTEM)
        own = self.opened("own")
        line = self.base.commits(SYSTEM, first=self.at, last=self.at)[0]
        own.load(SYSTEM, Beginning(line, self.base.reading_tables(SYSTEM)))
        self.fork = self.kind(self.base, self.at, own)
        return self.fork


def row(rows):
    return sorted((tuple(one.items()) for one in rows.to_pylist()), key=repr)


def life(one):
    return (one.number, one.twin, one.interface, one.since, one.until, one.changed_at, one.commit)


def edge(one):
    return (one.source, one.id, one.name, one.target, dict(one.properties), one.removed, one.changed_at, one.commit)


def paged(store, source, name, as_of, known):
    """The relationships of a part, two a page."""
    found, behind = [], None
    while page := store.relationships(SYSTEM, RelationshipPart(source, name, behind, 2), as_of=as_of, known_at=known):
        found += page
        behind = page[-1].key
    return found


def answers(store, tables, at, last, *, now=True):
    """What a store says of a commit around which it is forked, and of what it knows now."""
    found = {"tables": store.reading_tables(SYSTEM)}
    for known in [at, *([min(at + 1, last), None] if now else [])]:
        for read, selection in READS.items():
            found[known, read] = getattr(store, read.split()[0])(SYSTEM, replace(selection, known_at=known)).to_pylist()
        found[known, "readings"] = row(store.readings(SYSTEM, tables[0], known_at=known))
        for as_of in (None, 1):
            found[known, as_of, "lives"] = [life(one) for one in store.lifetimes(SYSTEM, as_of=as_of, known_at=known)]
            every = store.relationships(SYSTEM, as_of=as_of, known_at=known)
            found[known, as_of, "edges"] = [edge(one) for one in every]
            for source in {one.source for one in every} | {"nobody"}:
                mine = store.relationships(SYSTEM, RelationshipPart(source), as_of=as_of, known_at=known)
                assert mine == [one for one in every if one.source == source]
                if (as_of is None) == (known is None):
                    assert paged(store, source, "feeds", as_of, known) == [one for one in mine if one.name == "feeds"]
            if (as_of is None) == (known is None):
                assert paged(store, None, None, as_of, known) == every
    for after in sorted({at - 1, min(at, last - 1)}):
        found[after, "touched"] = row(store.touched(SYSTEM, after, last))
        found[after, "changed"] = {number: store.changed_twins(SYSTEM, number) for number in range(after, last + 1)}
        found[after, "lives"] = [life(one) for one in store.lifetime_versions(SYSTEM, after, last)]
        found[after, "edges"] = [edge(one) for one in store.relationship_versions(SYSTEM, after, last)]
        found[after, "records"] = store.record_versions(SYSTEM, ["k", "l"], after, last)
        found[after, "since"] = row(store.readings(SYSTEM, tables[1], after=after, known_at=last))
    return found


def asked_now(store):
    """What can't be asked of the past: of the fork and of the copy alone."""
    found = {"last": store.last_commit(SYSTEM), "log": [(one.number, one.kind) for one in store.commits(SYSTEM)]}
    found["times"] = store.commit_times(SYSTEM, [number for number, _ in found["log"]])
    found["at"] = [store.commit_at(SYSTEM, at) for at in found["times"].values()]
    for kind in "kl":
        found[kind] = sorted(store.records(SYSTEM, kind), key=lambda one: (one.commit, one.id))
        for id in ("ab", "a"):
            try:
                found[kind, id] = store.get_record(SYSTEM, kind, id), list(store.versions(SYSTEM, kind, id))
            except NotFoundError as error:
                found[kind, id] = str(error)
    found["retractions"] = store.retractions(SYSTEM)
    return found


def check(before, replayed, inside, later, replayed_later, kind=ForkedStore, base=None):
    """A fork that is made after `before`, in which `inside` is done, while `later` and a replay are done to what it forks."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        worlds = Worlds(Path(folder), stack, kind, base)
        for acts in before:
            worlds.both(worlds.base, worlds.copy, acts=acts)
        if replayed is not None:
            worlds.both(worlds.base, worlds.copy, replayed=replayed)
        fork = worlds.forked()
        known = answers(worlds.base, worlds.tables, worlds.at, worlds.at, now=False)
        for at, acts in enumerate(inside):
            worlds.both(fork, worlds.copy, acts=acts)
            if at < len(later):
                do(worlds.base, worlds.tables, later[at])
        assert worlds.base.last_commit(SYSTEM) == worlds.at + min(len(inside), len(later))
        replay(worlds.base, *replayed_later)
        last = worlds.copy.last_commit(SYSTEM)
        assert answers(fork, worlds.tables, worlds.at, last) == answers(worlds.copy, worlds.tables, worlds.at, last)
        assert asked_now(fork) == asked_now(worlds.copy)
        assert answers(worlds.base, worlds.tables, worlds.at, worlds.at, now=False) == known


@law
@given(transactions, replays, transactions, transactions, st.tuples(st.integers(1, 9), st.integers(0, 9)))
def test_a_fork_is_a_copy_with_what_was_added(before, replayed, inside, later, replayed_later):
    check(before, replayed, inside, later, replayed_later)


RICH = (
    [
        [("reading", 0, False, [(1, 0, 0, 1.0), (2, 1, 1, 2.0)]), ("value", 1, "q", 1, GOOD, 2, "observed"), ("life", 1, PUMP, None, None)],
        [("edge", "r", 0, False, None), ("edge", "r", 0, True, 2), ("record", "k", "ab", 1)],
    ],
    None,
    [
        [("value", 1, "q", 1, GOOD, 0, "observed"), ("value", 1, "q", 2, REMOVED, 0, "observed"), ("reading", 0, False, [(1, 0, 1, 2.0)])],
        [
            ("edge", "r", 1, False, 1),
            ("edge", "u", 1, False, None),
            ("life", 1, VALVE, 2, 2),
            ("record", "k", "ab", 2),
            ("reading", 0, True, [(2, 1, 1, 2.0)]),
        ],
    ],
    [[("reading", 0, False, [(1, 2, 0, 1.0)]), ("life", 2, PUMP, None, None), ("record", "k", "ac", 1), ("edge", "s", 1, False, None)]],
    (1, 9),
)


def test_a_fork_in_which_halves_have_to_be_weighed_is_one_too():
    check(*RICH)


def test_a_fork_of_a_store_in_postgresql_is_one_too(postgres):
    check(*RICH, base=lambda clock: PostgresStore(postgres.dsn(), postgres.schema(), clock))


class ReadsLaterCommits(ForkedStore):
    def _known(self, known_at):
        return self._base.last_commit(SYSTEM) if known_at is None else known_at


class WritesToTheBase(ForkedStore):
    def transaction(self, principal, kind):
        return self._base.transaction(principal, kind)


class HearsOfLaterReplays(ForkedStore):
    def readings(self, principal, table, *, known_at=None, through=None, after=None, **options):
        own = self._own.readings(principal, table, known_at=known_at, through=through, after=after, **options)
        before = min(self._at, self._at if known_at is None else known_at)
        theirs = self._base.readings(principal, table, through=before, after=after, **options)
        return pa.concat_tables([theirs, own.cast(theirs.schema)])


class TheForkIsAlwaysRight(ForkedStore):
    def history(self, principal, selection):
        own = self._own.history(principal, selection)
        keys = {tuple(one[name] for name in ("twin", "path", "time", "source")) for one in own.to_pylist()}
        theirs = super().history(principal, selection).to_pylist()
        left = [one for one in theirs if tuple(one[name] for name in ("twin", "path", "time", "source")) not in keys]
        every = sorted([*left, *own.to_pylist()], key=lambda one: (one["twin"], one["path"], one["time"], one["source"]))
        return pa.Table.from_pylist(every, schema=own.schema)


class GoodIsOfEachHalf(ForkedStore):
    def _latest_good(self, principal, selection):
        own = self._own.latest(principal, selection)
        return united.latest(self._base.latest(principal, self._of_base(selection)), own)


class RemovedEdgesComeBack(ForkedStore):
    def _edges_of(self, principal, keys, through, as_of):
        return []


class PagesBeginWithTheBase(ForkedStore):
    """What comes next is asked of the base alone."""

    def relationships(self, principal, part=ALL_RELATIONSHIPS, **at):
        if part.most is None:
            return super().relationships(principal, part, **at)
        keys = [one.key for one in self._base.relationships(principal, part, as_of=at["as_of"], known_at=self._known(at["known_at"]))]
        return super().relationships(principal, RelationshipPart(name=part.name, keys=frozenset(keys)), **at)


class NumbersOfItsOwn(ForkedStore):
    def commits(self, principal, *, first=1, last=None, kind=None):
        return self._base.commits(principal, first=first, last=last, kind=kind)


@pytest.mark.parametrize(
    "kind",
    [
        ReadsLaterCommits,
        WritesToTheBase,
        HearsOfLaterReplays,
        TheForkIsAlwaysRight,
        GoodIsOfEachHalf,
        RemovedEdgesComeBack,
        PagesBeginWithTheBase,
        NumbersOfItsOwn,
    ],
)
def test_a_broken_fork_is_caught(kind):
    with pytest.raises(AssertionError):
        check(*RICH, kind=kind)


class Counting:
    """A store that counts the relationships that it tells of."""

    def __init__(self, store):
        self._store, self.told = store, 0

    def __getattr__(self, name):
        def asked(*given, **options):
            found = getattr(self._store, name)(*given, **options)
            self.told += len(found) if "relationship" in name else 0
            return found

        return asked


def test_a_page_of_the_relationships_of_a_twin_costs_what_it_shows(tmp_path):
    def put(store, ids, **more):
        with write(store, "graph") as transaction:
            transaction.declare_relationships([Relationship("t1", f"r{nth:05}", "feeds", "t2", **more) for nth in ids])

    with ExitStack() as stack:
        worlds = Worlds(tmp_path, stack)
        put(worlds.base, range(0, 3000, 2))
        fork = worlds.forked()
        put(fork, range(1, 3000, 4))
        put(fork, range(0, 3000, 8), removed=True)
        base, own = (Counting(store) for store in (worlds.base, fork._own))
        counted, now = ForkedStore(base, worlds.at, own), fork.last_commit(SYSTEM)
        whole = fork.relationships(SYSTEM, RelationshipPart("t1"), known_at=now)
        assert len(whole) == 1500 + 750 - 375
        for at in (0, 700, 1500):
            base.told = own.told = 0
            part = RelationshipPart("t1", None, whole[at].key, 100)
            assert counted.relationships(SYSTEM, part, known_at=now) == whole[at + 1 : at + 101]
            assert base.told + own.told < 1_000


def furnished(folder, stack):
    worlds = Worlds(folder, stack)
    append(worlds.base, worlds.tables[0], (1, HOUR, 0, 1.0), (1, 2 * HOUR, 0, 2.0))
    return worlds, worlds.forked()


def test_what_the_base_let_go_of_later_is_refused_and_not_left_out(tmp_path):
    with ExitStack() as stack:
        worlds, fork = furnished(tmp_path, stack)
        append(worlds.base, worlds.tables[0], (1, 3 * HOUR, 0, 3.0))
        assert len(fork.history(SYSTEM, Selection())) == 2
        nobody = np.empty(0, np.int32), np.empty(0, np.int64)
        with write(worlds.base, EXPIRE_HISTORY) as transaction:
            assert transaction.let_go(Expiry(worlds.tables[0], (0,), (1,), 0, 2 * HOUR, nobody)) == 1
        for read in (fork.history, fork.latest):
            with pytest.raises(RefusedError, match="let go of") as refused:
                read(SYSTEM, Selection())
            assert "fork drop" in refused.value.remedy
        for read in (fork.readings, lambda who, of: fork.cells(who, of.contract)):
            with pytest.raises(RefusedError, match="let go of"):
                read(SYSTEM, worlds.tables[0])


def test_what_reaches_beyond_a_fork_is_refused(tmp_path):
    with ExitStack() as stack:
        worlds, fork = furnished(tmp_path, stack)
        for kind in ("apply", "replay", EXPIRE_HISTORY):
            with pytest.raises(RefusedError, match=f"{kind} is not done in a fork"), fork.transaction(SYSTEM, kind):
                pass
        for asked in (lambda: fork.snapshot(SYSTEM), lambda: fork.seal(SYSTEM, worlds.tables[0], 0), lambda: fork.sealed(SYSTEM, None)):
            with pytest.raises(RefusedError, match="is not done in a fork"):
                asked()


def test_records_apart_are_not_read_from_the_base(tmp_path):
    with ExitStack() as stack:
        worlds = Worlds(tmp_path, stack)
        worlds.base.put_records(SYSTEM, "run", {"a": {"x": 1}})
        own = worlds.forked()._own
        fork = ForkedStore(worlds.base, worlds.at, own, apart=("run",))
        fork.put_record(SYSTEM, "run", "b", {"x": 2})
        assert [one.id for one in fork.records(SYSTEM, "run")] == ["b"]
        assert [one.id for one in fork.record_versions(SYSTEM, ["run"], 0, 99)] == ["b"]
        with pytest.raises(NotFoundError):
            fork.get_record(SYSTEM, "run", "a")


def test_records_are_looked_up_by_their_digest_as_they_were_when_it_was_forked_and_in_it(tmp_path):
    one, other = "0" * 64, "1" * 64
    with ExitStack() as stack:
        worlds = Worlds(tmp_path, stack)
        worlds.base.put_records(SYSTEM, "k", {"a": {"digest": one, "n": 1}, "b": {"digest": one, "n": 2}})
        fork = worlds.forked()
        fork.put_record(SYSTEM, "k", "b", {"digest": one, "n": 3})
        fork.put_record(SYSTEM, "k", "c", {"digest": other, "n": 4})

        def found(*digests):
            return [record.body["n"] for record in fork.records_of_digest(SYSTEM, "k", digests)]

        assert (found(one), found(one, other), found("2" * 64)) == ([1, 3], [1, 3, 4], [])
        worlds.base.put_records(SYSTEM, "k", {"a": {"digest": one, "n": 5}, "d": {"digest": one, "n": 6}})
        assert found(one) == [1, 3], "what the base learns later is not of the fork"
        apart = ForkedStore(worlds.base, worlds.at, fork._own, apart=("k",))
        assert [record.id for record in apart.records_of_digest(SYSTEM, "k", [one])] == ["b"]


def test_a_fork_goes_on_where_it_was_left(tmp_path):
    with ExitStack() as stack:
        worlds, fork = furnished(tmp_path, stack)
        first = append(fork, worlds.tables[0], (2, HOUR, 0, 9.0))
        assert first == worlds.at + 1
        fork.close()
        again = DuckDBStore(tmp_path / "own" / "store.duckdb", worlds.clock)
        fork = ForkedStore(worlds.base, worlds.at, stack.enter_context(closing(again)))
        assert [one["twin"] for one in fork.history(SYSTEM, Selection()).to_pylist()] == [1, 1, 2]
        assert append(fork, worlds.tables[0], (2, HOUR, 1, 8.0)) == first + 1
        assert fork.cells(SYSTEM, "pump")[0] == worlds.at
        assert fork.hours(SYSTEM, "pump") == {1: 3, 2: 1}
        assert wide(worlds.tables[0], 1, []).num_rows == 0
