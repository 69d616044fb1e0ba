"""The echo of a deletion is passed over, once and soon; somebody's command is not."""

from bridge.core.echoes import ECHO_S, ECHOES_AT_MOST, Echoes
from bridge.core.message import Message
from bridge.core.outbox import Limits, Outbox


def test_an_echo_before_or_after_the_acknowledgement() -> None:
    """Mosquitto sends it before; others afterwards. The next empty message is a command."""
    echoes = Echoes()
    echoes.sent("before")
    assert [echoes.is_echo("before", 100.0), echoes.is_echo("before", 100.0)] == [True, False]
    echoes.acknowledged("before", 100.0)
    assert not echoes.is_echo("before", 100.0)

    echoes.sent("after")
    echoes.acknowledged("after", 100.0)
    assert not echoes.is_missing(100.0 + ECHO_S)
    assert [echoes.is_echo("after", 100.0 + ECHO_S), echoes.is_echo("after", 100.0)] == [True, False]


def test_an_echo_that_does_not_come() -> None:
    """After two seconds nothing is taken for it, and it is known that the broker ignores deletions."""
    for looked in (True, False):
        echoes = Echoes()
        echoes.sent("ignored")
        assert not echoes.is_missing(1000.0)
        echoes.acknowledged("ignored", 1000.0)
        late_s = 1000.1 + ECHO_S
        if looked:
            assert [echoes.is_missing(late_s), echoes.is_missing(late_s)] == [True, False]
        assert not echoes.is_echo("ignored", late_s)
    assert not echoes.is_echo("other", 0.0)


def test_expectations_are_bounded() -> None:
    """Those of the latest deletions count, however long their topics are."""
    echoes = Echoes()
    for number in range(ECHOES_AT_MOST + 1):
        echoes.sent(f"{number}{'x' * 1000}")
    assert [echoes.is_echo(f"{number}{'x' * 1000}", 0.0) for number in (0, 1, ECHOES_AT_MOST)] == [
        False,
        True,
        True,
    ]


def test_deletions_that_are_ignored_rest() -> None:
    """They are not sent; replies are."""
    outbox = Outbox(Limits())
    outbox.pause_erasures(60.0)
    outbox.put_erasure("c", 59.0)
    outbox.put_reply(Message("r", None), 59.0)
    outbox.put_erasure("c", 60.0)
    sent = [outbox.take(60.0), outbox.take(60.0)]
    assert [item and item[1].topic for item in sent] == ["r", "c"]
