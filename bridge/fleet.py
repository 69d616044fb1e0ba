"""All links of the process: starts them, and at a reload replaces those whose configuration changed.

Reads no file and no signal. A link that is not touched by a reload does not notice it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.build import Builder
from bridge.config import Config, Pbx
from bridge.core.journal import Journal, MemoryJournal
from bridge.link import Link
from bridge.ops.observer import Observer


@dataclass(frozen=True, slots=True)
class Running:
    """A link, what it was made from, and the task that runs it."""

    link: Link
    made_from: tuple[object, ...]
    task: asyncio.Task[None]


class Fleet:
    """The links of one process, by the name of their PBX, in a task group that outlives them."""

    def __init__(self, tasks: asyncio.TaskGroup, observer: Callable[[str], Observer]) -> None:
        self._tasks = tasks
        self._observer = observer
        self._running: dict[str, Running] = {}
        self._memories: dict[str, MemoryJournal] = {}

    @property
    def links(self) -> Mapping[str, Link]:
        """The links that run, by the name of their PBX."""
        return {name: running.link for name, running in self._running.items()}

    async def apply(self, config: Config, pbxs: Sequence[Pbx], builder: Builder) -> None:
        """Make the links be those of this configuration. Returns when what had to end has ended."""
        wanted = {pbx.name: pbx for pbx in pbxs}
        removed = [name for name in self._running if name not in wanted]
        changed = [
            name
            for name, pbx in wanted.items()
            if name in self._running and self._running[name].made_from != made_from(config, pbx)
        ]
        clear = config.mqtt.clear_removed
        await asyncio.gather(
            *(self._end(name, clear=False) for name in changed),
            *(self._end(name, clear=clear) for name in removed),
        )
        for name in removed:
            self._memories.pop(name, None)
            self._observer(name).gone()
        for name, pbx in wanted.items():
            if name not in self._running:
                self._start(config, pbx, builder)

    def stop(self) -> None:
        """Let all links end."""
        for running in self._running.values():
            running.link.stop()

    def _start(self, config: Config, pbx: Pbx, builder: Builder) -> None:
        observer = self._observer(pbx.name)
        link = builder.link(pbx, observer, self._journal(pbx, builder, observer))
        task = self._tasks.create_task(link.run(), name=f"link:{pbx.name}")
        self._running[pbx.name] = Running(link, made_from(config, pbx), task)

    def _journal(self, pbx: Pbx, builder: Builder, observer: Observer) -> Journal:
        return builder.store(pbx, observer) or self._memories.setdefault(pbx.name, MemoryJournal())

    async def _end(self, name: str, *, clear: bool) -> None:
        running = self._running.pop(name)
        running.link.stop(clear=clear)
        await asyncio.wait({running.task})


def made_from(config: Config, pbx: Pbx) -> tuple[object, ...]:
    """All that a link depends on; secrets and TLS files by their content, since those change in place."""
    tls = config.mqtt.tls
    files = (tls.ca_file, tls.cert_file, tls.key_file, pbx.tls.ca_file)
    shared = (config.user_id, config.events, config.commands, config.state_dir)
    mqtt = config.mqtt.model_copy(update={"clear_removed": False})
    return (pbx, mqtt, *shared, *(_digest(file) for file in files))


def _digest(file: Path | None) -> str | None:
    """The content of a file as a short text; None for no file, or one that has just vanished."""
    if file is None:
        return None
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
