"""Locations: how a found PBX is named, when one is asked for, served and given up, and who is elsewhere."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.away import Away
from bridge.core.locations import Home, Watch, found_name
from bridge.core.records import Batch, UserRecord
from bridge.core.rules import Rule, Scope, SizeLimits

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,27}")
HERE = Scope(home=Home(frozenset({""})))


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("Berlin", "hq-berlin"),
        ("BERLIN", "hq-berlin"),
        ("pbx_2", "hq-pbx_2"),
        ("New York", "hq-new-york-82ec25"),
        ("Zürich", "hq-zurich-cebab1"),
        ("東京", "hq-eb115e"),
        ("a" * 26, "hq-aaaaaaaaaaaaaaaaaa-5092c7"),
    ],
)
def test_the_name_of_a_location(location: str, name: str) -> None:
    """Plain names stay readable; whatever loses a character gets a digest."""
    assert found_name("hq", location) == name


@given(master=st.from_regex(NAME, fullmatch=True), location=st.text(min_size=1))
def test_each_name_is_one_of_a_pbx(master: str, location: str) -> None:
    """Whatever the PBX says, the topic level is one that the configuration would accept."""
    assert NAME.fullmatch(found_name(master, location))
    assert found_name(master, location) == found_name(master, location)


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique_by=str.lower))
def test_two_locations_have_two_names(locations: list[str]) -> None:
    """Unless they differ in nothing but case."""
    first, second = locations
    assert found_name("hq", first) != found_name("hq", second)


class Watched:
    """A watch, and the clock that it is given."""

    def __init__(self, at_most: int = 10) -> None:
        self.now_s = 100.0
        self.watch = Watch(60.0, 30.0, at_most)

    def saw(self, *locations: str) -> None:
        """The master lists users of these."""
        self.watch.saw(locations, self.now_s)

    def due(self, *reached: str) -> list[str]:
        """What is asked for now."""
        return list(self.watch.due(reached, self.now_s))

    def told(self, **urls: str | None) -> None:
        """What the master answers."""
        for location, url in urls.items():
            self.watch.answered(location, url, self.now_s)

    @property
    def served(self) -> Mapping[str, str]:
        """What is served."""
        return self.watch.served


def test_a_location_is_asked_for_once_and_served() -> None:
    """Seldom again while it is reached, soon while it is not; a good address stays until a better one."""
    it = Watched()
    it.saw("berlin", "wien")
    assert it.due() == ["berlin", "wien"]
    it.told(berlin="http://b", wien=None)
    assert it.served == {"berlin": "http://b"}
    assert it.due() == []
    it.now_s += 30
    assert it.due("berlin") == ["wien"]
    it.told(berlin=None, wien="http://w")
    assert it.served == {"berlin": "http://b", "wien": "http://w"}
    it.now_s += 300
    assert it.due("berlin", "wien") == ["berlin", "wien"]


def test_a_location_without_users_is_given_up_after_its_grace() -> None:
    """Not if a user comes back, and never while the master is away."""
    it = Watched()
    it.saw("berlin")
    it.told(berlin="http://b")
    it.saw()
    assert it.due() == []
    assert it.watch.next_s(it.now_s) == 30.0
    it.now_s += 59
    it.saw()
    assert it.due() == []
    assert it.watch.next_s(it.now_s) == 1.0
    it.saw("berlin")
    it.now_s += 10
    it.saw()
    it.watch.lost()
    it.now_s += 1000
    it.saw()
    assert it.served == {"berlin": "http://b"}
    it.now_s += 60
    it.saw()
    assert it.served == {}


def test_what_an_earlier_run_has_found_is_served_until_the_master_tells() -> None:
    """It is asked for at once, and given up after its grace if nobody is there."""
    it = Watched(at_most=2)
    it.watch.remember({"berlin": "http://b", "wien": "http://w", "rome": "http://r"}, it.now_s)
    assert it.served == {"berlin": "http://b", "wien": "http://w"}
    it.saw("berlin")
    assert it.due() == ["berlin"]
    it.watch.remember({"berlin": "http://old"}, it.now_s)
    it.now_s += 60
    it.saw("berlin")
    assert it.served == {"berlin": "http://b"}


def test_a_grace_that_is_over_is_looked_at_at_once() -> None:
    """Also if the clock has jumped over it."""
    it = Watched()
    it.saw("berlin")
    it.saw()
    it.now_s += 1000
    assert it.watch.next_s(it.now_s) == 0.0


def test_an_address_that_comes_too_late_is_dropped() -> None:
    """The location was given up while the master was asked."""
    it = Watched()
    it.told(berlin="http://b")
    assert it.served == {}


def test_there_are_at_most_so_many() -> None:
    """A master cannot have a link opened for each of its users."""
    it = Watched(at_most=2)
    it.saw("c", "a", "b", "d")
    assert (it.due(), it.watch.left_out) == (["a", "b"], 2)
    it.watch.tuned(60.0, 30.0, 3)
    it.saw("c", "a", "b", "d")
    assert (it.due(), it.watch.left_out) == (["a", "b", "c"], 1)


def user(guid: str, location: str = "", *, active: bool = True, number: str = "") -> UserRecord:
    """A user somewhere."""
    return UserRecord(guid, f"user {guid}", location=location, active=active, number=number)


class Listed:
    """The users elsewhere of one master, and how often a location came or went."""

    def __init__(self, scope: Scope = HERE) -> None:
        self.away = Away()
        self.scope = scope
        self.changes = 0
        self.away.changed = self._changed

    def reported(self, *users: UserRecord, complete: bool = False, torn: bool = False) -> set[str]:
        """The locations after a batch."""
        unreadable = ("a record",) if torn else ()
        self.away.reported(Batch(users, list_complete=complete, unreadable=unreadable), self.scope)
        return set(self.away.locations)

    def _changed(self) -> None:
        self.changes += 1


def test_users_come_go_and_move() -> None:
    """A location exists as long as a user is there."""
    it = Listed()
    assert it.reported(user("1", "berlin"), user("2", "wien"), user("3")) == {"berlin", "wien"}
    assert it.reported(user("4", "berlin")) == {"berlin", "wien"}
    assert it.changes == 1
    assert it.reported(user("2", "berlin")) == {"berlin"}
    assert it.reported(user("1", active=False), user("2")) == {"berlin"}
    assert it.reported(user("4", "berlin", active=False)) == set()
    assert it.changes == 3


def test_a_list_tells_who_is_gone_unless_it_is_torn() -> None:
    """A user whose record was unreadable is still there."""
    it = Listed()
    it.reported(user("1", "berlin"), user("2", "wien"), complete=True)
    it.away.began()
    assert it.reported(user("2", "wien"), torn=True) == {"berlin", "wien"}
    assert it.reported(complete=True) == {"berlin", "wien"}
    it.away.began()
    it.reported(user("2", "wien"))
    assert it.reported(complete=True) == {"wien"}


def test_only_users_who_would_be_published_count() -> None:
    """A location of nobody but hidden users needs no link; and there are not more users than the limit."""
    it = Listed(Scope(users=(Rule(number="2*"),), home=HERE.home, limits=SizeLimits(users=2)))
    assert it.reported(user("1", "berlin"), user("2", "wien", number="21")) == {"wien"}
    assert it.reported(user("3", "oslo", number="22"), user("4", "rome", number="23")) == {"wien", "oslo"}


def test_who_is_at_home() -> None:
    """A master also knows itself by name; a found PBX only by the name that led to it."""
    master = Scope(home=Home(frozenset({""})).also("head"))
    found = Scope(home=Home(frozenset({"", "berlin"}), "hq", "berlin").also("head"))
    anywhere = Scope()
    shown = {
        place: (master.publishes(who), found.publishes(who), anywhere.publishes(who))
        for place in ("", "head", "berlin")
        for who in (user("1", place),)
    }
    assert shown == {"": (True, True, True), "head": (True, False, True), "berlin": (False, True, True)}
    assert [scope.away(user("1", "x")) for scope in (master, found, anywhere)] == [True, True, False]


PLACES = ("head", "berlin", "wien")


@given(
    homes=st.lists(st.sampled_from(PLACES), min_size=1, max_size=8),
    empty_is_master=st.booleans(),
    named=st.booleans(),
)
def test_each_user_of_a_system_is_published_once(
    homes: list[str], *, empty_is_master: bool, named: bool
) -> None:
    """By the PBX where it is at home, whatever an empty location means and whether the master has a name."""

    def seen(at: str, home: str) -> str:
        if empty_is_master:
            return "" if home == "head" else home
        return "" if home == at else home

    master = Home(frozenset({""})).also("head" if named else "")
    own = frozenset[str]() if empty_is_master else frozenset({""})
    links = {"head": Scope(home=master)}
    links |= {at: Scope(home=Home(own | {at}, "hq", at)) for at in PLACES[1:]}
    for guid, home in enumerate(homes):
        records = {at: user(str(guid), seen(at, home)) for at in PLACES}
        assert [at for at, scope in links.items() if scope.publishes(records[at])] == [home]
        assert links["head"].away(records["head"]) is (home != "head")
