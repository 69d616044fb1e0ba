"""What replies and log lines may quote of the numbers and names that a request is about. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from bridge.core.commands.answer import Address, Answer
from bridge.core.commands.naming import known_user
from bridge.core.model import Call, PbxState
from bridge.core.numbers import dialable, normal
from bridge.core.presentation import TopicClass
from bridge.core.privacy import Privacy, Word


class Discretion:
    """Hides in the words of one request what the configuration does not show, at the state of this moment."""

    def __init__(self, privacy: Privacy, state: PbxState, address: Address) -> None:
        self._privacy = privacy
        self._state = state
        self._address = address
        self._words = tuple(self._quotable()) if privacy.hides else ()

    def reply(self, answer: Answer) -> Answer:
        """The answer as everybody may read it who reads replies."""
        return replace(answer, message=self._sentence(answer.message, TopicClass.RESPONSE))

    def address(self) -> Address:
        """The address as the log may name the request."""
        address = self._address
        if not self._words:
            return address
        dialled = (self._privacy.word(self._word(each), TopicClass.LOG) for each in address.dialled)
        user = address.user and self._privacy.word(self._word(address.user), TopicClass.LOG)
        return replace(address, user=user, dialled=tuple(dialled))

    def reason(self, sentence: str) -> str:
        """The reason as the log may give it."""
        return self._sentence(sentence, TopicClass.LOG)

    def _sentence(self, sentence: str, topic_class: TopicClass) -> str:
        return self._privacy.scrubbed(sentence, self._words, topic_class) if sentence else sentence

    def _quotable(self) -> Iterator[Word]:
        """What the request names, in the spellings that the bridge and the PBX use, and who talks there."""
        named = (*self._address.dialled, self._address.user or "")
        spellings = (spelt for word in named for spelt in (word, dialable(word), normal(word)))
        parties = (party for call in self._calls() for party in call.parties if party is not None)
        known = (word for party in parties for word in (party.number, party.name))
        for text in dict.fromkeys((*spellings, *known)):
            if text:
                yield self._word(text)

    def _word(self, text: str) -> Word:
        names = (("name", text), ("number", dialable(text) or ""))
        known = known_user(self._state, text) is not None or any(name in self._state.names for name in names)
        return Word(text, internal=known)

    def _calls(self) -> tuple[Call, ...]:
        """The calls that the request may be about: the named one, and those of the user."""
        call = None if self._address.call is None else self._state.call(self._address.call)
        user = None if self._address.user is None else known_user(self._state, self._address.user)
        guids = dict.fromkeys(
            (*(() if call is None else (call.user,)), *(() if user is None else (user.guid,)))
        )
        return tuple(each for guid in guids for each in self._state.calls.get(guid, ()))
