"""The AsyncAPI 3 document of the bridge: channels, operations with their replies, MQTT bindings. Pure."""

from bridge import __version__
from bridge.contract.channels import PARAMETERS, PUBLISHED, TOPICS, Commanded, Published, commanded
from bridge.contract.schemas import catalogue
from bridge.contract.types import Schema
from bridge.core.commands.reply_topics import LONGEST_TOPIC
from bridge.core.commands.request import LONGEST_CORRELATION

BINDING = {"bindingVersion": "0.2.0"}
QOS = 1
PLAIN_TEXT = "text/plain"


def document() -> Schema:
    """The whole document. The application in it is the bridge: it sends events and receives commands."""
    channels: Schema = {}
    operations: Schema = {}
    messages: Schema = {"Refused": _message("Refused", "the request was not carried out", correlated=True)}
    for topic in PUBLISHED:
        messages[topic.schema] = _message(topic.schema, topic.about, plain=topic.schema == "State")
        channels[topic.name] = _channel(topic.address, topic.about, topic.schema)
        operations[f"send{_capital(topic.name)}"] = _send(topic)
    for command in commanded():
        messages.update(_messages(command))
        accepted = [command.request, *([_bare(command)] if command.bare is not None else [])]
        channels[command.name] = _channel(command.address, command.about, *accepted)
        channels[_response(command)] = _channel(
            command.reply_address, f"replies to `{command.verb}`", command.reply, "Refused"
        )
        operations[f"receive{_capital(command.name)}"] = _receive(command, accepted)
    return {
        "asyncapi": "3.0.0",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": catalogue("#/components/schemas/").schemas},
    }


def _info() -> Schema:
    return {
        "title": "innovaphone MQTT bridge",
        "version": __version__,
        "description": (
            "Calls, presence and call control of innovaphone PBXs on MQTT. The application described here is "
            "the bridge: it sends states and events, and receives commands. Keys may be added to payloads: "
            "ignore those that you do not know."
        ),
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    }


def _server() -> Schema:
    """The broker. The Last Will is that of one link; each PBX has a connection of its own."""
    will = {"topic": TOPICS.state, "qos": QOS, "message": "offline", "retain": True}
    return {
        "host": "{host}",
        "protocol": "mqtt",
        "protocolVersion": "5",
        "description": "the MQTT broker that both sides are connected to; MQTT 3.1.1 works as well",
        "variables": {"host": {"default": "127.0.0.1:1883"}},
        "bindings": {"mqtt": {"lastWill": will, **BINDING}},
    }


def _channel(address: str, about: str, *messages: str) -> Schema:
    names = [name for name in PARAMETERS if f"{{{name}}}" in address]
    return {
        "address": address,
        "description": about,
        "parameters": {name: dict(PARAMETERS[name]) for name in names},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _message(name: str, about: str, *, plain: bool = False, correlated: bool = False) -> Schema:
    made: Schema = {
        "name": name,
        "summary": about,
        "contentType": PLAIN_TEXT if plain else "application/json",
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }
    return {**made, "correlationId": {"location": "$message.payload#/id"}} if correlated else made


def _messages(command: Commanded) -> Schema:
    """The messages of a verb: its request, the bare form of it, and the reply."""
    made = {
        command.request: {**_message(command.request, command.about, correlated=True), "bindings": _mqtt_5()},
        command.reply: _message(command.reply, f"the reply to `{command.verb}`", correlated=True),
    }
    if command.bare is not None:
        what = f"the `{command.bare}`" if command.bare else "anything, or nothing"
        made[_bare(command)] = {
            "name": _bare(command),
            "summary": f"{command.about}; the payload is {what}",
            "contentType": PLAIN_TEXT,
            "payload": {"title": _bare(command), "type": "string"},
            "bindings": _mqtt_5(),
        }
    return made


def _mqtt_5() -> Schema:
    """The properties of MQTT 5 by which a request may choose where its reply goes, and what comes with it."""
    topic = {
        "type": "string",
        "maxLength": LONGEST_TOPIC,
        "description": f"below `{TOPICS.replies}`, or one of `commands.response_topics`",
    }
    correlation = {
        "type": "string",
        "maxLength": LONGEST_CORRELATION,
        "description": "comes back in the reply",
    }
    return {"mqtt": {"responseTopic": topic, "correlationData": correlation, **BINDING}}


def _send(topic: Published) -> Schema:
    return {
        "action": "send",
        "summary": topic.about,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.schema}"}],
        "bindings": {"mqtt": {"qos": QOS, "retain": topic.retain, **BINDING}},
    }


def _receive(command: Commanded, accepted: list[str]) -> Schema:
    response = f"#/channels/{_response(command)}"
    return {
        "action": "receive",
        "summary": command.about,
        "channel": {"$ref": f"#/channels/{command.name}"},
        "messages": [{"$ref": f"#/channels/{command.name}/messages/{name}"} for name in accepted],
        "bindings": {"mqtt": {"qos": QOS, "retain": False, **BINDING}},
        "reply": {
            "channel": {"$ref": response},
            "messages": [{"$ref": f"{response}/messages/{name}"} for name in (command.reply, "Refused")],
        },
    }


def _response(command: Commanded) -> str:
    return f"response{command.reply.removesuffix('Reply')}"


def _bare(command: Commanded) -> str:
    return command.request.removesuffix("Request") + "Value"


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
