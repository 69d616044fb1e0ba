"""The real program; after SIGUSR1 the system gives it no further thread."""

import resource
import signal

from bridge.cli import main


def forbid(_number: int, _frame: object) -> None:
    """As TasksMax of a unit does when all are in use."""
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, forbid)
    main()
