"""How fast a recording goes through the whole daemon: a real `hedgegridd run --speed max` with journal, hosts and control socket.

python tests/bench/replay.py [--quick]
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import stage
from stage import Row

MONTH = 43_200


def measure(quick: bool = False) -> list[Row]:
    """A month of minutes, from the start of the process to its end, and events a second once it is ready."""
    bars = 1_500 if quick else MONTH
    with stage.folder() as folder:
        recording, kind = stage.month(folder, bars)
        with stage.daemon(stage.config(folder), "--feed", str(recording), "--speed", "max") as life:
            ready = time.perf_counter()
            code = life.process.wait(600)
            seconds = time.perf_counter() - ready
        told = summary(folder / "log")
    if code != 0 or told["bars"] != bars:
        raise RuntimeError(f"exit code {code}, {told}")
    fills, orders = told["fills"], told["orders"]
    return [
        Row(f"{bars:,} minutes replayed, whole process", life.ready_seconds + seconds, "s", "< 60 a month", kind),
        Row("events/s at --speed max", bars / seconds, "1/s", "", f"{fills} fills, {orders} orders, journaled"),
    ]


def summary(log: Path) -> dict[str, int]:
    """The counts of the stop summary."""
    return {name: int(count) for name, count in re.findall(r"^  (bars|orders|fills) +(\d+)$", log.read_text(), re.MULTILINE)}


if __name__ == "__main__":
    stage.main(measure)
