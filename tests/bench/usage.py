"""What a process has used so far, by the kernel's word: CPU, memory. Measures from outside."""

from pathlib import Path


def cpu_s(pid: int) -> float:
    """CPU seconds of all threads that still run."""
    used_ns = 0
    for each in Path(f"/proc/{pid}/task").iterdir():
        try:
            used_ns += int((each / "schedstat").read_text(encoding="ascii").split()[0])
        except OSError:  # the thread has ended meanwhile
            continue
    return used_ns / 1e9


def memory_kib(pid: int, name: str = "VmRSS") -> int:
    """A line of the process's status: VmRSS is what it holds, VmHWM the most since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)


def forget_peak(pid: int) -> None:
    """Let VmHWM begin again at what the process holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
