"""A real daemon on a real exchange's wire: mode live, against the simulator, over real sockets.

One law: the simulator's books are the truth that the daemon is measured by; nothing here reaches into either but by its doors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exchange_simulator.inthread import Threaded, running_simulator
from journeys.daemon_process import GRID, PATIENCE_SECONDS, SYMBOL, DaemonProcess

ACCOUNT = "test"
PRICE = 50_000.0
OURS = "hg-"
#: A pause that a busy machine may bring about, and that is no matter of the test, is soon over.
BUSY = ("stale_data", "loop_lag", "journal_time", "backlog", "order_latency", "api_latency")
EXITS = {"exit": {"tp_steps": 9, "sl_steps": 12}}  # so far apart that both legs may be held


def live_settings(sim: Threaded, symbols: Sequence[str] = (SYMBOL,), **tables: Any) -> dict[str, Any]:
    """A live configuration pointed at the simulator; `tables` are laid over it."""
    binance = {"account": ACCOUNT, "api_key": "${SIM_KEY}", "api_secret": "${SIM_SECRET}", "rest_url": sim.rest_url, "ws_url": sim.ws_url}
    qty = {"BTCUSDT": 0.002, "ETHUSDT": 0.04}
    whole: dict[str, Any] = {
        "mode": "live",
        "allow_live_trading": True,
        "exchange": {"name": "binance", "binance": binance},
        "limits": {"equity_usdt": 10_000.0, "max_exposure_pct": 160.0},
        "breaker": {name: {"cooldown_seconds": 1.0} for name in BUSY},
        "instrument": [
            {"symbol": symbol, "leverage": 10.0, "params": {**GRID, "grid": {**GRID["grid"], "base_qty": qty[symbol]}, **EXITS}}
            for symbol in symbols
        ],
    }
    for name, table in tables.items():
        whole[name] = {**whole.get(name, {}), **table} if isinstance(table, Mapping) else table
    return whole


class LiveProcess(DaemonProcess):
    """One live daemon's home, the process in it, and the exchange it trades on."""

    def __init__(self, home: Path, sim: Threaded, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(home, config or live_settings(sim))
        self.sim = sim
        self.env = {"SIM_KEY": sim.api_key, "SIM_SECRET": sim.api_secret}

    def start(self, *options: str, ready: bool = True, speed: str = "1", before: Sequence[str] = ()) -> LiveProcess:
        super().start("--confirm-live", ACCOUNT, *options, ready=ready, speed=speed, before=before)
        return self

    def grid(self) -> LiveProcess:
        """Started, and the ladders of every symbol rest."""
        if not self.runs:
            self.start()
        self.until(
            lambda status: all(row["open_orders"] >= 10 for row in status["instruments"]) and not status["exchange"]["unknown_orders"]
        )
        return self.until_sound()

    def both_held(self, symbol: str = SYMBOL) -> LiveProcess:
        """The grid rests, and both legs hold something."""
        self.grid()
        for _ in range(20):
            row = self.row(self.until_sound().status(), symbol)
            bare = [leg for leg in ("short", "long") if not row[leg]["qty"]]
            if not bare:
                return self
            self.reach(bare[0], symbol)
            time.sleep(0.1)
        raise AssertionError(f"never both: {row}")

    def reach(self, leg: str, symbol: str = SYMBOL, rungs: int = 1) -> None:
        """Let the market trade through the nearest rungs of a leg."""
        orders = [row for row in self.sim.show("orders") if row["symbol"] == symbol and row["clientOrderId"].startswith(f"hg-{symbol}-")]
        prices = sorted(float(row["price"]) for row in orders if row["clientOrderId"].split("-")[2] == f"{leg[0].upper()}E")
        if prices:
            near = prices[:rungs][-1] if leg == "short" else prices[-rungs:][0]
            self.sim.price(symbol, round(near * (1.0002 if leg == "short" else 0.9998), 1))

    @staticmethod
    def row(status: dict[str, Any], symbol: str = SYMBOL) -> dict[str, Any]:
        return next(dict(row) for row in status["instruments"] if row["symbol"] == symbol)

    # --- the exchange's own books -------------------------------------------------------------------------------------

    def truth(self) -> tuple[dict[str, float], set[str], float, dict[str, int]]:
        """(coins by "SYMBOL leg", our resting orders, wallet, closePosition stops by "SYMBOL leg") as the exchange has them."""
        positions = self.sim.show("positions")
        held = {f"{symbol} {leg.lower()}": side["qty"] for symbol, legs in positions.items() for leg, side in legs.items() if side["qty"]}
        names = {row["clientOrderId"] for row in self.sim.show("orders")}
        algos = self.sim.show("algos")
        stops: dict[str, int] = {}
        for row in algos:
            if row["clientAlgoId"].startswith(OURS) and str(row["closePosition"]).lower() == "true":
                key = f"{row['symbol']} {row['positionSide'].lower()}"
                stops[key] = stops.get(key, 0) + 1
        own = {name for name in names | {row["clientAlgoId"] for row in algos} if name.startswith(OURS)}
        return held, own, float(self.sim.show("account")["wallet"]), stops

    def difference(self) -> str:
        """How the daemon's books differ from the exchange's; "" = not at all."""
        status, orders = self.status(), self.call("orders")["orders"]
        held, own, wallet, stops = self.truth()
        mine = {f"{row['symbol']} {leg}": row[leg]["qty"] for row in status["instruments"] for leg in ("long", "short") if row[leg]["qty"]}
        names = {order["client_id"] for order in orders}
        rungs = [(order["symbol"], order["leg"], order["price"]) for order in orders if order["role"] == "entry"]
        if {key: round(qty, 9) for key, qty in mine.items()} != {key: round(qty, 9) for key, qty in held.items()}:
            return f"positions {mine}, the exchange has {held}"
        if names != own:
            return f"orders only here {sorted(names - own)}, only there {sorted(own - names)}"
        if abs(wallet - status["account"]["wallet_usdt"]) > 1e-6:
            return f"wallet {status['account']['wallet_usdt']}, the exchange has {wallet}"
        if stops != dict.fromkeys(held, 1):
            return f"stops {stops} for legs {sorted(held)}"
        if status["exchange"]["unknown_orders"] or len(set(rungs)) != len(rungs):
            return f"{status['exchange']['unknown_orders']} orders unknown, rungs {sorted(rungs)}"
        return ""

    def until_sound(self, seconds: float = PATIENCE_SECONDS) -> LiveProcess:
        """Until the daemon's books are the exchange's."""
        end, why = time.monotonic() + seconds, "never looked"
        while time.monotonic() < end:
            assert self.runs, f"the daemon ended:\n{self.log[-3000:]}"
            why = self.difference()
            if not why:
                return self
            time.sleep(0.05)
        raise AssertionError(f"after {seconds} s still: {why}\n{self.log[-3000:]}")

    def requests(self, prefix: str = "") -> list[dict[str, Any]]:
        """What reached the exchange, oldest first, of these "METHOD /path" beginnings."""
        return [dict(row) for row in self.sim.show("requests") if f"{row['method']} {row['path']}".startswith(prefix)]


@contextmanager
def live(home: Path, config: Callable[[Threaded], dict[str, Any]] | None = None, **options: Any) -> Iterator[LiveProcess]:
    """A simulator and a daemon's home on it; both are gone afterwards."""
    options = {"symbols": {SYMBOL: PRICE}, "start_walk_per_s": 2.0, **options}  # a market that stands still says nothing
    with running_simulator(**options) as sim:
        daemon = LiveProcess(home, sim, config(sim) if config else None)
        try:
            yield daemon
        finally:
            daemon.clean_up()
