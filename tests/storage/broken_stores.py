"""Stores that break one thing each, whatever engine is behind them, and the check of the suite that has to catch it.

A broken store wraps a sound one: `BROKEN[name]` are the methods that it and its transactions have instead (each takes the sound object
first), and the check.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace

from twinwright.errors import FenceError, NotFoundError, StoreError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import ALL_RELATIONSHIPS, Counts
from twinwright.storage.sealing import STEP_ROWS


class Wrapped:
    """A sound store, transaction or snapshot with some methods (or attributes) put in place of its own."""

    def __init__(self, sound, methods, **attributes):
        self._sound, self._methods = sound, methods
        vars(self).update(attributes)

    def __getattr__(self, name):
        method = self._methods.get(name)
        return getattr(self._sound, name) if method is None else lambda *given, **named: method(self._sound, *given, **named)


@dataclass
class Broken:
    caught_by: str
    store: dict = field(default_factory=dict)
    transaction: dict = field(default_factory=dict)

    def wrap(self, store):
        """The store, broken."""

        @contextlib.contextmanager
        def transaction(sound, principal, kind):
            with sound.transaction(principal, kind) as made:
                yield Wrapped(made, self.transaction)

        return Wrapped(store, {"transaction": transaction, **self.store})


MACHINE = "any_sequence_of_transactions_is_what_the_plain_store_says"


def _swallowing(name, error):
    def method(sound, *given, **named):
        with contextlib.suppress(error):
            getattr(sound, name)(*given, **named)

    return method


def _selecting(name, **forced):
    return lambda sound, principal, selection: getattr(sound, name)(principal, replace(selection, **forced))


def _for_anyone(name):
    return lambda sound, principal, *given, **named: getattr(sound, name)(SYSTEM, *given, **named)


def _uncorrected(sound, table, rows, *, sightings=False):
    place = rows.schema.get_field_index("correction")
    zero = rows.column(place).combine_chunks()
    sound.append_readings(table, rows.set_column(place, "correction", [[0] * len(zero)]), sightings=sightings)


def _first_only(sound, table, rows, *, sightings=False):
    sound.append_readings(table, rows.slice(0, 20_000), sightings=sightings)


def _tells_at_once(sound, listener):
    sound.on_commit(lambda commit: listener(replace(commit, number=commit.number + 1)))


def _first_match(sound, principal, kind, id):
    try:
        return sound.get_record(principal, kind, id)
    except NotFoundError:
        matches = [record for record in sound.records(principal, kind) if record.id.startswith(id)]
        if not matches:
            raise
        return matches[0]


def _half_a_position(sound, contract, moves):
    sound.move_positions(contract, [(stream, start, next if start else next - 1) for stream, start, next in moves])


def _no_letters_after_the_first(sound, letters):
    sound.add_dead_letters(letters[:1])


@contextlib.contextmanager
def _commits_what_failed(sound, principal, kind):
    raised = None
    with sound.transaction(principal, kind) as made:
        try:
            yield made
        except Exception as error:  # noqa: BLE001 - that is what is broken
            raised = error
    if raised is not None:
        raise raised


def _forgets_before(sound, principal, table, *, hours=None, after=None, without=None):
    return sound.readings(principal, table, hours=hours, after=None if after is None else after - 1, without=without)


def _through_excludes(sound, principal, table, *, through=None, **named):
    return sound.readings(principal, table, through=None if through is None else through - 1, **named)


def _known_now(sound, principal, table, *, known_at=None, **named):
    return sound.readings(principal, table, through=known_at, **named)


def _any_hour(sound, principal, table, *, hours=None, after=None, without=None):
    return sound.readings(principal, table, after=after, without=without)


def _hides_nothing_more(sound, principal, table, *, hours=None, after=None, without=None):
    return sound.readings(principal, table, hours=hours, after=after)


def _truncating_hours(sound, principal, contract):
    return {hour + (hour < 0): count for hour, count in sound.hours(principal, contract).items()}


def _copied_without(name):
    @contextlib.contextmanager
    def snapshot(sound, principal):
        with sound.snapshot(principal) as made:
            tables = {one: schema for one, schema in made.tables.items() if one != name}
            yield Wrapped(made, {}, tables=tables)

    return snapshot


@contextlib.contextmanager
def _copied_as_it_is_now(sound, principal):
    """What is read of it is read when it is asked for."""
    with sound.snapshot(principal) as made:

        def now(_made, name):
            with sound.snapshot(principal) as later:
                yield from list(later.rows(name))

        yield Wrapped(made, {"rows": now})


def _loads_half(sound, principal, source):
    with contextlib.suppress(StoreError):
        sound.load(principal, source)


def _mixes(sound, principal, source):
    if not sound.last_commit(principal):
        sound.load(principal, source)


def _seals_into_the_log(sound, principal, table, day, *given, **named):
    sound.put_record(SYSTEM, "sealed", str(day), {})
    return sound.seal(principal, table, day, *given, **named)


def _says_it_is_sealed(sound, principal, table):
    return [replace(one, fresh=0) for one in sound.unsealed(principal, table)]


def _without(name, given):
    """A read that leaves one of its arguments out of account."""
    return lambda sound, *rest, **named: getattr(sound, name)(*rest, **{key: one for key, one in named.items() if key != given})


def _behind_all_of_its_time(sound, principal, commit, source, behind=None, most=None):
    """A part that begins behind the time of the last one, whatever else is of that time."""
    return sound.commit_relationships(principal, commit, source, behind and (behind[0], "~"), most)


LIVES, EDGES = "a_lifetime_is_its_newest_version", "a_relationship_is_its_newest_version_until_it_is_removed"

BROKEN = {
    "lets go of what is kept": Broken(
        "whole_readings_go_and_what_is_kept_stays",
        transaction={"let_go": lambda sound, one: sound.let_go(replace(one, kept=(one.kept[0][:0], one.kept[1][:0])))},
    ),
    "lets whole readings go": Broken(
        "some_columns_go_and_the_others_stay",
        transaction={"let_go": lambda sound, one: sound.let_go(replace(one, columns=tuple(range(len(one.table.columns)))))},
    ),
    "lets go too much": Broken(
        "whole_readings_go_and_what_is_kept_stays",
        transaction={"let_go": lambda sound, one: sound.let_go(replace(one, before=one.before + 1))},
    ),
    "old roll-ups stay": Broken("rollups_are_put_read_replaced_and_let_go", transaction={"let_go_rollups": lambda *given: 2}),
    "sealing is a commit": Broken("sealing_changes_nothing_that_is_read", {"seal": _seals_into_the_log}),
    "sealing does nothing": Broken("late_readings_of_a_sealed_day_are_found_and_sealed_again", {"seal": lambda *given: iter(())}),
    "sealed alone, noted together": Broken(
        "days_sealed_together_are_one_until_one_of_them_is_sealed_alone",
        {"seal": lambda sound, principal, table, day, most=STEP_ROWS, days=1: sound.seal(principal, table, day, most)},
    ),
    "late ones are not seen": Broken("a_day_counts_as_sealed_when_all_of_it_is", {"unsealed": _says_it_is_sealed}),
    "sealed at one go": Broken(
        "a_busy_twin_s_day_is_cut_by_time", {"seal": lambda sound, principal, table, day, *most: sound.seal(principal, table, day)}
    ),
    "copy forgets sightings": Broken("a_copy_is_the_store_it_was_taken_of", {"snapshot": _copied_without("sightings_1")}),
    "copy forgets the journal": Broken("a_copy_is_the_store_it_was_taken_of", {"snapshot": _copied_without("journal")}),
    "copy forgets retractions": Broken("a_copy_is_the_store_it_was_taken_of", {"snapshot": _copied_without("retractions")}),
    "copy of several commits": Broken("a_copy_is_of_one_commit_whatever_is_written_meanwhile", {"snapshot": _copied_as_it_is_now}),
    "copy taken in by half": Broken("a_copy_that_is_not_sound_is_refused_whole", {"load": _loads_half}),
    "copy mixed in": Broken("a_store_that_holds_something_takes_no_copy", {"load": _mixes}),
    "lifetimes know the future": Broken(LIVES, {"lifetimes": _without("lifetimes", "known_at")}),
    "lifetimes ignore as-of": Broken(LIVES, {"lifetimes": _without("lifetimes", "as_of")}),
    "relationships know the future": Broken(EDGES, {"relationships": _without("relationships", "known_at")}),
    "relationships ignore as-of": Broken(EDGES, {"relationships": _without("relationships", "as_of")}),
    "removed relationships stay": Broken(
        EDGES,
        transaction={
            "declare_relationships": lambda sound, edges: sound.declare_relationships([replace(one, removed=False) for one in edges])
        },
    ),
    "rows of relationships know the future": Broken(
        "relationships_come_and_go_in_columns", {"relationship_rows": _without("relationship_rows", "known_at")}
    ),
    "relationships in columns dropped": Broken(
        "relationships_come_and_go_in_columns",
        transaction={"append_relationships": lambda sound, rows: sound.append_relationships(rows.slice(0, 9))},
    ),
    "versions hold from the beginning": Broken(
        "of_versions_in_one_commit_the_later_counts",
        transaction={"declare_twins": lambda sound, lives: sound.declare_twins([replace(one, changed_at=None) for one in lives[::-1]])},
    ),
    "history knows the future": Broken("selections_narrow_what_is_read", {"history": _selecting("history", known_at=None)}),
    "totals know the future": Broken(
        "totals_of_a_window_are_those_of_its_history",
        {"window_totals": lambda sound, principal, asked, what: sound.window_totals(principal, replace(asked, known_at=None), what)},
    ),
    "latest knows the future": Broken("selections_narrow_what_is_read", {"latest": _selecting("latest", known_at=None)}),
    "latest ignores as-of": Broken("selections_narrow_what_is_read", {"latest": _selecting("latest", end=None)}),
    "lanes are one": Broken("selections_narrow_what_is_read", {"history": _selecting("history", lane="observed")}),
    "sources are one": Broken("selections_narrow_what_is_read", {"history": _selecting("history", source=None)}),
    "bad is good": Broken(
        "the_last_good_value_is_looked_for_behind_bad_ones_but_not_behind_a_removal", {"latest": _selecting("latest", good_only=False)}
    ),
    "good only": Broken("conflicts_are_settled_by_kind_and_then_by_value", {"history": _selecting("history", good_only=True)}),
    "corrections dropped": Broken("corrections_and_then_revisions_decide", transaction={"append_readings": _uncorrected}),
    "rows dropped": Broken("many_rows_come_back_in_the_order_of_their_keys", transaction={"append_readings": _first_only}),
    "sightings dropped": Broken(
        "a_retraction_hides_by_range_and_revision_from_its_commit_on",
        transaction={"append_readings": lambda sound, table, rows, *, sightings=False: sightings or sound.append_readings(table, rows)},
    ),
    "retraction hides all": Broken(
        "a_retraction_hides_by_range_and_revision_from_its_commit_on",
        transaction={"retract": lambda sound, contract, first, last, below: sound.retract(contract, 0, 10**9, below)},
    ),
    "retraction hides new revisions": Broken(
        "a_retraction_hides_by_range_and_revision_from_its_commit_on",
        transaction={"retract": lambda sound, contract, first, last, below: sound.retract(contract, first, last, 9)},
    ),
    "retraction forgotten": Broken(MACHINE, transaction={"retract": lambda *given: None}),
    "after includes": Broken("a_retraction_hides_by_range_and_revision_from_its_commit_on", {"readings": _forgets_before}),
    "through excludes": Broken("readings_of_a_range_of_commits_are_what_these_appended", {"readings": _through_excludes}),
    "known at ignored": Broken("a_retraction_hides_by_range_and_revision_from_its_commit_on", {"readings": _known_now}),
    "without ignored": Broken("a_retraction_hides_by_range_and_revision_from_its_commit_on", {"readings": _hides_nothing_more}),
    "hours ignored": Broken("hours_are_found_and_read_by_themselves", {"readings": _any_hour}),
    "hours truncated": Broken("hours_are_found_and_read_by_themselves", {"hours": _truncating_hours}),
    "position not fenced": Broken("a_position_is_fenced", transaction={"move_positions": _swallowing("move_positions", FenceError)}),
    "positions after the first": Broken(
        "positions_of_many_streams_move_together_or_not_at_all",
        transaction={"move_positions": lambda sound, contract, moves: sound.move_positions(contract, moves[:1])},
    ),
    "position one short": Broken("a_position_is_fenced", transaction={"move_positions": _half_a_position}),
    "revision not fenced": Broken("a_revision_is_fenced", transaction={"require_revision": _swallowing("require_revision", FenceError)}),
    "counts not held": Broken("counts_that_are_not_conserved_are_refused", transaction={"count": _swallowing("count", StoreError)}),
    "counts lost": Broken(MACHINE, transaction={"count": lambda sound, counts, **named: sound.count(Counts(), **named)}),
    "failure committed": Broken("a_roll_back_leaves_nothing_of_anything", {"transaction": _commits_what_failed}),
    "listeners misled": Broken("listeners_hear_of_each_commit_after_it_and_of_no_other", {"on_commit": _tells_at_once}),
    "anyone may read history": Broken("every_call_takes_a_principal_with_a_role", {"history": _for_anyone("history")}),
    "anyone may write": Broken("every_call_takes_a_principal_with_a_role", {"put_record": _for_anyone("put_record")}),
    "records one by one": Broken(
        "records_that_are_put_together_have_one_commit",
        {"put_records": lambda sound, *given: max(sound.put_record(*given[:2], id, body) for id, body in given[2].items())},
    ),
    "commit_at one too early": Broken(
        "the_log_has_no_gaps_and_its_time_never_runs_back",
        {"commit_at": lambda sound, principal, at: sound.commit_at(principal, at - 1)},
    ),
    "all times read": Broken(
        "the_times_of_some_commits_are_read_without_the_rest_of_the_log",
        {"commit_times": lambda sound, principal, numbers: {one.number: one.at for one in sound.commits(principal)}},
    ),
    "letters dropped": Broken("dead_letters_are_listed_filtered_and_closed", transaction={"add_dead_letters": _no_letters_after_the_first}),
    "closes anything": Broken(
        "dead_letters_are_listed_filtered_and_closed",
        transaction={
            "close_dead_letters_of": lambda sound, contract, first, last, status: sound.close_dead_letters_of(contract, 0, 99, status)
        },
    ),
    "letters never expire": Broken("dead_letters_are_grouped_and_expire_with_a_count", {"expire_dead_letters": lambda *given: 2}),
    "groups of all": Broken(
        "dead_letters_are_grouped_and_expire_with_a_count",
        {"dead_letter_groups": lambda sound, principal, contract=None, status="open": sound.dead_letter_groups(principal, status=status)},
    ),
    "newest of every commit": Broken(
        "the_newest_event_time_of_each_commit_is_read_from_one_on",
        {"newest_by_commit": lambda sound, principal, contract, first: sound.newest_by_commit(principal, contract, 0)},
    ),
    "journal not adjusted": Broken("the_journal_is_read_by_range_and_its_counts_move", transaction={"adjust_journal": lambda *given: None}),
    "journal of all": Broken(
        "the_journal_is_read_by_range_and_its_counts_move",
        {"journal_entries": lambda sound, principal, contract, first, last: sound.journal_entries(principal, contract, 0, 10**6)},
    ),
    "journal sizes of all": Broken(
        "the_journal_is_read_by_range_and_its_counts_move",
        {"journal_sizes": lambda sound, principal, contract, first, last: sound.journal_sizes(principal, contract, 0, 10**6)},
    ),
    "expiry keeps": Broken("an_expired_journal_is_gone_and_known_to_be_missing", {"expire_journal": lambda *given: 2}),
    "nothing missing": Broken("an_expired_journal_is_gone_and_known_to_be_missing", {"unjournalled": lambda *given: 0}),
    "checkpoints not dropped": Broken("checkpoints_are_put_in_place_and_dropped", transaction={"drop_checkpoints": lambda *given: None}),
    "checkpoints of all": Broken(
        "checkpoints_are_put_in_place_and_dropped",
        transaction={"put_checkpoints": lambda sound, consumer, rows: sound.put_checkpoints("one", rows)},
    ),
    "first match": Broken("records_have_versions_and_are_found_by_a_beginning_of_their_id", {"get_record": _first_match}),
    "newest version only": Broken(
        "records_have_versions_and_are_found_by_a_beginning_of_their_id",
        {"versions": lambda sound, *given: iter(list(sound.versions(*given))[-1:])},
    ),
    "cells never whole": Broken(
        "cells_are_replaced_by_twin_or_whole",
        transaction={
            "save_cells": lambda sound, contract, through, rows, *, replace: sound.save_cells(contract, through, rows, replace=False)
        },
    ),
    "cells always whole": Broken(
        "cells_are_replaced_by_twin_or_whole",
        transaction={
            "save_cells": lambda sound, contract, through, rows, *, replace: sound.save_cells(contract, through, rows, replace=True)
        },
    ),
    "versions without the one before": Broken(
        "versions_of_a_range_of_commits_come_with_the_one_before",
        {
            "relationship_versions": lambda sound, who, after, through: [
                one for one in sound.relationship_versions(who, after, through) if one.commit > after
            ]
        },
    ),
    "versions of lifetimes only the newest": Broken(
        "versions_of_a_range_of_commits_come_with_the_one_before",
        {
            "lifetime_versions": lambda sound, who, after, through: list(
                {one.number: one for one in sound.lifetime_versions(who, after, through)}.values()
            )
        },
    ),
    "versions of some twins are those of all": Broken(
        "versions_of_a_range_of_commits_come_with_the_one_before",
        {"lifetime_versions": lambda sound, who, after, through, twins=None: sound.lifetime_versions(who, after, through)},
    ),
    "parts of relationships begin with the last": Broken(
        "a_part_of_the_relationships_is_read_from_where_the_last_ended",
        {"relationships": lambda sound, who, part=ALL_RELATIONSHIPS, **at: sound.relationships(who, replace(part, behind=None), **at)},
    ),
    "what is said of other times is not told": Broken(
        "changed_relationships_are_told_in_parts",
        {"changed_relationships": lambda sound, *given, **of: sound.changed_relationships(*given, **{**of, "between": None})},
    ),
    "one of each time is told of a commit": Broken(
        "changed_relationships_are_told_in_parts",
        {"commit_relationships": _behind_all_of_its_time},
    ),
    "changed twins without relationships": Broken(
        "versions_of_a_range_of_commits_come_with_the_one_before",
        {"changed_twins": lambda sound, who, commit: Counter(life.twin for life in sound.lifetime_versions(who, commit - 1, commit))},
    ),
    "every version of a digest": Broken(
        "records_are_looked_up_by_their_digest",
        {
            "records_of_digest": lambda sound, who, kind, digests: [
                one for id in "wxyz" for one in sound.versions(who, kind, id) if one.body.get("digest") in digests
            ]
        },
    ),
    "a digest by its beginning": Broken(
        "records_are_looked_up_by_their_digest",
        {
            "records_of_digest": lambda sound, who, kind, digests: [
                one for one in sound.records(who, kind) if str(one.body.get("digest"))[:16] in {digest[:16] for digest in digests}
            ]
        },
    ),
    "versions of records from the first on": Broken(
        "versions_of_records_are_read_by_range_of_commits_and_kind",
        {"record_versions": lambda sound, who, kinds, after, through: sound.record_versions(who, kinds, 0, through)},
    ),
}
