"""Random backtests for the parity of engines: a configuration, a path of bars and funding, all out of one seed; and what a run told.

The cases are meant to be awkward: liquidations, trips of every breaker, holes in the data, jumps through stops, orders below the
smallest notional, tiny balances and lots.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rig import REGISTRY

from hedgegridd.config import Config
from hedgegridd.feed.source import open_feed
from hedgegridd.model import Bar, FeedEnd, Funding, Gap
from hedgegridd.research import compiled
from hedgegridd.research.fastrun import FastRun
from hedgegridd.research.full import FullRun
from hedgegridd.research.outcome import Outcome
from hedgegridd.settings import fill_settings

MINUTE, HOUR, START = 60_000, 3_600_000, 1_735_689_600_000
MODELS = ("touch", "trade_through", "queue")


class Told:
    """A recorder that keeps everything it is told."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.rows: list[tuple[Any, ...]] = []

    def begin(self, time: int) -> None:
        self.log.append(("begin", time))

    def ordered(self, *row: Any) -> None:
        self.log.append(("order", *map(plain, row)))

    def accepted(self, name: str) -> None:
        self.log.append(("accepted", name))

    def amended(self, *row: Any) -> None:
        self.log.append(("amended", *row))

    def ended(self, *row: Any) -> None:
        self.log.append(("ended", *row))

    def filled(self, fill: dict[str, Any]) -> None:
        self.log.append(("fill", *map(plain, fill.values())))

    def paid(self, *row: Any) -> None:
        self.log.append(("paid", *map(plain, row)))

    def tripped(self, trip: dict[str, Any]) -> None:
        self.log.append(("trip", *sorted((key, str(value)) for key, value in trip.items())))

    def acted(self, *row: Any) -> None:
        """Only the full engine tells these."""

    def bar(self, symbol: str, row: tuple[Any, ...]) -> None:
        self.rows.append(tuple(map(plain, row)))

    def bars(self, symbol: str, columns: dict[str, Any]) -> None:
        lists = [column if isinstance(column, list) else column.tolist() for column in columns.values()]
        self.rows += [tuple(map(plain, row)) for row in zip(*lists, strict=True)]


