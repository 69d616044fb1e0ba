"""What `check` finds: in files; with --connect, at every PBX and the broker, once. Leaves no trace."""

import asyncio
import sys
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from bridge.build import Builder
from bridge.config.found import FoundPbx, served
from bridge.config.schema import Config, Pbx
from bridge.core.records import UserRecord
from bridge.core.rights import Lack, Right, excess, lacks, needed, unknown
from bridge.core.topics import Topics
from bridge.errors import LinkError
from bridge.link.survey import Survey, survey
from bridge.locations.survey import located, own_location
from bridge.mqtt.settings import BrokerSettings
from bridge.mqtt.shared_id import ONE_ID, one_id_for_all
from bridge.mqtt.trial import TrialResult, try_out
from bridge.ops import phonebook

LIST_S = 20.0
ASKED_FOR = 3
OK, WARN, FAIL = "ok", "warn", "FAIL"
NARROWER = "config/examples has the rights that it needs"


class Line(NamedTuple):
    """One line of the report. `word` is ok, warn or FAIL."""

    word: str
    text: str


def doubts(config: Config) -> Iterator[str]:
    """What may be wrong with the files that a configuration names, and does not keep the bridge from work.

    The bridge itself finds it later: it must not wait for a disk.
    """
    file, written = config.phonebook.file, config.dial_plan.to_plan().written
    found = None if file is None else phonebook.doubt(file, written)
    if found is not None:
        yield f"phonebook.file: {file}: {found}"


async def check(config: Config, builder: Builder | None = None) -> list[Line]:
    """Log in to each PBX and its broker, and report whether that works and which rights are wrong."""
    builder = builder or Builder(config)
    one_id = await _one_id_for_all(builder, config)
    found, left_out = await _locations(builder, config)
    pbxs = (*config.pbxs, *found)
    checks = [work for pbx in pbxs for work in _checks(builder, pbx, config, one_id=one_id, pbxs=pbxs)]
    return [line for lines in await asyncio.gather(*checks) for line in lines] + left_out


async def _locations(builder: Builder, config: Config) -> tuple[Sequence[FoundPbx], list[Line]]:
    """The PBXs that the masters lead to, and a line for each location that would be left out."""
    masters = [pbx for pbx in config.pbxs if pbx.locations]
    surveys = await asyncio.gather(*(_addresses(builder, pbx) for pbx in masters))
    by_master = {pbx.name: found for pbx, found in zip(masters, surveys, strict=True)}
    pbxs, left_out = served(config, masters, {name: good for name, (good, _) in by_master.items()})
    left_out |= {(name, each): why for name, (_, bad) in by_master.items() for each, why in bad.items()}
    start = "{}: location {}: left out: "
    return pbxs, [Line(WARN, start.format(*place) + why) for place, why in sorted(left_out.items())]


async def _addresses(builder: Builder, master: Pbx) -> tuple[dict[str, str], dict[str, str]]:
    """The addresses of its locations, and why others have none that can be used."""
    with suppress(LinkError):  # the check of the master tells
        async with builder.backend(master).sessions()(0) as session:
            return await survey(session, sys.maxsize, partial(located, master), within_s=LIST_S)
    return {}, {}


async def _one_id_for_all(builder: Builder, config: Config) -> bool:
    """Whether the broker gives all clients one id. Asked only once, as it disconnects a running bridge.

    Other errors are ignored here: the check of each broker reports them.
    """
    first = config.pbxs[0]
    with suppress(LinkError):
        return await one_id_for_all(builder.brokers(first)[0], Topics(config.mqtt.base_topic, first.name))
    return False


def _checks(
    builder: Builder, pbx: Pbx, config: Config, *, one_id: bool, pbxs: Sequence[Pbx]
) -> Iterator["asyncio.Future[list[Line]]"]:
    for place in range(len(builder.backend(pbx).addresses)):
        yield asyncio.ensure_future(_check_pbx(builder, pbx, place))
    for place, settings in enumerate(builder.brokers(pbx)):
        found = _check_broker(builder, pbx, config, settings, one_id=one_id, pbxs=pbxs)
        yield asyncio.ensure_future(_of_standby(found) if place else found)


async def _of_standby(found: Coroutine[None, None, list[Line]]) -> list[Line]:
    """A standby may be away as long as it is not needed: that is a warning."""
    return [line._replace(word=WARN if line.word == FAIL else line.word) for line in await found]


