"""What the bench measures: each row by its name. A row measures all programs side by side."""

from collections.abc import Awaitable, Callable, Sequence

from tests.bench.figures import Figure
from tests.bench.place import Program
from tests.bench.rows import (
    commands,
    decode,
    events,
    idle,
    journal,
    lists,
    loop,
    monitored,
    size,
    soap,
    start,
)

Row = Callable[[Sequence[Program]], Awaitable[list[Figure]]]

ROWS: dict[str, Row] = {
    "decode": decode.decode,
    "saturated": events.saturated,
    "single": events.single,
    "latency": events.latency,
    "soap": soap.soap,
    "command": commands.command,
    "list": lists.against_naive,
    "loop": loop.loop,
    "users": size.users,
    "calls": size.calls,
    "journal": journal.journal,
    "monitored": monitored.monitored,
    "start": start.start,
    "idle": idle.idle,
}
