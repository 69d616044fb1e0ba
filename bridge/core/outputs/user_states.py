"""The topic `user/<user>/state`: each user now. It is also what the bridge reads back after a crash. Pure."""

from collections.abc import Iterator

from bridge.core import render
from bridge.core.message import Message
from bridge.core.model import Changes
from bridge.core.outputs.output import Output, View


def _tree(view: View) -> Iterator[Message]:
    return (_message(view, guid) for guid in view.state.users)


def _news(_before: View, after: View, changes: Changes) -> Iterator[Message]:
    return (_message(after, guid) for guid in changes.users)


def _topics_of_user(view: View, topic_id: str) -> tuple[str]:
    return (view.topics.user_state(topic_id),)


def _message(view: View, guid: str) -> Message:
    payload = render.user_state(view.state, view.topics.pbx, guid, view.presentation)
    return Message(view.topics.user_state(view.state.topics[guid]), payload, retain=True)


OUTPUT = Output(_news, _tree, _topics_of_user)
