"""From the start of the process to READY=1 on the notification socket, on an empty state directory and on a used one.

python tests/bench/ready.py [--quick]
"""

from __future__ import annotations

import statistics
from pathlib import Path

import stage
from stage import Row


def measure(quick: bool = False) -> list[Row]:
    """Some starts in folders of their own, then some more on the last one's journal."""
    times = 2 if quick else 12
    fresh: list[float] = []
    with stage.folder() as folder:
        _start(stage.config(folder))  # bytecode is written, files are read
    for _ in range(times):
        with stage.folder() as folder:
            fresh.append(_start(stage.config(folder)))
    with stage.folder() as folder:
        config = stage.config(folder, speed=6000.0)
        _start(config)
        used = [_start(config) for _ in range(times)]
    bars = 200 if quick else 9_800
    long = [_tail(bars) for _ in range(1 if quick else 3)]
    return [
        Row("start to ready", statistics.median(fresh), "s", "1 (0.3)", f"median of {times}, worst {max(fresh):.2f} s"),
        Row("start to ready after a restart", statistics.median(used), "s", "", f"median of {times}, worst {max(used):.2f} s"),
        Row("start to ready, longest journal tail", statistics.median(long), "s", "2", f"{bars:,} bars since the last checkpoint"),
    ]


def _start(config: Path) -> float:
    with stage.daemon(config) as life:
        return life.ready_seconds


def _tail(bars: int) -> float:
    """A recording to its end, as fast as it goes; the second time there is only the journal of the first to take up."""
    with stage.folder() as folder:
        recording, config = stage.csv_bars(folder / "BTCUSDT.csv", bars), stage.config(folder)
        for _ in range(2):
            with stage.daemon(config, "--feed", str(recording), "--speed", "max") as life:
                life.process.wait(120)
        return life.ready_seconds


if __name__ == "__main__":
    stage.main(measure)
