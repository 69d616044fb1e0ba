"""How much of a remote party is shown, by its number and by where it is shown. Pure.

A party that was hidden once stays as it is: states are read back after a restart, and shown again.
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from bridge.core.model import RemoteParty
from bridge.core.numbers import dialable, fits, may_fit, normal
from bridge.core.presentation import TopicClass
from bridge.core.value import evolve

MANY_DIGITS = 4
KEPT_DIGITS, KEPT_PART = 3, 3
"""A mask keeps the last three digits, and never more than a third of a number."""
MASK, HASH, MORE = "xxx", "~", "…"
"""How a masked number and a pseudonym begin, and how a masked name ends. Nobody can dial any of them."""


class Shown(enum.StrEnum):
    """How much is shown: all; the last digits and a first letter; a pseudonym; nothing."""

    FULL = "full"
    MASKED = "masked"
    HASHED = "hashed"
    OFF = "off"


_HIDDEN = {
    Shown.MASKED: re.compile(f"{MASK}[0-9]{{0,{KEPT_DIGITS}}}"),
    Shown.HASHED: re.compile(f"{HASH}[0-9a-f]{{16}}"),
}


@dataclass(frozen=True, slots=True)
class PrivacyRule:
    """How much is shown of the parties that fit. A rule is about users of the PBX only if it says `internal`.

    number: a pattern in normal form; None for any number. topics: where; empty for everywhere.
    """

    shown: Shown
    number: str | None = None
    internal: bool = False
    topics: frozenset[TopicClass] = frozenset()

    def is_for(self, topic_class: TopicClass) -> bool:
        """Whether it decides about topics of this class."""
        return not self.topics or topic_class in self.topics

    def fits(self, party: RemoteParty) -> bool:
        """Whether it decides about this party. One that hides must not miss an odd spelling."""
        if self.number is None or fits(party.number, (self.number,)):
            return self.internal == party.internal
        hides = self.shown is not Shown.FULL
        return hides and self.internal == party.internal and may_fit(party.number, self.number)


@dataclass(frozen=True, slots=True)
class Word:
    """A number or a name in a sentence. `internal`: it is that of a user of the PBX.

    number: of the party whose name it is, as rules by number decide about names too.
    """

    text: str
    internal: bool = False
    number: str = ""


@dataclass(frozen=True, slots=True)
class Privacy:
    """The first rule that fits decides. Without one, users of the PBX are readable, and others `shown`.

    `key`: of the pseudonyms. They stay the same as long as it does, and nobody can make them without it.
    """

    shown: Shown = Shown.FULL
    rules: tuple[PrivacyRule, ...] = ()
    key: bytes = field(default=b"", repr=False)

    @property
    def hides(self) -> bool:
        """Whether anything is hidden anywhere."""
        return {self.shown, *(rule.shown for rule in self.rules)} != {Shown.FULL}

    def show(self, party: RemoteParty, topic_class: TopicClass) -> RemoteParty:
        """The last step of a presentation: the party as topics of this class may show it."""
        if not self.hides:
            return party
        before = next((mode for mode, form in _HIDDEN.items() if form.fullmatch(party.number)), None)
        if before is not None:
            return party if before in self._possible(topic_class) else _hidden(party)
        match self._mode(party, topic_class):
            case Shown.FULL:
                return party
            case Shown.MASKED:
                return _hidden(party, _masked(party.number), party.name and party.name[0] + MORE)
            case Shown.HASHED:
                number = self._pseudonym(normal(party.number) or party.number)
                return _hidden(party, number, self._pseudonym(party.name))
        return _hidden(party)

    def scrubbed(self, sentence: str, words: Iterable[Word], topic_class: TopicClass) -> str:
        """The sentence with these words as topics of this class may show them."""
        for word in sorted(words, key=lambda each: len(each.text), reverse=True):
            shown = self.word(word, topic_class)
            if shown != word.text:
                whole = rf"(?<!\w){re.escape(word.text)}(?!\w)"
                sentence = re.sub(whole, lambda _, shown=shown: shown, sentence)  # type: ignore[misc]
        return sentence

    def word(self, word: Word, topic_class: TopicClass) -> str:
        """A number or a name as topics of this class may show it."""
        number = holds_number(word.text)
        party = RemoteParty(
            number=word.text if number else word.number,
            name="" if number else word.text,
            internal=word.internal,
        )
        shown = self.show(party, topic_class)
        return (shown.number if number else shown.name) or MASK

    def _mode(self, party: RemoteParty, topic_class: TopicClass) -> Shown:
        deciding = (rule for rule in self.rules if rule.is_for(topic_class) and rule.fits(party))
        default = Shown.FULL if party.internal else self.shown
        return next((rule.shown for rule in deciding), default)

    def _possible(self, topic_class: TopicClass) -> frozenset[Shown]:
        return frozenset({self.shown, *(rule.shown for rule in self.rules if rule.is_for(topic_class))})

    def _pseudonym(self, text: str) -> str:
        if not text or _HIDDEN[Shown.HASHED].fullmatch(text):
            return text
        return HASH + blake2b(text.encode(errors="replace"), digest_size=8, key=self.key).hexdigest()


def _hidden(party: RemoteParty, number: str = "", name: str = "") -> RemoteParty:
    """What is left of a party. Its topic id would name it."""
    return evolve(party, number=number, name=name, user=None)


def _masked(number: str) -> str:
    digits = "".join(each for each in number if each in "0123456789")
    kept = min(KEPT_DIGITS, len(digits) // KEPT_PART)
    return number and MASK + digits[len(digits) - kept :]


def holds_number(text: str) -> bool:
    """Whether a text is judged as a number: it is one, or it has as many digits as one."""
    return dialable(text) is not None or sum(each.isdecimal() for each in text) >= MANY_DIGITS


OPEN = Privacy()
"""Hides nothing."""
