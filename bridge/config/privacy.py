"""The section `privacy`: how much of remote parties is shown. Hides nothing itself: see core/privacy.py."""

from hashlib import sha256
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from bridge.config.commands import NumberPattern
from bridge.config.types import MisplacedError, OnOff, PasswordFile, Section
from bridge.core.presentation import TopicClass
from bridge.core.privacy import Privacy, PrivacyRule, Shown

SHORTEST_KEY = 16
Mode = Annotated[Literal["full", "masked", "hashed", "off"], OnOff]
TopicWord = Literal["state", "event", "response", "log"]


class PrivacyRuleSection(Section):
    """How much is shown of some parties, or in some places."""

    number: NumberPattern | None = None
    internal: bool = False
    topics: tuple[TopicWord, ...] = Field((), strict=False)
    numbers: Mode

    def to_rule(self) -> PrivacyRule:
        """The rule as the core knows it."""
        topics = frozenset(TopicClass(word) for word in self.topics)
        return PrivacyRule(Shown(self.numbers), self.number, self.internal, topics)


class PrivacySection(Section):
    """How much is shown of the numbers and names of remote parties. The first rule that fits decides."""

    numbers: Mode = "full"
    rules: tuple[PrivacyRuleSection, ...] = Field((), strict=False)
    key_file: PasswordFile | None = None

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        hashes = "hashed" in {self.numbers, *(rule.numbers for rule in self.rules)}
        if hashes and self.key_file is None:
            raise MisplacedError("hashed needs a secret key, so that nobody can try all numbers", "key_file")
        if self.key_file is not None and len(self._key) < SHORTEST_KEY:
            raise MisplacedError(f"the key must have at least {SHORTEST_KEY} characters", "key_file")
        return self

    @property
    def _key(self) -> str:
        return self.key_file.get_secret_value() if isinstance(self.key_file, SecretStr) else ""

    def to_privacy(self) -> Privacy:
        """The rules as the core knows them."""
        key = sha256(self._key.encode()).digest() if self._key else b""
        return Privacy(Shown(self.numbers), tuple(rule.to_rule() for rule in self.rules), key)
