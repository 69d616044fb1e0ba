"""Two hundred wrong requests of every verb: each gets its precise error, and none reaches the PBX."""

import json
from collections import Counter

import pytest

from bridge.core.commands.permissions import Permissions
from bridge.core.commands.request import LONGEST_ID
from bridge.core.commands.verbs import VERBS
from bridge.core.message import Incoming, Message
from bridge.link.performer import CommandSettings
from tests.kit.desk import Desk
from tests.kit.request_forms import LEGS, OPEN, forms
from tests.kit.wrong_requests import MAKERS, ROOT, RULES, Wrong, wrong_requests

EACH = 200
OFTEN = 6000
STEP_S = 31
"""Seconds between two requests, so that no rate is in the way."""
ALL = Permissions(frozenset(VERBS), RULES)


def desk(permissions: Permissions) -> Desk:
    """Anna has a call, Bert two; every verb is permitted."""
    return Desk(CommandSettings(permissions, OFTEN, OFTEN), LEGS, step_s=STEP_S)


@pytest.mark.parametrize("verb", VERBS)
async def test_what_is_not_wrong_reaches_the_pbx(verb: str) -> None:
    """Else the rest would prove nothing: each smallest request of each verb is carried out."""
    for fields in forms(verb):
        at_work = desk(Permissions(frozenset(VERBS), OPEN))
        (reply,) = _replies(await at_work.offer(_request(verb, fields)))
        at_work.worker.cancel()
        assert at_work.pbx.asked == [verb], reply
    assert forms(verb)


@pytest.mark.parametrize("verb", VERBS)
async def test_each_wrong_request_gets_its_error(verb: str) -> None:
    """Code, words, id, verb; one reply each."""
    at_work = desk(ALL)
    for wrong in wrong_requests(verb, EACH):
        sent = await at_work.offer(wrong.incoming)
        _check(sent, wrong)
        assert at_work.pbx.asked == [], wrong
    assert not at_work.worker.done()
    at_work.worker.cancel()
    assert (at_work.replies, at_work.crashes) == (EACH, [])


def test_the_requests_are_wrong_in_every_way() -> None:
    """All codes that a verb can be refused with; nothing twice."""
    for verb in VERBS:
        codes = Counter(wrong.code for wrong in wrong_requests(verb, EACH))
        assert len({wrong.incoming for wrong in wrong_requests(verb, EACH)}) == EACH
        assert {"malformed", "invalid", "retained", "expired", "unknown_verb"} <= set(codes)
        assert ("unknown_user" in codes) == ("user" in VERBS[verb].fields), verb
    assert len(MAKERS) == len({maker.__name__ for maker in MAKERS})


def _request(verb: str, fields: object) -> Incoming:
    return Incoming(f"{ROOT}/command/{verb}", json.dumps(fields).encode())


def _replies(sent: list[Message]) -> list[dict[str, object]]:
    """The payloads of the replies, without what is retained."""
    return [dict(each.payload) for each in sent if not each.retain and isinstance(each.payload, dict)]


def _check(sent: list[Message], wrong: Wrong) -> None:
    (reply,) = _replies(sent)
    assert (reply["status"], reply["code"]) == ("error", wrong.code), (wrong, reply)
    assert wrong.words in str(reply["message"]), (wrong, reply)
    assert reply["verb"] == wrong.incoming.topic.rpartition("/")[2]
    named = _id(wrong.incoming.payload)
    assert reply["id"] == named, (wrong, reply)


def _id(payload: bytes) -> object:
    """The id in a request, if it is one that can be used."""
    try:
        body = json.loads(payload)
    except ValueError:
        return None
    named = body.get("id") if isinstance(body, dict) else None
    return named if isinstance(named, str) and 0 < len(named) <= LONGEST_ID else None
