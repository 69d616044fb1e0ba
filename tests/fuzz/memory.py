"""Whether a fuzzed run keeps what it has seen: its memory in the last quarter, for tracing is slow."""

import gc
import tracemalloc

GROWTH_AT_MOST = 2**20


class Memory:
    """Counts the bytes in use after six, seven and all eighths of a run of so many rounds."""

    def __init__(self, rounds: int) -> None:
        self._marks = tuple(rounds * eighths // 8 for eighths in (6, 7, 8))
        self._used: list[int] = []

    def after(self, rounds: int) -> None:
        """So many rounds are done; tracing goes on from the first mark to the end."""
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
        """How much half of the run keeps.

        Four times the lesser growth of an eighth: a leak leaks in both, while the interpreter makes a
        table of its own larger in one of them.
        """
        first, later, last = self._used
        return 4 * min(later - first, last - later)
