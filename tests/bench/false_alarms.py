"""How often each breaker trips on recorded data, by preset: the full engine with the grid of etc/backtest.toml, every breaker asked.

Each recording is played month by month, each month a session of its own with fresh money. No trip stops anything (`on_trip` is
"warn"), so that one does not hide the next; what trips again within 5 minutes, as long as a pause lasts, counts once. The account is
the same under each preset (so small a grid meets no limit of theirs), so one run asks the breakers of all three. Whether an alarm was
false is not judged here: a crash is in it like everything else.

python tests/bench/false_alarms.py [--quick]
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from stage import ROOT, SHARED

from hedgegridd.config import load
from hedgegridd.heart.breakers import Guard
from hedgegridd.heart.window import LONG, VOLUMES
from hedgegridd.model import Level
from hedgegridd.plugins import Registry, equip, load_shipped
from hedgegridd.research.backtest import prepare
from hedgegridd.research.full import FullRun
from hedgegridd.research.outcome import Mute
from hedgegridd.schema import PRESETS
from hedgegridd.times import iso

SYMBOLS, INTERVALS = ("BTCUSDT", "ETHUSDT"), ("1m", "5m", "15m")
CAPTURES = (("BTCUSDT", "btcusdt_20230404.dat.gz"), ("BTCUSDT", "btcusdt_20230405.dat.gz"), ("BTCUSDT", "btcusdt_20240718.gz"),
            ("BTCUSDT", "btcusdt_20240719.gz"), ("ETHUSDT", "ethusdt_20240718.gz"), ("ETHUSDT", "ethusdt_20240719.gz"))  # fmt: skip
VARIED = ("daily_loss", "drawdown", "margin", "session_loss")  # the breakers that presets set
OF_MANY_BARS = ("volatility", "volume")  # not asked of captures, which have a few bars
AGAIN_MS = 300_000
MONTH_MS = 30.44 * 86_400_000


class Played(NamedTuple):
    """One run: trips by breaker, ms of data, and the breakers whose input the data do not carry."""

    interval: str  #: or "captures"
    trips: Counter[tuple[str, str]]  #: by (breaker, preset)
    ms: int
    disarmed: frozenset[str]


class Trips(Mute):
    """Takes down what trips, and over how much of the data."""

    def __init__(self) -> None:
        self.trips: Counter[tuple[str, str]] = Counter()
        self.last: dict[str, int] = {}

    def tripped(self, trip: dict[str, Any]) -> None:
        name, time = trip["name"], trip["time"]
        if time - self.last.get(name, -AGAIN_MS) >= AGAIN_MS:
            breaker, _, preset = name.partition(" ")
            for one in [preset] if preset else PRESETS:
                self.trips[breaker, one] += 1
        self.last[name] = time


def play(symbol: str, interval: str, data: str, start: str | None, end: str | None) -> Played | None:
    """One recording, or a month of it; None where there is nothing in it."""
    registry = load_shipped()
    off = VARIED if start else (*VARIED, *OF_MANY_BARS)
    asked = {name: {"enabled": name not in off, "on_trip": "warn", "grace_seconds": 3600.0} for name in registry.breakers}
    config = load(ROOT / "etc" / "backtest.toml", overrides={"breaker": asked})
    options = {"data": data, "symbol": symbol, "interval": interval, "start": start, "end": end, "funding_bps": 1.0}
    job = prepare(config, registry, options, say=lambda _: None, quiet=True)
    trips, times, feed = Trips(), list[int](), job.feed()
    run = FullRun(job.config, registry, feed, trips)
    guards = run.engine.panel.guards
    disarmed = frozenset(guard.name for guard in guards.values() if guard.state == "disarmed" and guard.name not in VARIED)
    for guard in by_preset(registry):
        run.engine.panel.add(guard)
    if not start:
        as_if_warm(run.engine.desks[symbol])
    run.run(times.append)
    spent = sum(after - before for before, after in pairwise(times) if after - before < 3_600_000)
    return Played("captures" if start is None else interval, trips.trips, spent, disarmed) if spent else None


def as_if_warm(desk: Any) -> None:
    """A capture is minutes long: what breakers know of bars is made up, what they know of quotes is the capture's."""
    desk.window.squares.extend([1e-8] * LONG)
    desk.window.volumes.load([1] * VOLUMES)