def plain(value: Any) -> Any:
    """Enums and numbers of arrays as Python's own; nan as text, so that it equals itself."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Walk(SimpleNamespace):
    """A feed of one symbol out of a list of events."""

    carries = frozenset({"bars", "volume", "funding"})
    symbols = ("BTCUSDT",)

    def events(self, after: int = 0) -> Iterator[Any]:
        return (event for event in self.list if event.time > after)

    def warmup(self, symbol: str, bars: int) -> list[Bar]:
        return list(self.before[-bars:])

    def next_funding(self, symbol: str, after: int) -> tuple[int, float | None]:
        return (after // (8 * HOUR) + 1) * 8 * HOUR, self.outlook

    def span(self) -> None:
        return None

    def notes(self) -> list[str]:
        return []


def path(rng: random.Random, bars: int, interval: int = MINUTE) -> Walk:
    """A walk with quiet and wild stretches, jumps, short and long holes, and settlements, some of them missing."""
    price, vol = rng.choice([800, 5_000, 100_000, 600_000]), rng.choice([2, 8, 30, 80])
    time, events, before = START + rng.randrange(0, 3 * 24 * 60) * MINUTE, [], []
    warm = rng.choice([0, 0, 40])
    for count in range(-warm, bars):
        if rng.random() < 0.02:
            vol = rng.choice([2, 8, 30, 80, 250])
        opened = max(50, price + (round(price * rng.gauss(0, vol * 8) / 1e4) if rng.random() < 0.01 else 0))
        close = max(50, round(opened * math.exp(rng.gauss(0, vol) / 1e4)))
        high = max(opened, close) + abs(round(opened * rng.gauss(0, vol / 2) / 1e4))
        low = max(1, min(opened, close) - abs(round(opened * rng.gauss(0, vol / 2) / 1e4)))
        hole = rng.random()
        skipped = interval * rng.randrange(61, 300) if count > 0 and hole < 0.002 else interval * rng.randrange(1, 30) if hole < 0.01 else 0
        if count > 0 and skipped > 60 * MINUTE:
            events.append(Gap("BTCUSDT", time + skipped, time))
        last, time = time, time + interval + skipped
        bar = Bar("BTCUSDT", time, opened, high, low, close, rng.choice([0, rng.randrange(1, 50_000), rng.randrange(1, 500)]), interval)
        (events if count >= 0 else before).append(bar)
        if count >= 0 and time // HOUR > last // HOUR and rng.random() < 0.8:
            every = rng.choice([HOUR, 4 * HOUR, 8 * HOUR])
            events.append(Funding("BTCUSDT", time + rng.choice([0, 3, 29]), round(rng.gauss(0.0001, 0.0006), 8), every))
        price = close
    outlook = rng.choice([None, 0.0001, -0.0003])
    tape = SimpleNamespace(interval_ms=interval)
    return Walk(list=[*events, FeedEnd(events[-1].time)], before=before, outlook=outlook, cadence_ms=interval, tapes=[tape])


def settings(rng: random.Random) -> dict[str, Any]:
    """The strategy's sections."""
    tp, fast = rng.randrange(1, 5), rng.randrange(2, 8)
    step = rng.choice([10.0, 25.0, 50.0, 120.0])
    return {
        "grid": {"grid_step_bps": step, "grid_levels_long": rng.randrange(1, 13), "grid_levels_short": rng.randrange(0, 13),
                 "base_qty": rng.choice([0.002, 0.01, 0.05]), "qty_scale": rng.choice([0.9, 1.0, 1.1, 1.4])},
        "exit": {"tp_steps": tp, "sl_steps": tp + rng.randrange(0, 8), "tp_levels": rng.randrange(1, 4)},
        "rebalance": {"recenter_trigger_bps": step + rng.choice([1.0, 60.0, 300.0])},
        "execution": {"price_tolerance_bps": rng.choice([0.0, 0.0, 6.0]), "qty_tolerance_pct": rng.choice([0.0, 1.0, 10.0])},
        "funding": {"funding_window_minutes": rng.choice([0, 60, 480, 960]), "funding_max_cost_bps": rng.choice([0.0, 1.0, 10.0])},
        "regime": {"ema_fast": fast, "ema_slow": fast + rng.randrange(1, 20), "adx_len": rng.randrange(2, 8),
                   "atr_len": rng.randrange(1, 8), "hysteresis_bps": rng.choice([0.0, 10.0]), "adx_threshold": rng.choice([0.0, 25.0])},
        "position": {"max_position_pct": rng.choice([20.0, 300.0, 12_500.0])},
        "policy": {"strategy": rng.choice(["throttled-counter", "core-and-scalp"]), "counter_levels": rng.randrange(0, 6),
                   "counter_qty_scale": rng.choice([0.0, 0.5, 1.0])},
        "risk_management": {"max_drawdown_pct": rng.choice([0.3, 4.0, 50.0]), "enable_drawdown_protection": rng.random() < 0.7,
                            "max_errors_per_minute": rng.choice([1, 10]), "enable_circuit_breaker": rng.random() < 0.7},
    }  # fmt: skip


def breakers(rng: random.Random) -> dict[str, Any]:
    """Limits that are sometimes met."""
    table: dict[str, Any] = {
        "drawdown": {"max_drawdown_pct": rng.choice([0.05, 0.3, 1.0, 60.0]), "max_daily_drawdown_pct": rng.choice([0.5, 80.0])},
        "session_loss": {"max_loss_amount_usdt": rng.choice([2.0, 30.0, 1e6])},
        "daily_loss": {"max_daily_loss_pct": rng.choice([0.1, 2.0, 90.0]), "daily_loss_limit_usdt": rng.choice([3.0, 1e6])},
        "funding": {"max_funding_cost_bps": rng.choice([2.0, 20.0, 500.0]), "max_funding_cost_1h_usdt": rng.choice([0.01, 50.0])},
        "margin": {"max_initial_margin_use_pct": rng.choice([5.0, 80.0, 100.0]), "max_maint_margin_pct": rng.choice([1.0, 50.0, 100.0])},
        "position_size": {"max_position_usdt": rng.choice([50.0, 10_000.0, 1e7])},
        "order_errors": {"max_errors_per_minute": rng.choice([1, 3, 10])},
        "stale_data": {"max_age_seconds": rng.choice([10.0, 3600.0]), "min_quality": rng.choice([0.5, 0.8, 0.99])},
    }
    for one in table.values():
        if rng.random() < 0.35:
            one["on_trip"] = rng.choice(["warn", "pause", "halt", "flatten"])
        one.update(enabled=rng.random() < 0.4, cooldown_seconds=rng.choice([0, 60, 300]), grace_seconds=rng.choice([0, 30, 600]))
    return table


