"""Discovery by Home Assistant: the retained messages by which it finds a PBX and its users. Pure.

Home Assistant reads states and events from the topics of the other outputs: there is no second copy.
"""

from collections.abc import Iterable, Iterator

from bridge.core.message import Json, Message
from bridge.core.model import Changes
from bridge.core.outputs.home_assistant import devices, found
from bridge.core.outputs.home_assistant.devices import Discovery
from bridge.core.outputs.home_assistant.names import DiscoveryTopics
from bridge.core.outputs.output import Output, View


def output(discovery: Discovery) -> Output:
    """The output for one PBX."""

    def tree(view: View) -> Iterator[Message]:
        yield from _wanted(devices.of_pbx(discovery, view))
        for guid in view.state.users:
            yield from _wanted(devices.of_user(discovery, view, guid))

    def news(before: View, after: View, changes: Changes) -> Iterator[Message]:
        if before.about != after.about:
            yield from _wanted(devices.of_pbx(discovery, after))
        for guid in changes.users:
            if _identity(before, guid) != _identity(after, guid):
                yield from _changed(_of_user(discovery, before, guid), _of_user(discovery, after, guid))

    def topics_of_user(view: View, topic_id: str) -> Iterable[str]:
        user = view.state.user_of(topic_id)
        if user is None or not discovery.exposes(user.record):
            return ()
        return devices.topics_of_user(discovery, view.topics, user.guid)

    return Output(news, tree, topics_of_user, lambda topics: found.consumer(discovery, topics))


def withdrawal(prefix: DiscoveryTopics) -> Output:
    """The output for one PBX once discovery is off: it says nothing, and erases what an earlier run said."""
    return Output(lambda *_: (), consumer=lambda topics: found.former(prefix, topics))


def _of_user(discovery: Discovery, view: View, guid: str) -> dict[str, Json | None]:
    return devices.of_user(discovery, view, guid) if guid in view.state.users else {}


def _wanted(messages: dict[str, Json | None]) -> Iterator[Message]:
    return (
        Message(topic, payload, retain=True) for topic, payload in messages.items() if payload is not None
    )


def _changed(before: dict[str, Json | None], after: dict[str, Json | None]) -> Iterator[Message]:
    """What to publish, and what to erase first."""
    for topic, payload in before.items():
        if payload is not None and after.get(topic) is None:
            yield Message(topic, None, retain=True)
    for topic, payload in after.items():
        if payload is not None and payload != before.get(topic):
            yield Message(topic, payload, retain=True)


def _identity(view: View, guid: str) -> tuple[object, ...]:
    """All that a user's messages depend on. It changes rarely, a user's state with each call."""
    user = view.state.users.get(guid)
    if user is None:
        return ()
    record = user.record
    return (
        view.state.topics[guid],
        record.name,
        record.display_name,
        record.short_name,
        record.number,
        record.type,
        record.groups,
        record.is_switch,
    )
