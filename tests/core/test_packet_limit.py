"""The largest packet that a broker takes, learned from sessions that it ended."""

from bridge.core.blame import SET_ASIDE_S
from bridge.core.message import BrokerLimits
from bridge.core.packet_limit import SMALL_BYTES, PacketLimit

LARGE = 4 * SMALL_BYTES


def test_nothing_is_learned_before_a_session_ends() -> None:
    """The broker's own limit counts, and no hour ends."""
    limit, announced = PacketLimit(), BrokerLimits(maximum_packet_bytes=10)

    assert limit.lower(announced, 0.0) is announced
    assert not limit.has_expired(10 * SET_ASIDE_S)


def test_a_small_packet_is_not_too_large() -> None:
    """Its topic is forbidden, then."""
    limit = PacketLimit()

    assert not limit.blame(SMALL_BYTES, 0.0)
    assert limit.blame(SMALL_BYTES + 1, 0.0)


def test_a_packet_is_not_too_large_if_a_larger_one_was_taken() -> None:
    """The largest of all counts, not the latest."""
    limit = PacketLimit()
    limit.taken(LARGE)
    limit.taken(1)

    assert not limit.blame(LARGE, 0.0)
    assert limit.lower(BrokerLimits(), 0.0) == BrokerLimits()
    assert limit.blame(LARGE + 1, 0.0)


def test_what_is_learned_holds_for_an_hour() -> None:
    """A lower limit that the broker announces counts all the same; the end of the hour comes once."""
    limit = PacketLimit()
    limit.blame(LARGE, 5.0)

    assert limit.lower(BrokerLimits(), 6.0).maximum_packet_bytes == LARGE - 1
    assert limit.lower(BrokerLimits(maximum_packet_bytes=100), 6.0).maximum_packet_bytes == 100
    assert not limit.has_expired(4.0 + SET_ASIDE_S)
    assert limit.lower(BrokerLimits(), 5.0 + SET_ASIDE_S) == BrokerLimits()
    assert [limit.has_expired(5.0 + SET_ASIDE_S), limit.has_expired(5.0 + SET_ASIDE_S)] == [True, False]
