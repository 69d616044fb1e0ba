"""A throw-away output: how many calls each user has missed, as a number on a topic of its own, and a bell."""

from collections.abc import Iterator

from bridge.core.message import Message
from bridge.core.model import Changes, EventType
from bridge.core.outputs.output import Output, View


def _topics_of_user(view: View, topic_id: str) -> tuple[str, str]:
    topics = view.topics
    return f"{topics.root}/missed/{topic_id}", f"elsewhere/{topics.pbx}-{topic_id}/config"


def _tree(view: View) -> Iterator[Message]:
    return (message for guid in view.state.users for message in _messages(view, guid))


def _news(_before: View, after: View, changes: Changes) -> Iterator[Message]:
    for guid in changes.users:
        yield from _messages(after, guid)
    for event in changes.events:
        if event.type is EventType.MISSED:
            yield Message(f"{after.topics.root}/bell", {"user": event.user_topic})


def _messages(view: View, guid: str) -> Iterator[Message]:
    missed, config = _topics_of_user(view, view.state.topics[guid])
    yield Message(missed, str(view.state.users[guid].missed), retain=True)
    yield Message(config, "{}", retain=True)


OUTPUT = Output(_news, _tree, _topics_of_user)
