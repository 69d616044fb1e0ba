"""Rules that select users to publish and users to monitor; the first match decides. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bridge.core import topics
from bridge.core.locations import Home
from bridge.core.presentation import PLAIN, Presentation
from bridge.core.records import UserRecord


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the configuration. Every given field must match; texts are glob patterns."""

    group: str | None = None
    active: bool | None = None
    name: str | None = None
    number: str | None = None
    short_name: str | None = None
    type: str | None = None
    exclude: bool = False

    def matches(self, user: UserRecord) -> bool:
        """Whether all given fields match the user."""
        return (
            _fits(self.name, user.name)
            and _fits(self.number, user.number)
            and _fits(self.short_name, user.short_name)
            and _fits(self.type, user.type)
            and self._group_matches(user)
        )

    def _group_matches(self, user: UserRecord) -> bool:
        if self.group is None:
            return True
        return any(
            fnmatchcase(membership.name, self.group) and self.active in (None, membership.active)
            for membership in user.groups
        )


def selects(rules: Sequence[Rule], user: UserRecord) -> bool:
    """Whether the rules select the user. The first matching rule decides.

    Without a match, a list that only excludes selects the user, any other list does not.
    """
    for rule in rules:
        if rule.matches(user):
            return not rule.exclude
    return all(rule.exclude for rule in rules)


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """The greatest number of users and calls of a PBX; the excess is left out and counted.

    A trunk has hundreds of calls at once, so the calls of one user are limited far above those of a phone.
    """

    users: int = 20_000
    calls: int = 5_000
    calls_per_user: int = 1_024


@dataclass(frozen=True, slots=True)
class Scope:
    """The configured view of a PBX: users to publish, users to monitor, topic ids, and parties of calls.

    `forwards`: the forwards of users are read and may be changed. `home`: with locations, whose users are at
    home here; None publishes the users of all locations.
    """

    users: tuple[Rule, ...] = ()
    calls: tuple[Rule, ...] = ()
    user_id: str = "h323"
    encode_dots: bool = False
    limits: SizeLimits = SizeLimits()
    presentation: Presentation = PLAIN
    forwards: bool = False
    home: Home | None = None

    def topic_id(self, record: UserRecord) -> str:
        """The topic level that a user wants."""
        return topics.topic_id(record, self.user_id, dots=self.encode_dots)

    def publishes(self, record: UserRecord) -> bool:
        """Whether the user is published."""
        return self._at_home(record) and selects(self.users, record)

    def away(self, record: UserRecord) -> bool:
        """Whether the user is to be published by the link of another location."""
        return not self._at_home(record) and selects(self.users, record)

    def monitors(self, record: UserRecord) -> bool:
        """Whether the user's calls are published, too."""
        return selects(self.calls, record)

    def _at_home(self, record: UserRecord) -> bool:
        return self.home is None or record.location in self.home.names


def _fits(pattern: str | None, value: str) -> bool:
    return pattern is None or fnmatchcase(value, pattern)
