"""Proportional set size of the idle daemon and all its plugin hosts, with no foreign breaker and with two.

python tests/bench/memory.py [--quick]
"""

from __future__ import annotations

import time

import stage
from stage import Row


def measure(quick: bool = False) -> list[Row]:
    """One daemon without foreign breakers, one with two; each asked for its status first, and left alone for a while."""
    rest = 0.5 if quick else 5.0
    return [
        Row("idle, no foreign breaker", _size(0, rest), "MB", "", "PSS of the daemon"),
        Row("idle, 2 foreign breakers", _size(2, rest), "MB", "120 (80)", "PSS of daemon and both hosts"),
    ]


def _size(foreign: int, rest: float) -> float:
    with stage.folder() as folder, stage.daemon(stage.config(folder, foreign=foreign)) as life:
        stage.wait(lambda: stage.answers(life))
        stage.wait(lambda: len(_armed(life)) == foreign)
        time.sleep(rest)
        if len(stage.children(life.process.pid)) < foreign:
            raise RuntimeError("a plugin host is missing")
        return stage.pss_mb(life.process.pid)


def _armed(life: stage.Life) -> list[str]:
    """The foreign breakers that guard."""
    rows = life.call("breakers")["breakers"]
    return [row["name"] for row in rows if row["name"].startswith("bench") and row["state"] == "armed"]


if __name__ == "__main__":
    stage.main(measure)
