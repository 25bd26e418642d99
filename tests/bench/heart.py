"""What an event costs inside the heart with 40 rungs: shipped engine, strategy, breakers and gate, with no process around them.

Processor time of the one thread there is, so that what else the machine does is not counted.

python tests/bench/heart.py [--quick]
"""

from __future__ import annotations

import gc
import statistics
from time import thread_time_ns
from typing import Any

import stage
from rig import MINUTE, START, Rig, config_of, instrument_table
from stage import Row

from hedgegridd.heart.effects import Amend, Cancel, Place, Sync
from hedgegridd.model import Bar, Funding, Mark, Moment, Role, Timer

RUNGS = 20  # a leg
MARKS = frozenset({"bars", "volume", "funding", "marks", "index"})
EIGHT_HOURS = 480 * MINUTE
PRICE = 1_000_000  # ticks of 0.1: 100,000 USDT
INTENTS = (Place, Amend, Cancel, Sync)


class Timed(Rig):
    """A rig that notes how long the engine took for each event, and whether intents came of it."""

    def __init__(self, recenter_bps: float = 300.0, **options: Any) -> None:
        super().__init__(_config(recenter_bps), **options)
        self.noted: list[tuple[type, int, bool]] = []  # (event, ns, intents)

    def _handle(self, event: Any) -> list[Any]:
        if event.time < self.engine.now:
            event = event._replace(time=self.engine.now)
        begun = thread_time_ns()
        effects = self.engine.handle(event)
        spent = thread_time_ns() - begun
        self.noted.append((type(event), spent, any(isinstance(effect, INTENTS) for effect in effects)))
        for effect in effects:
            self._perform(effect)
        return list(effects)


def _config(recenter_bps: float) -> Any:
    grid = {"grid_levels_long": RUNGS, "grid_levels_short": RUNGS, "grid_step_bps": 20.0, "base_qty": 0.002, "qty_scale": 1.02}
    instrument = instrument_table("BTCUSDT", grid=grid, rebalance={"recenter_trigger_bps": recenter_bps})
    wide = {"session_loss": {"max_loss_amount_usdt": 1e6}, "position_size": {"max_position_usdt": 1e6}}
    paper = {"name": "paper", "paper": {"starting_balance_usdt": 1e6}}
    return config_of(instrument=[instrument], breaker=wide, exchange=paper)


def _stand(**options: Any) -> Timed:
    """Warm, with every rung resting."""
    rig = Timed(**options)
    rig.start()
    rig.market(Funding("BTCUSDT", START, 0.00001, EIGHT_HOURS))
    rig.bars([PRICE + (i % 3) * 10 for i in range(60)], reach=5)
    rungs = len(rig.resting(Role.ENTRY))
    if rungs != 2 * RUNGS:
        raise RuntimeError(f"{rungs} rungs rest, expected {2 * RUNGS}: {rig.desk().withheld[:2]} {rig.engine.gate.hold()}")
    rig.noted.clear()
    return rig


def measure(quick: bool = False) -> list[Row]:
    """Quiet marks and bars, then a market that trades."""
    many = 200 if quick else 20_000
    gc.collect()
    return [*_quiet(many), *_trading(40 if quick else 4_000), *_recentres(3 if quick else 150)]


def _quiet(many: int) -> list[Row]:
    """Nothing is touched: a mark and a bar with 40 rungs resting and nothing to do; and the strategy's own part of the bar."""
    rig = _stand(carries=MARKS, cadence_ms=1000)
    time = rig.engine.now
    for i in range(many):
        rig.market(Mark("BTCUSDT", time + 100 * i, PRICE + i % 7, PRICE + 1.0))
    marks = [spent for kind, spent, _ in rig.noted if kind is Mark]
    rig = _stand()
    desk, time = rig.desk(), rig.engine.now
    for i in range(1, many // 4 + 1):
        rig.market(Bar("BTCUSDT", time + i * MINUTE, PRICE, PRICE + 9, PRICE - 9, PRICE + i % 5, 1000, MINUTE))
        if i % 400 == 0:
            rig.market(Funding("BTCUSDT", rig.engine.now, 0.00001, EIGHT_HOURS))
    bars = [spent for kind, spent, _ in rig.noted if kind is Bar]
    if len(rig.resting(Role.ENTRY)) != 2 * RUNGS or rig.engine.counts["orders"] != 2 * RUNGS:
        raise RuntimeError("a quiet market moved the grid")
    step = _spent(lambda: desk.think(Moment.BAR, rig.engine.now, 1e6, 1.0), many // 4)
    return [
        Row("quiet mark, 40 rungs", statistics.median(marks) / 1e3, "us", "15 (5)", "heart only, median"),
        Row("quiet mark p99", stage.percentile(marks, 0.99) / 1e3, "us"),
        Row("quiet bar, 40 rungs", statistics.median(bars) / 1e3, "us", "", "heart only, median; the strategy looks"),
        Row("quiet bar / the strategy's step alone", statistics.median(bars) / step, "x", "", "same run"),
    ]


def _trading(many: int) -> list[Row]:
    """A market that walks through the grid: every event of which intents came, whatever it was."""
    rig = _stand()
    reach = 600
    for close in stage.closes(many, price=PRICE / 10, year_vol=2.0):
        last, time = rig.desk().bar.close, rig.engine.now // MINUTE * MINUTE + MINUTE
        rig.market(Bar("BTCUSDT", time, last, max(last, close) + reach, min(last, close) - reach, close, 10_000_000, MINUTE))
        rig.take(Timer(time, time))
        if time % EIGHT_HOURS == 0:
            rig.market(Funding("BTCUSDT", time, 0.00001, EIGHT_HOURS))
    decided = [spent for _, spent, intents in rig.noted if intents]
    every = [spent for _, spent, _ in rig.noted]
    note = f"{rig.engine.counts['fills']} fills, {len(decided)} of {len(every)} events brought intents"
    return [
        Row("event to its intents, p50", statistics.median(decided) / 1e6, "ms", "", note),
        Row("event to its intents, p99", stage.percentile(decided, 0.99) / 1e6, "ms", "1 (0.1)"),
        Row("trading event, median", statistics.median(decided) / 1e3, "us", "300 (100)"),
        Row("any event in a trading market, p99", stage.percentile(every, 0.99) / 1e6, "ms", "1"),
    ]


def _recentres(many: int) -> list[Row]:
    """The worst event there is: the grid moves, and every rung of it is withdrawn and wished anew at once."""
    rig, spent = _stand(recenter_bps=25.0), []
    for i in range(many):
        rig.noted.clear()
        for base in (PRICE if i % 2 else round(PRICE * 1.003),) * 2:
            rig.market(Bar("BTCUSDT", rig.engine.now + MINUTE, base, base + 5, base - 5, base, 1000, MINUTE))
        spent.append(max(ns for _, ns, _ in rig.noted))
    note = f"the slowest event of each; {rig.engine.counts['orders'] / many:.0f} orders a time"
    return [
        Row("whole grid moved at once, p50", statistics.median(spent) / 1e6, "ms", "", note),
        Row("whole grid moved at once, p99", stage.percentile(spent, 0.99) / 1e6, "ms"),
    ]


def _spent(call: Any, times: int) -> float:
    """Median ns of a call."""
    spent = []
    for _ in range(times):
        begun = thread_time_ns()
        call()
        spent.append(thread_time_ns() - begun)
    return statistics.median(spent)


if __name__ == "__main__":
    stage.main(measure)
