"""Every benchmark in one table.

python tests/bench/all.py [--quick]
"""

from __future__ import annotations

import activation
import backtest
import heart
import memory
import peers
import ready
import replay
import stage
import status
import w1
import wire

BENCHMARKS = (status, ready, memory, heart, replay, activation, wire, w1, backtest, peers)


def measure(quick: bool = False) -> list[stage.Row]:
    """One after the other, so that none disturbs another."""
    return [row for benchmark in BENCHMARKS for row in benchmark.measure(quick)]


if __name__ == "__main__":
    stage.main(measure)
