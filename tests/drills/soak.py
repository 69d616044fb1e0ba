"""The soak: steady work for long, both ends replaced every minute; memory and descriptors must not grow.

`python -m tests.drills.soak [--minutes 20]`
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.bus import eventually
from tests.drills.bench import Bench, bench
from tests.drills.checker import judge
from tests.drills.drill import durable, fence
from tests.kit.network import CLEAR

CALLS_PER_S = 12.0
"""Some 50 events a second."""
WAITING = 20
SAMPLE_S, ROUND_S = 5.0, 60.0
WARM_SHARE = 0.6
"""Command ids are remembered for ten minutes: until then memory is meant to grow."""
MOST_MIB_PER_H = 1.0
SLACK_MIB = 0.25
"""Below this, growth over the whole run is noise of the allocator, however steep it looks per hour."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the bridge held at one moment."""

    at_s: float
    mib: float
    descriptors: int
    threads: int


async def soak(folder: Path, minutes: float) -> int:
    """Run, print what was seen, and return 1 when something grew."""
    samples: list[Sample] = []
    async with bench("soak", folder, long=True, change=lambda settings: durable(settings, folder)) as made:
        load = asyncio.create_task(made.workload.run(calls_per_s=CALLS_PER_S, commands_per_s=1.0))
        watch = asyncio.create_task(_watch(made, samples))
        end = time.monotonic() + minutes * 60
        for turn in count():
            await asyncio.sleep(min(ROUND_S / 2, max(0.0, end - time.monotonic())))
            if time.monotonic() >= end:
                break
            await (_replace_broker(made) if turn % 2 == 0 else _replace_pbx(made))
        for task in (load, watch):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await fence(made)
        made.workload.hang_up_all()
        await eventually(lambda: not made.pbx.exchange.legs, "all phones are on hook")
        await made.truth()
        await fence(made)
        history = made.history
    history.save(Path("build/drills"))
    row = judge(history)
    sys.stdout.write(f"{row}\n")
    problems = grown(samples)
    problems += [f"lost {row.lost}"] * bool(row.lost) + [f"ends {row.ends}"] * bool(row.ends)
    problems += [f"truth after {row.truth_s:.1f} s"] * (row.truth_s > 10)
    sys.stdout.write("\n".join(problems or ["nothing has grown, nothing was lost"]) + "\n")
    return 1 if problems else 0


def grown(samples: list[Sample]) -> list[str]:
    """What grew after the warm-up, in words."""
    steady = samples[int(len(samples) * WARM_SHARE) :]
    slope = _slope([(sample.at_s, sample.mib) for sample in steady]) * 3600
    whole = slope / 3600 * (steady[-1].at_s - steady[0].at_s)
    sys.stdout.write(
        f"{len(steady)} samples over {steady[-1].at_s - steady[0].at_s:.0f} s: "
        f"{steady[0].mib:.1f} to {steady[-1].mib:.1f} MiB, {slope:+.2f} MiB/h; descriptors "
        f"{min(s.descriptors for s in steady)} to {max(s.descriptors for s in steady)}, threads "
        f"{min(s.threads for s in steady)} to {max(s.threads for s in steady)}\n"
    )
    early, late = steady[: len(steady) // 2], steady[len(steady) // 2 :]
    problems = []
    if slope > MOST_MIB_PER_H and whole > SLACK_MIB:
        problems.append(f"memory grows by {slope:.2f} MiB/h")
    problems += [
        f"{name} grow"
        for name in ("descriptors", "threads")
        if max(getattr(one, name) for one in late) > max(getattr(one, name) for one in early) + 2
    ]
    return problems


def _slope(points: list[tuple[float, float]]) -> float:
    """Least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    over = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / over if over else 0.0


async def _watch(made: Bench, samples: list[Sample]) -> None:
    while True:
        process = made.program.process
        if process is not None:
            folder = Path(f"/proc/{process.pid}")
            with contextlib.suppress(OSError):
                descriptors, threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
                samples.append(Sample(time.monotonic(), made.memory(), descriptors, threads))
        await asyncio.sleep(SAMPLE_S)


async def _replace_broker(made: Bench) -> None:
    await made.broker_away()
    await made.waiting(WAITING)
    await made.back()
    await made.truth()


async def _replace_pbx(made: Bench) -> None:
    tried = made.to_pbx.accepted
    await made.pbx.crash()
    await eventually(lambda: made.to_pbx.accepted > tried, "the bridge tries again", within=30)
    await made.pbx.start_again()
    made.to_pbx.conditions = CLEAR
    await made.truth()


def main() -> int:
    """Run for as long as asked."""
    parser = argparse.ArgumentParser(description="Steady work for long.")
    parser.add_argument("--minutes", type=float, default=20.0)
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(soak(Path(folder), parser.parse_args().minutes))


if __name__ == "__main__":
    sys.exit(main())
