"""A rig on which everything happens, by seed: wild markets, silence, refusals, people, reloads, breakers near to their lines.

One law: the same seed makes the same events, whatever is looked at between them. `after` is called after each of them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from rig import START, Rig, config_of, instrument_table

from hedgegridd.heart.desk import LEGS
from hedgegridd.heart.engine import Engine
from hedgegridd.heart.snapshot import vitals
from hedgegridd.kernel import ledger, measures
from hedgegridd.model import Charged, Funding, Gap, Held, Mark, Outlook, Quote, Report, Trade, Transfer
from hedgegridd.views import Snapshot, Vitals

OFF_BY_DEFAULT = ("spread_widening", "depth_thinning", "volatility", "price_velocity", "volume", "components")
OF_A_WINDOW = frozenset(OFF_BY_DEFAULT[:5])
RUNS = (*["mark"] * 30, *["quote"] * 30, *["trade"] * 8, *["bar"] * 14, *["timer"] * 10, *["calm"] * 6, "lull", "vitals", "funding",
        "verb", "refuse", "money", "gap", "pace", "pace", "reload")  # fmt: skip


class Wild:
    """One run."""

    def __init__(self, seed: int, after: Callable[[Rig, Any, list[Any]], None]) -> None:
        rng = self.rng = random.Random(seed)
        self.symbols = ["BTCUSDT", *(f"C{i}USDT" for i in range(1, rng.choice([1, 2, 3, 6])))]
        self.price = dict.fromkeys(self.symbols, 500_000.0)
        self.on = [name for name in OFF_BY_DEFAULT if rng.random() < 0.4]
        self.live, self.refused, self.pace = rng.random() < 0.6, 0.0, rng.choice([1e-5, 1e-4])
        carries = {"bars", "volume", "funding", "marks", "index", "quotes"} if rng.random() < 0.8 else {"bars", "volume", "funding"}
        carries |= {"vitals", "requests"} if rng.random() < 0.3 else set()
        carries |= {"trades"} if rng.random() < 0.3 else set()
        self.rig = Rig(self._config(), frozenset(carries), rng.choice([1_000, 1_000, 60_000]))
        watch(self.rig, after)
        self._begin()

    def _config(self) -> Any:
        rng, some = self.rng, self.rng.choice
        grid = {"grid_levels_long": 4, "grid_levels_short": 4, "grid_step_bps": 10.0, "base_qty": 0.002}
        risk = {"max_drawdown_pct": some([0.01, 0.1, 4.0, 4.0]), "max_errors_per_minute": some([2, 10]),
                "circuit_breaker_cooldown_seconds": some([5, 90])}  # fmt: skip
        exits = {"tp_steps": some([1, 2]), "sl_steps": some([3, 8])}
        tables = [instrument_table(symbol, grid=grid, exit=exits, risk_management=risk) for symbol in self.symbols]
        breaker: dict[str, Any] = {name: {"enabled": True, "cooldown_seconds": 20.0} for name in self.on}
        breaker["drawdown"] = {"max_drawdown_pct": some([0.2, 1.0, 5.0]), "smoothing_minutes": some([0.0, 2.0]),
                               **some([{}, {"reduce_drawdown_pct": 0.05}, {"max_daily_drawdown_pct": 0.5}])}  # fmt: skip
        breaker["funding"] = {"enabled": rng.random() < 0.7, "max_funding_cost_bps": some([3.0, 20.0]),
                              **some([{}, {"max_funding_cost_1h_usdt": 0.05}])}  # fmt: skip
        breaker["position_size"] = {"max_position_usdt": some([700.0, 1_500.0, 10_000.0]), "warn_fraction": 0.5}
        breaker["margin"] = {"max_initial_margin_use_pct": some([1.0, 4.0, 80.0])}
        breaker["daily_loss"] = {"on_trip": some(["warn", "pause", "halt", "flatten"]), "max_daily_loss_pct": some([0.05, 2.0])}
        breaker["stale_data"] = {"max_age_seconds": some([2.0, 20.0, 200.0]), "cooldown_seconds": 10.0}
        breaker["order_errors"] = {"max_errors_per_minute": 3, "cooldown_seconds": 15.0}
        limits = {"equity_usdt": 10_000.0, "max_exposure_pct": 400.0, "max_position_pct": 400.0, "max_open_trades": 100}
        alerts = {"max_position_size_usd": some([500.0, 5_000.0]), "max_daily_loss_pct": some([0.02, 2.0])}
        mode = {"mode": "live", "recovery": {"enabled": False}} if self.live else {}
        exchange = {"name": "paper", "paper": {"starting_balance_usdt": 10_000.0}}
        return config_of(instrument=tables, breaker=breaker, limits=limits, alerts=alerts, exchange=exchange, **mode)

    def _begin(self) -> None:
        rig, rng = self.rig, self.rng
        rig.refuse = lambda order: rng.choice([-1001, -5022, -2021, -2010]) if rng.random() < self.refused else 0
        rig.start()
        self._report()
        for symbol in self.symbols:
            rate = rng.choice([0.0001, -0.0002, 0.0004])
            if rng.random() < 0.95:
                rig.take(Outlook(symbol, rig.engine.now, rate, rig.engine.now + 28_800_000))
            rig.bars([500_000 + i % 3 * 10 for i in range(300 if OF_A_WINDOW & set(self.on) else 40)], symbol)
            for _ in range(20 if OF_A_WINDOW & set(self.on) else 1):
                self._quote(symbol, 3_000)
            self._mark(symbol)

    def run(self, steps: int) -> Rig:
        """So many things happen."""
        for name in self.rng.choices(RUNS, k=steps):
            getattr(self, f"_{name}")()
        return self.rig

    # --- the market ---------------------------------------------------------------------------------------------------

    def _moved(self, symbol: str, times: float = 1.0) -> float:
        self.price[symbol] *= 1 + self.rng.gauss(0, self.pace * times)
        return self.price[symbol]

    def _later(self) -> int:
        return self.rig.engine.now + self.rng.choice([0, 0, 1, 50, 400])

    def _mark(self, symbol: str = "") -> None:
        rng, symbol = self.rng, symbol or self.rng.choice(self.symbols)
        price, told = self._moved(symbol), (0.0001 * rng.randint(-3, 4), self.rig.engine.now + 10_000_000)
        index = price * rng.choice([1.0, 1.0001, 1.001]) if rng.random() < 0.997 else None
        if "marks" in self.rig.carries:
            self.rig.market(Mark(symbol, self._later(), price, index, *(told if rng.random() < 0.2 else ())))

    def _quote(self, symbol: str = "", later: int = 0) -> None:
        rng, symbol = self.rng, symbol or self.rng.choice(self.symbols)
        price, half = int(self._moved(symbol)), rng.choice([1, 1, 1, 2, 9]) if rng.random() < 0.99 else -1
        if "quotes" in self.rig.carries:
            sizes = rng.randint(0, 5_000), rng.randint(1, 5_000)
            self.rig.market(Quote(symbol, self._later() + later, price - half, sizes[0], price + half, sizes[1]))

    def _trade(self) -> None:
        symbol, rng = self.rng.choice(self.symbols), self.rng
        if "trades" in self.rig.carries:
            self.rig.market(Trade(symbol, self._later(), int(self._moved(symbol)), rng.randint(1, 50), rng.random() < 0.5))

    def _bar(self) -> None:
        for symbol in self.symbols:
            if self.rng.random() < 0.9:
                self.rig.bars([int(self._moved(symbol, 3.0))], symbol, reach=self.rng.choice([0, 50, 600]))

    def _funding(self) -> None:
        rate, interval = self.rng.choice([0.0001, 0.0005, -0.0003]), self.rng.choice([28_800_000, 3_600_000])
        self.rig.market(Funding(self.rng.choice(self.symbols), self.rig.engine.now + 1, rate, interval))

    def _gap(self) -> None:
        self.rig.market(Gap(self.rng.choice(self.symbols), self.rig.engine.now + 1, self.rig.engine.now))

    def _pace(self) -> None:
        self.pace = self.rng.choice([0.0, 1e-5, 1e-4, 3e-4, 1e-3])

    # --- time, the exchange and people ----------------------------------------------------------------------------------

    def _timer(self) -> None:
        self.rig.timer(self.rng.choice([0.1, 1, 1, 3, 15]))
        self._vitals()

    def _lull(self) -> None:
        self.rig.timer(self.rng.choice([1, 20, 70, 400]))
        self._vitals()
        for symbol in self.symbols:
            self._quote(symbol)
            self._mark(symbol)

    def _vitals(self) -> None:
        engine, rng = self.rig.engine, self.rng
        lag = rng.choice([None, 9_000.0]) if rng.random() < 0.02 else 5.0
        if "vitals" in self.rig.carries:
            self.rig.take(Vitals(engine.now, max(engine.wall, START), lag, 1.0, 0, 1.0, 1.0, 100, 0, 0, 0.0, 10.0, 20.0, 0.0))

    def _refuse(self) -> None:
        self.refused = self.rng.choice([0.0, 0.0, 0.3, 1.0])

    def _money(self) -> None:
        now, rng = self.rig.engine.now, self.rng
        self.rig.take(Transfer(now, rng.choice([100.0, -50.0]), f"t{rng.random()}"))
        self.rig.take(Charged(rng.choice(self.symbols), now, rng.choice([1.0, -0.5, 30.0]), "fee"))

    def _verb(self) -> None:
        rng = self.rng
        symbol, leg, name = rng.choice(self.symbols), rng.choice(["long", "short", "both"]), rng.choice(list(self.rig.engine.panel.guards))
        verb, params = rng.choice([
            ("pause", {"symbol": symbol, "leg": leg}), ("resume", {"symbol": symbol}), ("graceful", {"symbol": symbol, "leg": leg}),
            ("flatten", {"symbol": symbol, "leg": leg}), ("activate", {"level": rng.choice(["halt", "flatten"])}),
            ("breakers.disarm", {"name": name, "seconds": 30}), ("breakers.arm", {"name": name}), ("breakers.reset", {"name": name}),
        ])  # fmt: skip
        self.rig.verb(verb, reason="tried", **params)

    def _calm(self) -> None:
        """A person puts everything back to work."""
        for name, guard in self.rig.engine.panel.guards.items():
            if guard.state == "tripped":
                self.rig.verb("breakers.reset", name=name, reason="tried")
        self.rig.verb("deactivate", reason="tried")
        self.rig.verb("resume", reason="tried")
        self._report()

    def _report(self) -> None:
        engine = self.rig.engine
        desks = engine.desks.values()
        held = tuple(Held(desk.symbol, leg, desk.held(leg), desk.entry(leg)) for desk in desks for leg in (0, 1) if desk.held(leg))
        if self.live and self.rng.random() < 0.5:
            orders = tuple(order for desk in desks for order in desk.orders.open.values())
            self.rig.take(Report(engine.now, engine.account.wallet, held, orders))

    def _reload(self) -> None:
        old, made = self.rig.engine, Rig(self.rig.config, self.rig.carries, self.rig.cadence_ms).engine
        if self.rng.random() < 0.5:
            made.take_over(old)
        else:
            made.load(json.loads(json.dumps(old.dump())))
        self.rig.engine = made


def watch(rig: Rig, after: Callable[[Rig, Any, list[Any]], None]) -> None:
    """Let `after` see every event and what came of it."""
    take = rig._handle

    def handle(event: Any) -> list[Any]:
        effects = take(event)
        after(rig, rig.inputs[-1], effects)
        return effects

    rig._handle = handle  # type: ignore[method-assign]


def fresh(engine: Engine) -> Snapshot:
    """The picture, made of nothing that is kept."""
    account, now, desks = engine.account, engine.now, engine.desks.values()
    equity, maintenance, initial = account.equity, 0.0, 0.0
    for desk in desks:
        for leg in LEGS:
            maintenance += ledger.leg_maint(desk.held_usdt(leg), desk.tiers)
            initial += measures.initial_usdt(desk.held_usdt(leg), desk.openers_usdt(leg), desk.instrument.leverage)
    return Snapshot(
        now,
        equity,
        account.wallet,
        sum([desk.books.realized for desk in desks]),
        sum(account.unrealized.values(), 0.0),
        sum([desk.books.fees for desk in desks]),
        sum([desk.books.funding for desk in desks]),
        account.transfers,
        account.session.start,
        account.session.peak,
        account.day.start,
        account.day.peak,
        maintenance / equity if equity > 0 else None,
        initial / equity if equity > 0 else None,
        len(engine.errors),
        tuple(desk.view(now, engine.cadence_ms) for desk in desks if not desk.dormant(now)),
        vitals(engine),
        None if account.smoothed is None else account.smoothed[0],
    )
