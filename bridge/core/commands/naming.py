"""Finds the user that a request names, or suggests one with a similar name. Pure."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice

from bridge.core import topics
from bridge.core.model import PbxState, User
from bridge.core.topics import TopicId
from bridge.errors import CommandError

LONGEST_GUESS, GUESSED_AMONG, TYPING_SLIPS = 32, 100, 2
"""Comparing names costs time that grows with their length and number, and a stranger chooses the name."""
SEARCHED = 2_000
"""How many users are looked at for a suggestion, so that a wrong name does not hold up a large PBX."""


def known_user(state: PbxState, name: str) -> User | None:
    """The user with this topic id or, not encoded, this name. A TopicId finds only the user of that topic."""
    if isinstance(name, TopicId):
        return state.user_of(name)
    levels = (name, topics.encode(name), topics.encode(name, dots=True))
    return next((user for level in levels if (user := state.user_of(level))), None)


def find_user(state: PbxState, pbx: str, name: str) -> User:
    """The user of this name. Raises CommandError(unknown_user), with a suggestion if a name is similar."""
    user = known_user(state, name)
    if user is None:
        close = _called(state, name) or closest(name, _alike(state, name))
        hint = f" (did you mean '{close}'?)" if close else ""
        raise CommandError("unknown_user", f"no user '{name}' on {pbx}{hint}")
    return user


def closest(word: str, known: Iterable[str]) -> str | None:
    """The most similar known word, if any, in bounded time."""
    if len(word) > LONGEST_GUESS:
        return None
    return next(iter(get_close_matches(word, islice(known, GUESSED_AMONG), n=1)), None)


def _called(state: PbxState, name: str) -> str | None:
    """The topic id of the user with this long or display name."""
    for guid in state.names.get(("name", name), ()):
        return state.topics[guid]
    wanted = name.casefold()
    named = (
        state.topics[guid]
        for guid, user in islice(state.users.items(), SEARCHED)
        if wanted in {user.record.name.casefold(), user.record.display_name.casefold()}
    )
    return next(named, None)


def _alike(state: PbxState, name: str) -> Iterator[str]:
    """Topic ids with the same first letter and nearly the same length."""
    first, length = name[:1].lower(), len(name)
    return (
        topic
        for topic in islice(state.topics.values(), SEARCHED)
        if topic[:1].lower() == first and abs(len(topic) - length) <= TYPING_SLIPS
    )
