"""The two engines of a backtest on seeded minutes: the shipped strategy as etc/backtest.toml sets it, kill switch and breakers on.

"Loop" is the time inside the engine's own code, in this process, with a recorder that keeps nothing; "run" has the reading of the data
in it. Both are processor seconds, so that what else the machine does is in neither. "Whole process" is `hedgegridd backtest` from its
start to its end by the clock, artefacts and report written. Needs numba and pyarrow; with --quick the fast engine is plain Python.

    python tests/bench/backtest.py [--quick]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import stage
from stage import Row

from hedgegridd.config import load
from hedgegridd.plugins import load_shipped
from hedgegridd.research import backtest, compiled
from hedgegridd.research.fastrun import FastRun
from hedgegridd.research.full import FullRun
from hedgegridd.research.outcome import Mute, Outcome

DAY, MONTH, YEAR, TEN_YEARS = 1_440, 43_200, 525_600, 5_256_000
SYMBOL, STRATEGY = "BTCUSDT", "hedge_grid"
#: One run of each, not three; and so much money that no drawdown ever ends the trading.
OVERLAY = "[backtest]\nfunding_bps = 1.0\nfill_models = false\n[exchange.paper]\nstarting_balance_usdt = 1000000.0\n"


class Took(NamedTuple):
    """Seconds of one run: inside the engine's code, and all in all; and how it ended."""

    loop: float
    run: float
    outcome: Outcome


def measure(quick: bool = False) -> list[Row]:
    """A few made-up days in plain Python, or all of it."""
    with stage.folder() as folder:
        config = stage.example(folder, "backtest.toml", OVERLAY)
        if quick:
            return tiny(config, stage.csv_bars(folder / f"{SYMBOL}.csv", 1_500))
        if compiled.available() or stage.no_parquet():
            return tiny(config, stage.csv_bars(folder / f"{SYMBOL}.csv", MONTH))
        files = {bars: stage.parquet_bars(folder / f"{bars}" / f"{SYMBOL}.parquet", bars) for bars in (DAY, MONTH, YEAR, TEN_YEARS)}
        return [*whole(config, folder, files), *loops(config, folder, files)]


def tiny(config: Path, data: Path) -> list[Row]:
    """Both engines once."""
    job = prepared(config, data)
    fast, full = timed_fast(job, compiled.plain(job.registry.strategies[STRATEGY].thing)), timed_full(job)
    same(fast, full)
    return [
        Row("fast engine as plain Python, loop", fast.outcome.bars / fast.loop, "bars/s", "", "made-up bars: proves nothing"),
        Row("full engine, run", full.outcome.bars / full.run, "bars/s"),
    ]


# --- in this process ------------------------------------------------------------------------------------------------------


def loops(config: Path, folder: Path, files: dict[int, Path]) -> list[Row]:
    """Bars a second, and what a bar costs as the data grow. The machine code is there already."""
    jobs = {bars: prepared(config, file) for bars, file in files.items()}
    code = compiled.bind(jobs[MONTH].registry.strategies[STRATEGY].thing, cache(folder) / "hedgegridd")
    timed_fast(jobs[MONTH], code)
    pairs = [(timed_fast(jobs[MONTH], code), timed_full(jobs[MONTH])) for _ in range(3)]
    for fast, full in pairs:
        same(fast, full)
    years = [timed_fast(jobs[YEAR], code) for _ in range(5)]
    long = timed_fast(jobs[TEN_YEARS], code)
    month = statistics.median(fast.loop for fast, _ in pairs) / MONTH
    year = statistics.median(took.loop for took in years) / YEAR
    slow = statistics.median(full.run for _, full in pairs) / MONTH
    run = statistics.median(took.run for took in years) / YEAR
    return [
        Row("fast engine, loop, a year", 1 / year, "bars/s", "10 M, moonshot 20 M", told(years[0].outcome)),
        Row("fast engine, run, a year", 1 / run, "bars/s", "", "with the reading of its data"),
        Row("full engine, run, a month", 1 / slow, "bars/s", "", told(pairs[0][1].outcome)),
        Row("fast / full, run, a month", slow * MONTH / statistics.median(fast.run for fast, _ in pairs), "x", "", "same run, same fills"),
        Row("a bar, loop: year / month", year / month, "x", "1", f"{month * 1e9:.0f} ns in a month, {year * 1e9:.0f} ns in a year"),
        Row("a bar, loop: ten years / year", long.loop / TEN_YEARS / year, "x", "1", told(long.outcome)),
    ]