def by_preset(registry: Registry) -> Iterator[Guard]:
    """What presets set otherwise than each other, once for each, named "breaker preset"."""
    for preset, tables in PRESETS.items():
        for name in VARIED:
            plugin = registry.breakers[name]
            breaker, problems = equip(plugin.thing, tables["breaker"][name], name)
            assert not problems
            yield Guard(f"{name} {preset}", plugin.file.name, breaker, plugin.sha256, on_trip=Level.WARN, grace_ms=3_600_000)


def months(interval: str, symbol: str) -> list[tuple[str, str]]:
    """The calendar months that a table of bars has."""
    import pyarrow.parquet as parquet

    times = parquet.read_table(SHARED / "data" / "klines" / interval / f"{symbol}.parquet", columns=["open_time"])["open_time"].to_pylist()
    seen = sorted({(at.year, at.month) for at in (datetime.fromtimestamp(time / 1000, UTC) for time in times[::60])})
    edges = [(datetime(y, m, 1, tzinfo=UTC), datetime(y + m // 12, m % 12 + 1, 1, tzinfo=UTC)) for y, m in seen]
    return [(iso(int(begin.timestamp() * 1000)), iso(int(end.timestamp() * 1000) - 1)) for begin, end in edges]


def jobs(quick: bool) -> list[tuple[Any, ...]]:
    """Everything there is to play; `quick` a single month of each symbol."""
    data = SHARED / "data"
    bars = [(symbol, interval, str(data), *month) for interval in INTERVALS for symbol in SYMBOLS for month in months(interval, symbol)]
    captures = [(symbol, "1m", str(data / "captures" / file), None, None) for symbol, file in CAPTURES]
    return [job for job in bars if job[1] == "15m"][::18] if quick else captures + bars


def measure(quick: bool = False) -> list[Played]:
    """Play it all, on every processor."""
    with ProcessPoolExecutor() as pool:
        return [one for one in pool.map(play, *zip(*jobs(quick), strict=True)) if one is not None]


def table(found: list[Played]) -> list[str]:
    """Rows of Markdown: trips per month of data on bars of 1m / 5m / 15m, and how many in all captures."""
    lines = [f"| trips per month on {' / '.join(INTERVALS)} bars | {' | '.join(PRESETS)} | in the captures |", "|---" * 5 + "|"]
    names = sorted(load_shipped().breakers)
    never = [name for name in names if all(name in one.disarmed for one in found)]
    for name in [name for name in names if name not in never]:
        cells = [" / ".join(rate(found, name, preset, interval) for interval in INTERVALS) for preset in PRESETS]
        lines.append(f"| {name} | {' | '.join(cells)} | {count(found, name)} |")
    return [*lines, "", f"No recording carries what these need: {', '.join(never)}."]


def rate(found: list[Played], name: str, preset: str, interval: str) -> str:
    """Trips per month; - where the data do not carry what it needs."""
    mine = [one for one in found if one.interval == interval and name not in one.disarmed]
    spent = sum(one.ms for one in mine)
    return f"{sum(one.trips[name, preset] for one in mine) / spent * MONTH_MS:.2g}" if spent else "-"


def count(found: list[Played], name: str) -> str:
    """Trips in all captures, which are minutes long, under the middle preset."""
    mine = [one for one in found if one.interval == "captures" and name not in one.disarmed]
    return str(sum(one.trips[name, "moderate"] for one in mine)) if mine else "-"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one month only: to see that it runs")
    print("\n".join(table(measure(parser.parse_args().quick))))
