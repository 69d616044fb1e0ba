"""Which links a round measures: those in which something happens, each of the others at its turn."""

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.core.status import LinkState
from bridge.ops.bugs import Bugs
from bridge.ops.health import Health, LinkStatus, SessionStatus
from bridge.ops.rounds import TURNS, Rounds

UP = SessionStatus(up=True, reason="", since_ms=0)


class Link:
    """A link that counts how often it was measured."""

    def __init__(self, name: str) -> None:
        self.pulse: object = "at rest"
        self.ready = True
        self.count = 0
        self.silent: tuple[str, ...] = ()
        self.status = LinkStatus(name, LinkState.ONLINE, UP, UP, "", 1, 0, 0, {}, (), "")

    def measure(self) -> None:
        """Somebody measures it."""
        self.count += 1

    def stuck(self) -> tuple[str, ...]:
        """Its parts without progress."""
        return self.silent


class Broken(Link):
    """One that has a bug in everything that a round asks."""

    @property
    def pulse(self) -> object:
        """Fails."""
        raise RuntimeError("planted")

    @pulse.setter
    def pulse(self, _: object) -> None:
        return

    @property
    def status(self) -> LinkStatus:
        """Fails."""
        raise RuntimeError("planted")

    @status.setter
    def status(self, _: LinkStatus) -> None:
        return


@contextmanager
def rounds_of(*links: Link) -> Iterator[tuple[Rounds, Health, list[str]]]:
    """The rounds of some links, the first of them done; the health and the PBXs that had a bug."""
    bugs: list[str] = []
    health = Health()
    rounds = Rounds(health, Bugs(bugs.append))
    rounds.go({str(number): link for number, link in enumerate(links)}, {})
    yield rounds, health, bugs


def test_an_idle_link_is_measured_now_and_then() -> None:
    """Each at its own turn, so that a thousand cost the same at each round."""
    links = {str(number): Link(str(number)) for number in range(3 * TURNS)}
    rounds = Rounds(Health(), Bugs(lambda _: None))
    rounds.go(links, {})
    assert {link.count for link in links.values()} == {1}
    for number in range(1, TURNS + 1):
        rounds.go(links, {})
        assert sum(link.count - 1 for link in links.values()) == 3 * number
    assert {link.count for link in links.values()} == {2}


def test_a_link_in_which_something_happens_is_measured_at_once() -> None:
    """A new pulse once, and no pulse each time; another link of the same name as well."""
    idle, busy = Link("0"), Link("1")
    links = {"0": idle, "1": busy}
    with rounds_of(idle, busy) as (rounds, health, _):
        busy.pulse, busy.ready, busy.silent = None, False, ("poll",)
        for _ in range(3):
            rounds.go(links, {"2": False})
        assert (idle.count, busy.count) == (1, 4)
        assert (health.links, health.stuck) == ({"0": True, "1": False, "2": False}, {"1": ("poll",)})
        busy.pulse, busy.ready, busy.silent = "new", True, ()
        for _ in range(2):
            rounds.go(links, {})
        assert (busy.count, health.links, health.moving) == (5, {"0": True, "1": True}, True)
        other = Link("1")
        rounds.go({"0": idle, "1": other}, {})
        assert other.count == 1
        rounds.go({"0": idle}, {})
        assert [status.pbx for status in health.statuses] == ["0"]


def test_a_stuck_link_is_measured_each_round() -> None:
    """Nothing else says that it moves again."""
    link = Link("0")
    link.silent = ("poll",)
    with rounds_of(Link("a"), link) as (rounds, health, _):
        rounds.go({"0": Link("a"), "1": link}, {})
        assert (link.count, health.stuck) == (2, {"1": ("poll",)})
        link.silent = ()
        rounds.go({"0": Link("a"), "1": link}, {})
        assert (link.count, dict(health.stuck)) == (3, {})


def test_a_bug_in_one_link_hides_no_other(bugs: list[BaseException]) -> None:
    """It is reported at each round, and the link counts as not ready to serve only if it says so."""
    broken, well = Broken("0"), Link("1")
    with rounds_of(broken, well) as (rounds, health, counted):
        rounds.go({"0": broken, "1": well}, {})
        assert counted == ["0"] * 4
        bugs.clear()
        assert ([status.pbx for status in health.statuses], health.links) == (["1"], {"0": True, "1": True})
