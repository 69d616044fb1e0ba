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
        """The output for one PBX. `forwards`: the PBX is asked for diversions.

        If discovery is off because somebody wrote so, it may have been on before.
        """
        topics = DiscoveryTopics(self.prefix)
        if self.discovery == "off":
            return (home_assistant.withdrawal(topics),) if "discovery" in self.model_fields_set else ()
        users = tuple(rule.to_rule() for rule in self.users)
        return (home_assistant.output(Discovery(Mode(self.discovery), topics, users, permissions, forwards)),)
