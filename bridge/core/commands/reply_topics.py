"""Decides whether a reply may go to the topic that a requester has chosen. Pure.

A requester must not use the bridge's rights to write where it cannot write itself, and must not choose a
topic for which a broker would end the bridge's session.
"""

import re
from collections.abc import Sequence

from bridge.core.topics import Topics

LONGEST_TOPIC, MOST_LEVELS = 256, 20
MOST_STARS = 3


def pattern(text: str) -> str:
    """A pattern for response topics: `+` is one level, a final `#` all that follow, `*` any part of a level.

    Raises ValueError.
    """
    levels = text.split("/")
    odd = any({"+", "#"} & set(level) and len(level) > 1 for level in levels) or "#" in levels[:-1]
    if odd or not text.strip() or not text.isprintable() or text[0] == "$" or text.count("*") > MOST_STARS:
        raise ValueError("expected topics like home/reply, home/+/reply, home/reply-* or home/#")
    return text


def may_reply_to(topic: str, topics: Topics, elsewhere: Sequence[str]) -> bool:
    """Whether a reply may go to this topic: below the one for replies, or where `elsewhere` allows it.

    The rest of our own tree is closed whatever the patterns say.
    """
    if not topic or not topic.isprintable() or {"+", "#"} & set(topic) or topic.startswith("$"):
        return False
    if len(topic.encode(errors="replace")) > LONGEST_TOPIC or topic.count("/") >= MOST_LEVELS:
        return False
    if f"{topic}/".startswith(f"{topics.base}/"):
        return topic.startswith(topics.replies)
    return any(re.fullmatch(_expression(each), topic) for each in elsewhere)


def _expression(wanted: str) -> str:
    """Like a subscription: an empty level is a level, and `home/#` is `home` itself too."""
    levels = wanted.split("/")
    rest = levels.pop() if levels[-1] == "#" else ""
    parts = ["[^/]*" if level == "+" else re.escape(level).replace(r"\*", "[^/]*") for level in levels]
    start = "/".join(parts)
    return (f"{start}(/.*)?" if parts else ".+") if rest else start