def config(rng: random.Random) -> Config:
    """A paper configuration; what the strategy refuses is drawn again by the caller."""
    filters = {"tick_size": 0.1, "lot_size": 0.001, "min_notional": rng.choice([0.0, 5.0, 60.0]),
               "market_max_qty": rng.choice([0.02, 1.0, 100.0]), "maint_margin_pct": rng.choice([0.4, 5.0, 20.0])}  # fmt: skip
    instrument = {"symbol": "BTCUSDT", "leverage": rng.choice([1.0, 5.0, 50.0]), "filters": filters, "params": settings(rng)}
    paper = {"starting_balance_usdt": rng.choice([40.0, 500.0, 10_000.0]), "fill_model": rng.choice(MODELS),
             "slippage_bps": rng.choice([0.0, 1.0, 30.0]), "queue_share_pct": rng.choice([1.0, 10.0, 100.0]),
             "latency_ms": rng.choice([0.0, 0.0, 0.0, 300.0])}  # fmt: skip
    if rng.random() < 0.4:
        tiers = ((0.0, 0.4), (rng.choice([20.0, 300.0]), 2.0), (rng.choice([900.0, 5_000.0]), 25.0))
        instrument["brackets"] = [{"notional_floor_usdt": floor, "maint_margin_pct": rate} for floor, rate in tiers]
    table = {
        "exchange": {"paper": paper},
        "limits": {"max_exposure_pct": rng.choice([50.0, 400.0, 20_000.0]), "max_position_pct": rng.choice([100.0, 20_000.0]),
                   "max_risk_per_trade_pct": rng.choice([0.5, 100.0]), "max_open_trades": rng.choice([1, 5])},
        "kill_switch": {"enabled": rng.random() < 0.8},
        "flatten": {"tranch_large_positions": rng.random() < 0.5, "large_position_threshold_usdt": rng.choice([20.0, 100_000.0])},
        "protect": {"emergency_stop_pct": rng.choice([0.2, 5.0, 60.0])},
        "alerts": {"enabled": False},
        "instrument": [instrument],
        "breaker": breakers(rng),
    }  # fmt: skip
    made, problems = fill_settings(Config, table, "")
    assert not problems, problems
    return made


class Case:
    """One seed's configuration and path."""

    def __init__(self, seed: int, bars: int = 260) -> None:
        rng = random.Random(seed)
        self.seed, self.config, self.feed = seed, config(rng), path(rng, bars)

    def full(self) -> tuple[Told, Outcome]:
        told = Told()
        return told, FullRun(self.config, REGISTRY, self.feed, told).run(_nobody)

    def fast(self, code: compiled.Code, chunk: int = 16_384) -> tuple[Told, Outcome]:
        told = Told()
        return told, FastRun(self.config, REGISTRY, self.feed, told, code, chunk).run(_nobody)


def recorded(file: Path, config: Config, since: int | None = None, until: int | None = None) -> Any:
    """A recording as a feed."""
    instruments = {item.symbol: item.instrument() for item in config.instrument}
    return open_feed(config.feed, instruments, file, since=since, until=until)


def _nobody(_: int) -> None:
    """Nobody wants to know how far it is."""


def difference(one: tuple[Told, Outcome], other: tuple[Told, Outcome]) -> str:
    """The first thing that two runs tell differently; "" = nothing."""
    for name in ("log", "rows"):
        mine, yours = getattr(one[0], name), getattr(other[0], name)
        for at, (a, b) in enumerate(zip(mine, yours, strict=False)):
            if a != b:
                return f"{name} {at}: {a} / {b}"
        if len(mine) != len(yours):
            return f"{name}: {len(mine)} / {len(yours)}: {(mine + yours)[min(len(mine), len(yours))]}"
    a, b = one[1]._replace(engine=""), other[1]._replace(engine="")
    return "" if str(a) == str(b) else f"outcome: {a} / {b}"
