"""Which shard serves a PBX: one of them, always the same, and few move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.shard import Shard, parse_shard, shard_of

NAMES = [f"pbx-{number}" for number in range(2000)]


@given(name=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,27}", fullmatch=True), shards=st.integers(1, 50))
def test_exactly_one_shard_serves_a_name(name: str, shards: int) -> None:
    """Not none, not two."""
    assert [Shard(index, shards).serves(name) for index in range(shards)].count(True) == 1


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 10, 40])
def test_one_more_shard_moves_only_its_share(shards: int) -> None:
    """About 1/(N+1) of the names move, and all of them to the new shard."""
    moved = [name for name in NAMES if shard_of(name, shards) != shard_of(name, shards + 1)]

    assert {shard_of(name, shards + 1) for name in moved} == {shards}
    share = 1 / (shards + 1)
    assert 0.7 * share < len(moved) / len(NAMES) < 1.3 * share


@pytest.mark.parametrize("shards", [2, 5, 10])
def test_shards_are_of_like_size(shards: int) -> None:
    """No shard has far more or fewer than its share."""
    sizes = [sum(Shard(index, shards).serves(name) for name in NAMES) for index in range(shards)]

    assert min(sizes) > 0.7 * len(NAMES) / shards
    assert max(sizes) < 1.3 * len(NAMES) / shards


def test_the_places_never_change() -> None:
    """These are a promise: another version that places them elsewhere would serve PBXs twice."""
    placed = {
        name: [shard_of(name, shards) for shards in (1, 2, 3, 5, 10)] for name in ("hq", "branch", "a_b-1")
    }

    assert placed == {"hq": [0, 1, 2, 2, 2], "branch": [0, 0, 2, 2, 6], "a_b-1": [0, 0, 0, 3, 3]}


@pytest.mark.parametrize(
    ("text", "host", "shard"),
    [
        ("0/1", "x", Shard(0, 1)),
        ("2/3", "bridge-7", Shard(2, 3)),
        ("auto/3", "bridge-2", Shard(2, 3)),
        ("/12", "bridge-11", Shard(11, 12)),
        ("auto/12", "bridge-10.bridge.phones.svc.cluster.local", Shard(10, 12)),
    ],
)
def test_a_shard_is_given_or_read_from_the_host_name(text: str, host: str, shard: Shard) -> None:
    """As a StatefulSet names its pods."""
    assert parse_shard(text, host) == shard


@pytest.mark.parametrize(
    ("text", "host", "words"),
    [
        ("", "b-0", "expected I/N, like 0/3, or auto/3"),
        ("1", "b-0", "expected I/N"),
        ("-1/3", "b-0", "expected I/N"),
        ("1/3/4", "b-0", "expected I/N"),
        ("a/3", "b-0", "expected I/N"),
        ("²/3", "b-0", "expected I/N"),
        ("0/0", "b-0", "expected 1 to 10000 shards"),
        ("0/10001", "b-0", "expected 1 to 10000 shards"),
        ("3/3", "b-0", "there is no shard 3; the first is 0, the last 2"),
        ("auto/3", "b-3", r"there is no shard 3 \(from the host name 'b-3'\)"),
        ("auto/3", "laptop", "the host name 'laptop' does not end in a number"),
    ],
)
def test_another_text_is_refused_with_a_sentence(text: str, host: str, words: str) -> None:
    """Nobody guesses which shard was meant."""
    with pytest.raises(ValueError, match=words):
        parse_shard(text, host)
