"""The configuration's rules that select users. Matches nothing itself: see core/rules.py."""

from typing import Self

from pydantic import model_validator

from bridge.config.types import MisplacedError, Section
from bridge.core.rules import Rule


class RuleSection(Section):
    """One rule; all its keys must match. Values may be glob patterns."""

    group: str | None = None
    active: bool | None = None
    name: str | None = None
    number: str | None = None
    short_name: str | None = None
    type: str | None = None
    exclude: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.active is not None and self.group is None:
            raise MisplacedError("needs group; set it too", "active")
        return self

    def to_rule(self) -> Rule:
        """The rule as the core knows it."""
        return Rule(**self.model_dump())
