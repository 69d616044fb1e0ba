"""The figures of a flood, and which promises they break. Measures nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

MEANT_SHARE = 0.5
"""Of what the rate allows: a stranger that sent less has shown nothing."""
MOST_GROWTH = 1.10
MOST_RATIO, FREE_SHARE = 2.0, 0.15
"""How much dearer a message may become; what is less than this share of a core is not looked at."""
LINES_PER_S, LINES = 25.0, 50
"""Twenty refusals a second are said; the rest is for what bystanders do."""
ANSWER_S = 1.0
ONLINE = "online"


@dataclass(frozen=True, slots=True)
class Half:
    """Half of a flood: how much was taken, and what that cost."""

    taken: int
    cpu_s: float
    seconds: float

    @property
    def each_s(self) -> float:
        """CPU seconds a message."""
        return self.cpu_s / max(1, self.taken)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured in a flood that was to take `seconds` at `per_s` messages a second at most.

    Memory in MiB: before, the most meanwhile, after. `states`: every word of a link about itself, as
    "hq online". `clears_s`, `branch_s`, `health_s`: how long the answers to the honest client, the events of
    the other PBX and the answers to a probe took. `refused`: honest requests that were. `lost`, `gaps`: of
    the calls and events of the other PBX.
    """

    per_s: float
    seconds: float
    halves: tuple[Half, Half]
    before: float
    most: float
    after: float
    lines: int
    states: tuple[str, ...]
    clears_s: tuple[float, ...]
    refused: tuple[str, ...]
    branch_s: tuple[float, ...]
    health_s: tuple[float, ...]
    lost: int
    gaps: int

    @property
    def taken(self) -> int:
        """How much was taken in all."""
        return sum(half.taken for half in self.halves)

    def shown(self) -> Iterator[str]:
        """The figures as a person reads them."""
        costs = " and ".join(f"{half.each_s * 1000:.2f}" for half in self.halves)
        yield f"{self.taken} taken"
        yield f"{self.before:.1f} MiB before, {self.most:.1f} at most, {self.after:.1f} after"
        yield f"CPU {costs} ms each"
        yield f"{self.lines} lines"
        yield f"{len(self.clears_s)} clears, {max(self.clears_s, default=0.0):.2f} s"
        yield f"{len(self.branch_s)} calls of branch, {max(self.branch_s, default=0.0):.2f} s"
        yield f"health {max(self.health_s, default=0.0):.2f} s"

    def broken(self) -> Iterator[str]:
        """The promises that were not kept."""
        if self.taken < MEANT_SHARE * self.per_s * self.seconds:
            yield f"only {self.taken} were taken: this shows nothing"
        yield from self._of_process()
        yield from self._of_bystanders()

    def _of_process(self) -> Iterator[str]:
        if self.after > self.before * MOST_GROWTH:
            yield f"memory grew from {self.before:.1f} to {self.after:.1f} MiB"
        elif self.most > self.before * MOST_GROWTH:
            yield f"memory grew from {self.before:.1f} to {self.most:.1f} MiB meanwhile"
        first, second = self.halves
        dearer_s = (second.each_s - first.each_s) * second.taken
        if second.each_s > MOST_RATIO * first.each_s and dearer_s > FREE_SHARE * second.seconds:
            yield f"a message took {second.each_s / max(1e-9, first.each_s):.1f} times the CPU in the end"
        if self.lines > LINES_PER_S * (first.seconds + second.seconds) + LINES:
            yield f"{self.lines} log lines"

    def _of_bystanders(self) -> Iterator[str]:
        yield from sorted({state for state in self.states if not state.endswith(f" {ONLINE}")})
        if max(self.clears_s, default=self.seconds) > ANSWER_S:
            yield f"clear took {max(self.clears_s, default=self.seconds):.1f} s"
        if self.refused:
            yield f"clear refused {len(self.refused)} times ({self.refused[0]})"
        if max(self.branch_s, default=self.seconds) > ANSWER_S:
            yield f"an event of branch took {max(self.branch_s, default=self.seconds):.1f} s"
        if max(self.health_s, default=self.seconds) > ANSWER_S:
            yield f"a probe took {max(self.health_s, default=self.seconds):.1f} s"
        if self.lost or self.gaps:
            yield f"{self.lost} calls and {self.gaps} events of branch lost"
