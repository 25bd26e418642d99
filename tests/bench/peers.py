"""W1 on five engines that others wrote, on our matching compiled and on the C kernel, all in one run; and the full engine on W1's bars.

Each peer lives in an environment of its own, as they do not agree on what they need: made by pip below `--venvs`, or where
HEDGEGRIDD_PEERS says, and kept there for the next time; else for this run alone. Each has a script in tests/peers that plays W1 as
faithfully as its engine can, and is asked for its counts and its equity. Only its run is timed, warm, in processor seconds; its whole
process from start to end by the clock. The slow ones play a part of the year.

The full engine cannot play W1, whose rules are not the shipped strategy's: it plays etc/backtest.toml, a grid of the same size with
regime, policy, funding guard and every breaker on top, and so does `hedgegridd backtest --engine fast`.

    python tests/bench/peers.py [--quick] [--venvs FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import backtest
import stage
import w1
from stage import Row

from hedgegridd.research import compiled

TURNS = 3
PATIENCE_SECONDS = 900


class Peer(NamedTuple):
    """An engine that others wrote: what pip is to install, how much of the year it plays, and what of ours is aimed at beside it."""

    name: str
    needs: tuple[str, ...]
    bars: int = w1.YEAR
    aim: str = ""


PEERS = (
    Peer("nautilus_trader", ("nautilus_trader==1.221.0", "numpy"), aim="3,000, moonshot 10,000"),
    Peer("hftbacktest", ("hftbacktest",), aim="40, moonshot 75"),
    Peer("vectorbt", ("vectorbt",)),
    Peer("backtesting", ("backtesting",)),
    Peer("backtrader", ("backtrader", "numpy"), 52_560),
)
PART = 52_560  #: what the full engine plays of the year


def measure(quick: bool = False, venvs: Path | None = None) -> list[Row]:
    """All of it; or some made-up bars in our engines alone. Without a folder for their environments there are no peers."""
    reference = None if quick or compiled.available() or stage.no_parquet() else w1.shared()
    named = os.environ.get("HEDGEGRIDD_PEERS")
    with stage.folder() as folder:
        config = stage.example(folder, "backtest.toml", backtest.OVERLAY)
        if reference is None:
            seconds, _ = w1.played(w1.PLAIN, w1.made_up(2_000))
            full = backtest.timed_full(backtest.prepared(config, stage.csv_bars(folder / "BTCUSDT.csv", 500)))
            ours = Row("W1 on the shipped matching, plain Python", 1_999 / seconds, "bars/s")
            return [ours, Row("full engine, run", full.outcome.bars / full.run, "bars/s", "", "made-up bars: proves nothing")]
        return compared(reference, folder, config, venvs or (Path(named) if named else None))


def compared(reference: Any, folder: Path, config: Path, venvs: Path | None) -> list[Row]:
    """Medians of turns that alternate; a peer that is not there takes no turn."""
    columns = reference.data()
    packed = w1.in_ticks(columns)
    pythons = {peer: installed(peer, venvs) for peer in PEERS}
    files = {bars: saved(packed[: 3 * bars], folder / f"{bars}.npy") for bars in {peer.bars for peer in PEERS}}
    job = backtest.prepared(config, as_parquet(packed[: 3 * PART], folder / "part" / "BTCUSDT.parquet"))
    year = as_parquet(packed, folder / "year" / "BTCUSDT.parquet")
    doors, (kernel, c) = w1.compiled_doors(), w1.of_the_kernel(reference, columns)
    ours, full, command = list[float](), list[float](), list[float]()
    rivals: dict[Peer, list[dict[str, Any]]] = {peer: [] for peer in PEERS}
    w1.played(doors, packed)
    backtested(config, year, folder)
    for _ in range(TURNS):
        for _ in range(9):
            ours.append(w1.played(doors, packed)[0])
            c.append(kernel())
        full.append(backtest.timed_full(job).run / PART)
        command.append(backtested(config, year, folder))
        for peer, python in pythons.items():
            if isinstance(python, Path):
                rivals[peer].append(asked(peer, python, files[peer.bars]))
    speed, heart, limit = w1.YEAR / statistics.median(ours), 1 / statistics.median(full), w1.YEAR / statistics.median(c[1:])
    rows = [
        Row("C kernel, W1", limit, "bars/s"),
        Row("W1 compiled", speed, "bars/s", "", "shipped matching and ledger"),
        Row("W1 compiled / C kernel", speed / limit, "x", "0.30, moonshot 0.7"),
        Row("full engine, the shipped strategy on W1's bars, run", heart, "bars/s", "", f"{PART:,} bars"),
        Row("backtest --engine fast on W1's year, whole process", statistics.median(command), "s", "", "warm cache, report written"),
    ]
    for peer, turns in rivals.items():
        ends = w1.played(doors, packed[: 3 * peer.bars])[1]
        rows += of_a_peer(peer, turns, ends, speed, heart, statistics.median(command)) if turns else [absent(peer, pythons[peer])]
    return rows


def of_a_peer(peer: Peer, turns: list[dict[str, Any]], ours: w1.Result, speed: float, heart: float, command: float) -> list[Row]:
    """Its speed and what it came to, and ours against it."""
    last, theirs = turns[-1], statistics.median(told["bars"] / told["seconds"] for told in turns)
    whole, counts = statistics.median(told["whole"] for told in turns), [last[name] for name in w1.EXPECTED]
    came = "counts as ours" if counts == list(ours.counts.values()) else f"counts {counts}, ours {list(ours.counts.values())}"
    note = f"{peer.bars:,} bars, {whole:.1f} s whole process, {last['rss_mb']:.0f} MB; {came}; equity {last['equity'] - ours.equity:+.3f}"
    rows = [
        Row(f"{peer.name} {last['version']}, W1", theirs, "bars/s", "", note),
        Row(f"W1 compiled / {peer.name}", speed / theirs, "x", peer.aim),
    ]
    if peer.name == "nautilus_trader":
        rows.append(
            Row(f"full engine / {peer.name}", heart / theirs, "x", "1, moonshot 3", "the shipped strategy against W1: ours does more")
        )
        rows.append(Row(f"backtest --engine fast / {peer.name}, whole process", command / whole, "x", "0.06, moonshot 0.025"))
        return rows
    return [*rows, Row(f"full engine / {peer.name}", heart / theirs, "x")]


def absent(peer: Peer, why: Path | str) -> Row:
    """Why there is nothing of it."""
    return Row(f"{peer.name}, W1", math.nan, "bars/s", "", f"not measured: {why}")


# --- the peers ------------------------------------------------------------------------------------------------------------


def installed(peer: Peer, venvs: Path | None) -> Path | str:
    """The Python of its environment, made where it is not there yet; or in one line why there is none."""
    if venvs is None:
        return "HEDGEGRIDD_PEERS names no folder for its environment"
    home = venvs.resolve() / "-".join(need.replace("==", "-") for need in peer.needs)
    python = home / "bin/python"
    if (home / "ready").exists():
        return python
    commands = ([sys.executable, "-m", "venv", "--clear", home], [python, "-m", "pip", "install", "-q", *peer.needs])
    for command in commands:
        try:
            made = subprocess.run(command, check=False, capture_output=True, text=True, env=stage.ENVIRONMENT, timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            return f"not installed within {PATIENCE_SECONDS} s"
        if made.returncode:
            return (made.stderr.strip() or f"exit code {made.returncode}").splitlines()[-1]
    (home / "ready").touch()
    return python


def asked(peer: Peer, python: Path, bars: Path) -> dict[str, Any]:
    """What its script told, and how long it took from its start to its end."""
    begun = time.perf_counter()
    script = stage.ROOT / "tests/peers" / f"{peer.name}_w1.py"
    told = subprocess.run([python, script, bars], check=True, capture_output=True, text=True, env=stage.ENVIRONMENT)
    whole = time.perf_counter() - begun
    return {**json.loads(told.stdout.splitlines()[-1]), "whole": whole}


def backtested(config: Path, data: Path, folder: Path) -> float:
    """Seconds of `hedgegridd backtest --engine fast` from its start to its end."""
    line = ["backtest", "--config", str(config), "--data", str(data), "--symbol", "BTCUSDT", "--interval", "1m", "--engine", "fast"]
    command = [sys.executable, "-m", "hedgegridd.cli", *line, "--out", str(folder / "out"), "--json"]
    return stage.spent(command, PYTHONPATH=str(stage.ROOT), XDG_CACHE_HOME=str(backtest.cache(folder)))[0]


# --- bars -----------------------------------------------------------------------------------------------------------------


def saved(packed: Any, path: Path) -> Path:
    """For a peer's script."""
    import numpy

    numpy.save(path, packed)
    return path


def as_parquet(packed: Any, path: Path) -> Path:
    """W1's bars as the exchange's public archive has them; each opens where the last one closed."""
    import numpy
    import pyarrow
    from pyarrow import parquet

    high, low, close = packed.reshape(-1, 3).T / 10.0
    opened = numpy.clip(numpy.concatenate((close[:1], close[:-1])), low, high)
    times = stage.START_MS + numpy.arange(len(close)) * stage.MINUTE_MS
    columns = {"open_time": times, "open": opened, "high": high, "low": low, "close": close, "volume": numpy.full(len(close), 10.0)}
    path.parent.mkdir()
    parquet.write_table(pyarrow.table(columns), path)
    return path


def main() -> None:
    """From the command line, where peers are installed unless told otherwise."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it work at all?")
    parser.add_argument("--venvs", type=Path, help="where the peers' environments are, or are made; else they are made for this run")
    given = parser.parse_args()
    with stage.folder() as folder:
        named = os.environ.get("HEDGEGRIDD_PEERS")
        print(stage.table(measure(given.quick, given.venvs or Path(named or folder))))


if __name__ == "__main__":
    main()
