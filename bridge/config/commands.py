"""The section `commands`: which verbs, numbers and reply topics are allowed. Checks no command itself."""

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from bridge.config.rules import RuleSection
from bridge.config.types import Section, shaped
from bridge.core.commands import reply_topics
from bridge.core.commands.dialling import EMERGENCY, LONGEST, OUTSIDE_LINE, PHONES, DialRules
from bridge.core.commands.permissions import Form, Grant, Permissions
from bridge.core.commands.verbs import SETS, VERBS
from bridge.core.numbers import pattern


def _known_verb(name: str) -> str:
    """Refuse an unknown verb: a configuration for another version may name it."""
    if name in VERBS or name in SETS:
        return name
    known = (*SETS, *VERBS)
    close = get_close_matches(name, known, n=1)
    hint = f" (did you mean '{close[0]}'?)" if close else f"; known: {', '.join(known)}"
    raise ValueError(f"this version has no such verb{hint}")


def _verbs(allow: "tuple[str | GrantSection, ...]") -> "tuple[str | GrantSection, ...]":
    """Replace sets by their verbs, each verb once."""
    words = [name for name in allow if isinstance(name, str)]
    verbs = dict.fromkeys(verb for name in words for verb in SETS.get(name, (name,)))
    return (*verbs, *(grant for grant in allow if not isinstance(grant, str)))


def _tag(value: object) -> str:
    """The kind of an entry of `allow`; an invalid one counts as a word."""
    return "<rule>" if isinstance(value, dict | GrantSection) else "<word>"


ReplyPattern = Annotated[str, AfterValidator(reply_topics.pattern)]
NumberPattern = Annotated[str, AfterValidator(pattern)]
ShortNumber = Annotated[str, shaped("[0-9]{1,6}", "one to six digits, in quotes")]
VerbOrSet = Annotated[str, AfterValidator(_known_verb)]


class Numbers(Section):
    """Which numbers commands may call: see core/numbers.py and core/commands/dialling.py.

    `emergency` adds to the built-in numbers; `outside_line`: the prefixes for an outside line.
    """

    allow: tuple[NumberPattern, ...] = Field((), strict=False)
    deny: tuple[NumberPattern, ...] = Field((), strict=False)
    emergency: tuple[ShortNumber, ...] = Field((), strict=False)
    outside_line: tuple[ShortNumber, ...] = Field(OUTSIDE_LINE, strict=False)
    longest: int = Field(LONGEST, ge=3, le=64)


class GrantSection(Section):
    """Verbs that are allowed for some users, or on one form of topic, only."""

    verbs: Annotated[tuple[VerbOrSet, ...], AfterValidator(_verbs)] = Field(strict=False, min_length=1)
    users: tuple[RuleSection, ...] = Field((), strict=False)
    topic: Literal["user", "pbx", "any"] = "any"

    def to_grant(self) -> Grant:
        """The grant as the core knows it."""
        return Grant(frozenset(self.verbs), tuple(rule.to_rule() for rule in self.users), Form(self.topic))


Allowed = Annotated[
    Annotated[VerbOrSet, Tag("<word>")] | Annotated[GrantSection, Tag("<rule>")], Discriminator(_tag)
]


class Commands(Section):
    """Which commands are allowed. `allow` lists verbs and sets; sets are replaced by their verbs."""

    allow: Annotated[tuple[Allowed, ...], AfterValidator(_verbs)] = Field(SETS["basic"], strict=False)
    numbers: Numbers = Numbers()
    from_numbers: tuple[NumberPattern, ...] = Field((), strict=False)
    facilities: tuple[Annotated[int, Field(ge=0, le=999)], ...] = Field((), strict=False)
    types: tuple[Annotated[str, Field(max_length=64)], ...] = Field(tuple(PHONES), strict=False)
    response_topics: tuple[ReplyPattern, ...] = Field((), strict=False)
    rate_per_minute: int = Field(60, ge=1, le=6000)
    calls_per_user_per_minute: int = Field(10, ge=1, le=6000)
    clear_cause: int = Field(26, ge=1, le=127)
    sender_property: str = Field("", max_length=128)

    def to_permissions(self) -> Permissions:
        """The permissions as the core knows them."""
        words = frozenset(name for name in self.allow if isinstance(name, str))
        grants = tuple(grant.to_grant() for grant in self.allow if not isinstance(grant, str))
        return Permissions(words, self.to_rules(), grants)

    def to_rules(self) -> DialRules:
        """The rules of dialling as the core knows them."""
        return DialRules(
            allow=self.numbers.allow,
            deny=self.numbers.deny,
            from_numbers=self.from_numbers,
            facilities=frozenset(self.facilities),
            types=frozenset(self.types),
            emergency=EMERGENCY | frozenset(self.numbers.emergency),
            outside_line=self.numbers.outside_line,
            longest=self.numbers.longest,
        )