async def _check_pbx(builder: Builder, pbx: Pbx, place: int) -> list[Line]:
    start = f"{pbx.name}: standby PBX {place}: " if place else f"{pbx.name}: PBX: "
    question = partial(_seen, pbx, start)
    try:
        async with builder.backend(pbx).sessions()(place) as session:
            return [await survey(session, sys.maxsize, question, within_s=LIST_S)]
    except LinkError as error:
        return [Line(WARN if place else FAIL, start + error.reason)]


async def _seen(pbx: Pbx, start: str, found: Survey) -> Line:
    """How many users the session sees, and whether it may do with them what is configured."""
    listed = await found.listed()
    home = None if pbx.home is None else pbx.home.also(found.about.location)
    users = [user for user in listed if home is None or user.location in home.names]
    sentence = await _calls(pbx.session_user, users, found)
    if pbx.forwards and users and not await found.reads_forwards(users[0]):
        reason = f"cannot read forwards, which takes an administrator's account: {found.refusal}"
        return Line(WARN, f"{start}{sentence}; {reason}")
    if home is not None and (doubt := own_location(home, {user.location for user in listed})):
        return Line(WARN, f"{start}{sentence}; {doubt}")
    return Line(OK, start + sentence)


async def _calls(session_user: str, users: Sequence[UserRecord], found: Survey) -> str:
    """A single user may be refused for a reason of its own, so a few are tried."""
    start = f"firmware {found.about.firmware or 'unknown'}"
    others = [user for user in users if user.name != session_user]
    if not others:
        return f"{start}, sees no user but itself: make '{session_user}' an active member of a group"
    for user in others[:ASKED_FOR]:
        if await found.may_monitor(user):
            return f"{start}, {len(users)} visible users, may monitor and control their calls"
    return f"{start}, {len(users)} visible users, cannot monitor and control their calls: {found.refusal}"


async def _check_broker(
    builder: Builder, pbx: Pbx, config: Config, settings: BrokerSettings, *, one_id: bool, pbxs: Sequence[Pbx]
) -> list[Line]:
    topics = Topics(config.mqtt.base_topic, pbx.name)
    start = f"{pbx.name}: broker {settings.place}: "
    if one_id and len(pbxs) > 1:
        return [Line(FAIL, start + ONE_ID)]
    elsewhere = config.commands.response_topics
    consumers = builder.consumers(pbx)
    trial_topics = needed(topics, dots=not config.mqtt.encode_dots, elsewhere=elsewhere, consumers=consumers)
    try:
        outcome = await try_out(settings, topics, trial_topics, one_id=one_id)
    except LinkError as error:
        return [Line(FAIL, f"{pbx.name}: {error.reason}")]
    who = "the bridge" if settings.username is None else f"user '{settings.username}'"
    lines = [Line(WARN, ONE_ID)] if one_id else []
    lines += _missing(lacks(trial_topics, outcome.seen), who)
    more = excess(topics, outcome.seen, [each.name for each in pbxs], elsewhere, consumers)
    if more:
        reason = f"{who} has rights that the bridge does not need: {', '.join(more)}; {NARROWER}"
        lines.append(Line(WARN, reason))
    open_questions = _open_questions(outcome, unknown(trial_topics, outcome.seen))
    if not any(line.word == FAIL for line in lines):
        summary = f"MQTT {outcome.protocol}, may publish and hear commands"
        lines.insert(0, Line(OK, "; ".join([summary, *outcome.notes, *open_questions])))
    else:
        lines += [Line(WARN, question) for question in open_questions]
    return [Line(word, start + text) for word, text in lines]


def _missing(found: Iterable[Lack], who: str) -> Iterator[Line]:
    for lack in found:
        right = lack.right
        reason = f"{who} may not {right.access} {right.pattern} ({right.purpose}): {lack.evidence}"
        yield Line(FAIL if right.needed else WARN, f"{reason}; {right.remedy}")


def _open_questions(outcome: TrialResult, rights: Iterable[Right]) -> list[str]:
    """The rights that could not be tried, in a sentence if there are any."""
    names = ", ".join(f"{each.access} {each.pattern}" for each in rights)
    why = "not tried, as a bridge serves the PBX" if outcome.served else "not known"
    return [f"{why}: {names}"] if names else []
