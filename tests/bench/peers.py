"""W1 on nautilus_trader, on our matching compiled, and the shipped strategy in the full engine on the same bars, in one run.

nautilus_trader may live in another environment: HEDGEGRIDD_PEERS_PYTHON names its Python. Where it is not installed its rows are
absent. The full engine cannot play W1, whose rules are not the shipped strategy's: it plays etc/backtest.toml, a grid of the same
size with regime, policy, funding guard and every breaker on top. All in processor seconds.

    HEDGEGRIDD_PEERS_PYTHON=/tmp/peers/bin/python python tests/bench/peers.py [--quick]
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import backtest
import stage
import w1
from stage import Row

from hedgegridd.research import compiled

BARS, TURNS = 52_560, 3
SCRIPT = stage.ROOT / "tests/peers/nautilus_w1.py"


def measure(quick: bool = False) -> list[Row]:
    """A tenth of W1's year, turn and turn about; or some made-up bars in our engines alone."""
    reference = None if quick or compiled.available() or stage.no_parquet() else w1.shared()
    with stage.folder() as folder:
        config = stage.example(folder, "backtest.toml", backtest.OVERLAY)
        if reference is None:
            seconds, _ = w1.played(w1.PLAIN, w1.made_up(2_000))
            full = backtest.timed_full(backtest.prepared(config, stage.csv_bars(folder / "BTCUSDT.csv", 500)))
            ours = Row("W1 on the shipped matching, plain Python", 1_999 / seconds, "bars/s")
            return [ours, Row("full engine, run", full.outcome.bars / full.run, "bars/s", "", "made-up bars: proves nothing")]
        return compared(reference, folder, config)


def compared(reference: Any, folder: Path, config: Path) -> list[Row]:
    """Medians of turns that alternate; what is not installed takes no turn."""
    packed = w1.in_ticks(reference.data())[: 3 * BARS]
    job = backtest.prepared(config, as_parquet(packed, folder / "BTCUSDT.parquet"))
    doors, full, fast, rival = w1.compiled_doors(), list[float](), list[float](), list[dict[str, Any]]()
    _, ours = w1.played(doors, packed)
    for _ in range(TURNS):
        full.append(BARS / backtest.timed_full(job).run)
        fast.append(statistics.median(BARS / w1.played(doors, packed)[0] for _ in range(9)))
        rival += nautilus(packed, folder)
    speed, heart = statistics.median(fast), statistics.median(full)
    rows = [Row("W1 compiled", speed, "bars/s"), Row("full engine, the shipped strategy on W1's bars, run", heart, "bars/s")]
    if not rival:
        return [*rows, Row("W1 compiled / full engine", speed / heart, "x", "", "nautilus_trader is not installed: its rows are absent")]
    theirs, last = statistics.median(one["bars"] / one["seconds"] for one in rival), rival[-1]
    counts = [" / ".join(str(told[name]) for name in w1.EXPECTED) for told in (last, ours.counts)]
    return [
        *rows,
        Row(f"nautilus_trader {last['version']}, W1", theirs, "bars/s", "", "counts {}, ours {}".format(*counts)),
        Row("W1 compiled / nautilus_trader", speed / theirs, "x", "3,000, moonshot 10,000", "engine's run alone, logging off"),
        Row("full engine / nautilus_trader", heart / theirs, "x", "1, moonshot 3", "the shipped strategy against W1: ours does more"),
    ]


def nautilus(packed: Any, folder: Path) -> list[dict[str, Any]]:
    """What its script told, or nothing where it is not installed."""
    import numpy

    python = os.environ.get("HEDGEGRIDD_PEERS_PYTHON", sys.executable if importlib.util.find_spec("nautilus_trader") else "")
    if not python:
        return []
    numpy.save(folder / "bars.npy", packed)
    command = [python, str(SCRIPT), str(folder / "bars.npy")]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=stage.ENVIRONMENT)
    return [json.loads(told.stdout.splitlines()[-1])]


def as_parquet(packed: Any, path: Path) -> Path:
    """W1's bars as the exchange's public archive has them; each opens where the last one closed."""
    import numpy
    import pyarrow
    from pyarrow import parquet

    high, low, close = packed.reshape(-1, 3).T / 10.0
    opened = numpy.clip(numpy.concatenate((close[:1], close[:-1])), low, high)
    times = stage.START_MS + numpy.arange(len(close)) * stage.MINUTE_MS
    columns = {"open_time": times, "open": opened, "high": high, "low": low, "close": close, "volume": numpy.full(len(close), 10.0)}
    parquet.write_table(pyarrow.table(columns), path)
    return path


if __name__ == "__main__":
    stage.main(measure)
