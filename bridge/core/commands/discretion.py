"""What replies and log lines may quote of the numbers and names that a request is about. Pure."""

import re
from collections.abc import Iterator
from dataclasses import replace

from bridge.core.commands.answer import Address, Answer
from bridge.core.commands.naming import known_user
from bridge.core.model import Call, PbxState
from bridge.core.numbers import dialable, normal
from bridge.core.presentation import TopicClass
from bridge.core.privacy import Privacy, Word, holds_number

_QUOTED = re.compile("'([^']+)'")


class Discretion:
    """Hides in the words of one request what the configuration does not show, at the state of this moment."""

    def __init__(self, privacy: Privacy, state: PbxState, address: Address) -> None:
        self._privacy = privacy
        self._state = state
        self._address = address
        self._words = tuple(self._quotable()) if privacy.hides else ()

    def reply(self, answer: Answer) -> Answer:
        """The answer as everybody may read it who reads replies. An unknown verb may be a number."""
        if not self._privacy.hides:
            return answer
        verb = self._quoted(answer.address.verb, TopicClass.RESPONSE)
        message = self._sentence(answer.message, TopicClass.RESPONSE)
        return replace(answer, address=replace(answer.address, verb=verb), message=message)

    def address(self) -> Address:
        """The address as the log may name the request."""
        address = self._address
        if not self._privacy.hides:
            return address
        dialled = (self._privacy.word(self._word(each), TopicClass.LOG) for each in address.dialled)
        user = address.user and self._privacy.word(self._word(address.user), TopicClass.LOG)
        call = address.call and self._quoted(address.call, TopicClass.LOG)
        return replace(address, user=user, call=call, dialled=tuple(dialled))

    def reason(self, sentence: str) -> str:
        """The reason as the log may give it."""
        return self._sentence(sentence, TopicClass.LOG)

    def _sentence(self, sentence: str, topic_class: TopicClass) -> str:
        """Without what the request names, and without any other number that is quoted."""
        if not sentence or not self._privacy.hides:
            return sentence
        told = self._privacy.scrubbed(sentence, self._words, topic_class)
        return _QUOTED.sub(lambda found: f"'{self._quoted(found[1], topic_class)}'", told)

    def _quoted(self, text: str, topic_class: TopicClass) -> str:
        """The id of a call has digits and is no number."""
        is_call = text.startswith(f"{self._state.epoch}-") or self._state.call(text) is not None
        if is_call or not self._privacy.hides or not holds_number(text):
            return text
        return self._privacy.word(self._word(text), topic_class)

    def _quotable(self) -> Iterator[Word]:
        """What the request names, in the spellings that the bridge and the PBX use, and who talks there."""
        users = (each for each in self._address.named if self._state.call(each) is None)
        named = (*self._address.dialled, self._address.user or "", *users)
        spellings = (spelt for word in named for spelt in (word, dialable(word), normal(word)))
        words = [self._word(text) for text in dict.fromkeys(spellings) if text]
        parties = (party for call in self._calls() for party in call.parties if party is not None)
        for party in dict.fromkeys(parties):
            known = (party.number, party.name)
            words += (replace(self._word(text), number=party.number) for text in known if text)
        return iter(dict.fromkeys(words))

    def _word(self, text: str) -> Word:
        names = (("name", text), ("number", dialable(text) or ""))
        known = known_user(self._state, text) is not None or any(name in self._state.names for name in names)
        return Word(text, internal=known)

    def _calls(self) -> tuple[Call, ...]:
        """The calls that the request may be about: all of the users that it names, or whose call it names."""
        address = self._address
        named = tuple(filter(None, (address.call, address.user, *address.named)))
        calls = (self._state.call(each) for each in named)
        users = (known_user(self._state, each) for each in named)
        guids = (*(call.user for call in calls if call), *(user.guid for user in users if user))
        return tuple(each for guid in dict.fromkeys(guids) for each in self._state.calls.get(guid, ()))
