"""The section `homeassistant`: which users appear in Home Assistant, and how. Publishes nothing."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from bridge.config.rules import RuleSection
from bridge.config.types import Section, Topic, off_word
from bridge.core.commands.permissions import Permissions
from bridge.core.outputs import home_assistant
from bridge.core.outputs.home_assistant.devices import Discovery, Mode
from bridge.core.outputs.home_assistant.names import DiscoveryTopics
from bridge.core.outputs.output import Output


class HomeAssistant(Section):
    """Discovery by Home Assistant. `users`: who appears; nobody without a rule."""

    discovery: Annotated[Literal["off", "device", "component"], BeforeValidator(off_word)] = "off"
    prefix: Topic = "homeassistant"
    users: tuple[RuleSection, ...] = Field((), strict=False)

    def to_outputs(self, permissions: Permissions, *, forwards: bool) -> tuple[Output, ...]:
        """The output for one PBX, if discovery is on. `forwards`: the PBX is asked for diversions."""
        if self.discovery == "off":
            return ()
        users = tuple(rule.to_rule() for rule in self.users)
        topics = DiscoveryTopics(self.prefix)
        return (home_assistant.output(Discovery(Mode(self.discovery), topics, users, permissions, forwards)),)
