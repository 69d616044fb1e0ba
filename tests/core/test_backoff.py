"""A herd of links with the real delays, in time that is only counted."""

import heapq
from itertools import count
from random import Random

import pytest

from bridge.core.backoff import LEAST_PER_S, Spread, delays

OUTAGE_S, REFUSED_S, ACCEPTED_S = 30.0, 0.005, 0.05


def herd(links: int, seed: int) -> list[float]:
    """When each of these links connects after the broker has come back, with all of them in one process."""
    random = Random(seed)  # noqa: S311  (an outage that can be repeated)
    spread, back_s = Spread(), OUTAGE_S
    spread.among(links)
    waits = [delays(random.random) for _ in range(links)]
    order = count()
    queue = [(next(wait), next(order), "ask", wait) for wait in waits]
    heapq.heapify(queue)
    online = list[float]()
    while len(online) < links:
        now_s, _, what, wait = heapq.heappop(queue)
        if what == "ask":
            heapq.heappush(queue, (now_s + spread.wait_s(now_s), next(order), "connect", wait))
        elif now_s < back_s:
            heapq.heappush(queue, (now_s + REFUSED_S + next(wait), next(order), "ask", wait))
        else:
            online.append(now_s + ACCEPTED_S - back_s)
    return sorted(online)


def busiest(moments: list[float]) -> int:
    """The most of them within any second; they are sorted."""
    first = most = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("links", [300, 1000, 3000])
def test_a_thousand_links_come_back_spread(links: int, seed: int) -> None:
    """No second sees more than 15 % of them, and all are there soon."""
    moments = herd(links, seed)
    assert busiest(moments) <= 0.15 * links
    assert moments[-1] <= 15


@pytest.mark.parametrize("links", [1, 20])
def test_few_links_do_not_wait_for_each_other(links: int) -> None:
    """A broker that returns has the whole tree within five seconds."""
    assert herd(links, 1)[-1] <= 4


def test_moments_are_not_saved_up() -> None:
    """After a quiet hour the first link goes at once and the next ones are spread all the same."""
    spread = Spread()
    assert [spread.wait_s(3600.0) for _ in range(3)] == pytest.approx([0, 1 / LEAST_PER_S, 2 / LEAST_PER_S])
