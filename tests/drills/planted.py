"""The program with bugs planted in it: `python -m tests.drills.planted run -c FILE`, for drills only.

A plant raises when there is a file of its name in the folder PLANTS: once, or for ever.
Plants of links fire in the link of that name only.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bridge import cli
from bridge.ops import certificates
from bridge.ops.bugs import OWNER

PLANTS = "PLANTS"
ONCE, FOREVER = "once", "forever"
LINKS: Mapping[str, tuple[str, ...]] = {
    "decode": ("bridge.pbx.session:decode_poll",),
    "fold": ("bridge.core.fold:fold",),
    "render": ("bridge.core.render:event",),
    "outbox": ("bridge.core.outbox:Outbox.put_event",),
    "pump": ("bridge.core.outbox:Outbox.take",),
    "journal": ("bridge.core.journal:MemoryJournal.commit",),
    "parse": ("bridge.link.commander:parse",),
    "command": ("bridge.link.performer:Performer._perform",),
    "answer": ("bridge.link.mirror:Mirror.reply",),
    "done-callback": ("bridge.mqtt.session:BrokerSession._answered",),
    "timer": ("bridge.link.state_guard:StateGuard._correct",),
    "message": ("bridge.mqtt.client:Connection._on_message",),
    "puback": ("bridge.mqtt.client:Connection._on_acknowledged",),
    "read-back": ("bridge.pbx.session:decode_poll", "bridge.link.earlier:read_back"),
    "start": ("bridge.pbx.session:decode_poll", "bridge.link.link:Link._restore"),
    "metrics": ("bridge.ops.observer:Observer.measure",),
    "status": ("bridge.ops.observer:Observer.status",),
}
"""By the name of the link. With two places the first fires, then the second in the link that comes next."""
PROCESS: Mapping[str, str] = {
    "web": "bridge.ops.health:Health.as_json",
    "certificates": "bridge.build:Builder.certificate_targets",
    "notify": "bridge.ops.notify:Notifier.beat",
    "beat": "bridge.app:Process._measure",
    "reload": "bridge.cli:load",
}


class PlantedError(Exception):
    """A bug that a drill has planted."""


def main() -> None:
    """Plant everything, then be the program."""
    certificates.FIRST_S = certificates.AGAIN_S = 0.5
    for name, places in LINKS.items():
        for place in places:
            plant(name, place, of_link=True)
    for name, place in PROCESS.items():
        plant(name, place, of_link=False)
    cli.main()


def plant(name: str, place: str, *, of_link: bool) -> None:
    """Put a bug at the beginning of a function."""
    module, _, path = place.partition(":")
    *owners, last = path.split(".")
    holder = importlib.import_module(module)
    for owner in owners:
        holder = getattr(holder, owner)
    original: Callable[..., Any] = getattr(holder, last)

    def planted(*arguments: Any, **named: Any) -> Any:
        if (not of_link or name in concerned(arguments)) and armed(name, place):
            raise PlantedError(name)
        return original(*arguments, **named)

    setattr(holder, last, planted)


def concerned(arguments: tuple[Any, ...]) -> set[object]:
    """Whose call this is: the link's in whose context we are, or that of an observer of it."""
    owner, observed = OWNER.get(), getattr(arguments[0], "_pbx", None) if arguments else None
    return {owner.pbx if owner else None, observed if isinstance(observed, str) else None}


def armed(name: str, place: str) -> bool:
    """The bug is to fire now: the file says whether once or for ever, and which place is next."""
    file = Path(os.environ[PLANTS]) / name
    try:
        mode, index = file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return False
    places = LINKS.get(name, (place,))
    if places[int(index)] != place:
        return False
    if place != places[-1]:
        file.write_text(f"{mode} {int(index) + 1}", encoding="ascii")
    elif mode == ONCE:
        file.unlink()
    return True


if __name__ == "__main__":
    main()
