"""The topic `user/<user>/event`: what happens to the calls of a user, in order. Never retained. Pure."""

from collections.abc import Iterator

from bridge.core import render
from bridge.core.message import Message
from bridge.core.model import Changes
from bridge.core.outputs.output import Output, View


def _news(_before: View, after: View, changes: Changes) -> Iterator[Message]:
    for event in changes.events:
        payload = render.event(event, after.state.epoch, after.topics.pbx, after.presentation)
        yield Message(after.topics.user_event(event.user_topic), payload)


OUTPUT = Output(_news)
