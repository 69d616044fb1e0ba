"""Whether a fuzzed run keeps what it has seen: the memory of its third and of its last quarter."""

import gc
import tracemalloc

GROWTH_AT_MOST = 2**20


class Memory:
    """Counts the bytes that are in use at the quarters of a run of so many rounds."""

    def __init__(self, rounds: int) -> None:
        self._marks = tuple(rounds * quarters // 4 for quarters in (2, 3, 4))
        self._used: list[int] = []

    def after(self, rounds: int) -> None:
        """So many rounds are done; tracing goes on from the middle to the end."""
        if rounds not in self._marks:
            return
        if rounds == self._marks[0]:
            tracemalloc.start()
        gc.collect()
        self._used.append(tracemalloc.get_traced_memory()[0])
        if rounds == self._marks[-1]:
            tracemalloc.stop()

    @property
    def growth(self) -> int:
        """How much the second half of the run has kept.

        Twice the lesser growth of its quarters: a leak leaks in both, while the interpreter makes a
        table of its own larger in one of them.
        """
        middle, later, last = self._used
        return 2 * min(later - middle, last - later)