def prepared(config: Path, data: Path) -> backtest.Job:
    """The job that the command would make of these."""
    options = {"data": str(data), "symbol": SYMBOL}
    return backtest.prepare(load(config), load_shipped(), options, lambda _: None, quiet=True)


def timed_fast(job: backtest.Job, code: compiled.Code) -> Took:
    """One run of the fast engine, its doors watched."""
    spent = [0.0]
    watched = code._replace(begin=clocked(code.begin, spent), play=clocked(code.play, spent))
    begun = time.process_time()
    outcome = FastRun(job.config, job.registry, job.feed(), Mute(), watched).run(nobody)
    return Took(spent[0], time.process_time() - begun, outcome)


def timed_full(job: backtest.Job) -> Took:
    """One run of the full engine."""
    begun = time.process_time()
    outcome = FullRun(job.config, job.registry, job.feed(), Mute()).run(nobody)
    seconds = time.process_time() - begun
    return Took(seconds, seconds, outcome)


def clocked(door: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """A function that adds what it takes."""

    def call(*given: Any) -> Any:
        begun = time.process_time()
        answer = door(*given)
        spent[0] += time.process_time() - begun
        return answer

    return call


def nobody(_: int) -> None:
    """Nobody wants to know how far it is."""


def same(one: Took, other: Took) -> None:
    """RuntimeError where the engines came to different ends."""
    if str(one.outcome._replace(engine="")) != str(other.outcome._replace(engine="")):
        raise RuntimeError(f"the engines differ:\n{one.outcome}\n{other.outcome}")


def told(outcome: Outcome) -> str:
    """What happened: a run that stopped trading on its first day would be fast and worth nothing."""
    halted = f"; {outcome.kill['reason']}" if outcome.kill["active"] else ""
    return f"{outcome.fills:,} fills of {outcome.orders:,} orders{halted}"


# --- the command ----------------------------------------------------------------------------------------------------------


def whole(config: Path, folder: Path, files: dict[int, Path]) -> list[Row]:
    """`hedgegridd backtest` as a process of its own: seconds and peak memory."""

    def command(bars: int, engine: str) -> tuple[float, float]:
        line = ["backtest", "--config", str(config), "--data", str(files[bars]), "--symbol", SYMBOL, "--interval", "1m"]
        line += ["--out", str(folder / f"out-{bars}-{engine}"), "--engine", engine, "--json"]
        return stage.spent([sys.executable, "-m", "hedgegridd.cli", *line], PYTHONPATH=str(stage.ROOT), XDG_CACHE_HOME=str(cache(folder)))

    cold, _ = command(MONTH, "fast")
    fast, full = [command(YEAR, "fast") for _ in range(3)], command(MONTH, "full")
    warm, small = [command(MONTH, "fast") for _ in range(3)], command(DAY, "fast")
    long = command(TEN_YEARS, "fast")
    year, month = (statistics.median(seconds for seconds, _ in turns) for turns in (fast, warm))
    growth = (long[0] - year) / (TEN_YEARS - YEAR) / ((year - month) / (YEAR - MONTH))
    return [
        Row("backtest --engine fast, a year, whole process", year, "s", "0.06 of nautilus, moonshot 0.025", "warm cache, report written"),
        Row("backtest --engine fast, a month, whole process", month, "s", "", f"{small[0]:.2g} s for a day; first use ever {cold:.0f} s"),
        Row("backtest --engine fast, ten years, whole process", long[0], "s"),
        Row("backtest --engine full, a month, whole process", full[0], "s"),
        Row("peak memory, fast, a year", fast[-1][1], "MB", "", f"a day {small[1]:.0f}, a month {warm[-1][1]:.0f}"),
        Row("peak memory, fast, ten years", long[1], "MB"),
        Row("a bar more, whole process: ten years / year", growth, "x", "1"),
    ]


def cache(folder: Path) -> Path:
    """Where the commands keep machine code here."""
    return folder / "cache"


if __name__ == "__main__":
    stage.main(measure)
