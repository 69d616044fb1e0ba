"""A message of the outbox with its JSON decoded, so that a test can look into it."""

import json

from bridge.core.message import Message
from bridge.core.value import evolve


def unpacked(message: Message) -> Message:
    """The same message; other payloads stay as they are."""
    payload = message.payload
    return evolve(message, payload=json.loads(payload)) if isinstance(payload, bytes) else message
