"""Events a page at a time: a page may end within a commit, and whoever asks on there misses nothing and is told nothing twice."""

import pytest
from tests.events.test_log import told
from tests.platform.graph_plant import NOW, pump, send

from twinwright.clock import SECOND
from twinwright.errors import UsageError
from twinwright.events.pages import EventPages, Place, place_of
from twinwright.governance.principals import LOCAL_ADMIN, SYSTEM
from twinwright.twins.graph.twin_writes import delete_twin, put_twin


def fill(platform):
    """A commit of many twins between small ones; where they begin."""
    at = platform.session.store.last_commit(SYSTEM)
    platform.put_twin("before", pump())

    def write(draft):
        for number in range(7):
            put_twin(draft, f"t{number}", pump(count=number), None)
        delete_twin(draft, "t3", None)

    platform.session.graph.submit(LOCAL_ADMIN, write)
    for second in range(3):
        send(platform, "given", NOW + second * SECOND, float(second))
    return at


def read(platform, at, most, pages):
    """Every event by pages of so many; each page is asked of what `pages` gives."""
    place, found = Place(at), []
    for _ in range(100):
        events, place = pages().after(SYSTEM, place_of(place.text, "place"), lambda body: True, most)
        assert len(events) <= most
        found += events
        if place.commit >= platform.session.store.last_commit(SYSTEM):
            return found
    raise AssertionError("it does not come to an end")


def check(platform, at, kind=EventPages):
    log = platform.session.served.events
    whole, kept = told(platform, at), kind(log)
    assert len(whole) == 12
    for most in (1, 2, 3, 5, 12, 100):
        assert read(platform, at, most, lambda: kept) == whole
        assert read(platform, at, most, lambda: kind(log)) == whole  # another process, or after a restart


def test_pages_of_any_size_are_the_whole_log(plant):
    check(plant, fill(plant))


class Rounded(EventPages):
    """A commit that is begun counts as told."""

    def after(self, principal, place, admits, most):
        events, place = super().after(principal, place, admits, most)
        return events, Place(place.commit + bool(place.done))


class Forgetful(EventPages):
    """A commit that is begun is told from its beginning."""

    def _following(self, principal, place, through):
        return self._log.between(principal, place.commit, through)


@pytest.mark.parametrize("kind", [Rounded, Forgetful])
def test_the_broken_variant_is_caught(plant, kind):
    with pytest.raises(AssertionError):
        check(plant, fill(plant), kind)


def test_a_commit_that_is_told_otherwise_is_told_from_its_beginning(plant):
    at = fill(plant)
    events, place = EventPages(plant.session.served.events).after(SYSTEM, Place(at), lambda body: True, 4)
    assert (place.commit, place.done) == (at + 1, 3) and len(events) == 4
    other = place._replace(mark=place.mark ^ 1)
    again, _ = EventPages(plant.session.served.events).after(SYSTEM, other, lambda body: True, 3)
    assert [one.id for one in again] == [one.id for one in events[1:]]


def test_a_filter_leaves_out_without_losing_the_place(plant):
    at = fill(plant)
    found, place = [], str(at)
    while True:
        page = plant.events(place=place, filter="subject = 't5'")
        found += [one["event"]["type"] for one in page["events"]]
        place = page["place"]
        if page["through"] >= page["last"]:
            break
    assert [one.rpartition(".")[2] for one in found] == ["Create"]


def test_what_is_no_place_is_refused(plant):
    for text in ("", "x", "1.2", "1.0.00000000", "1.2.3", "-1", "1.2.xxxxxxxx", "9" * 30):
        with pytest.raises(UsageError, match="place"):
            plant.events(place=text)
