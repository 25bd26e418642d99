"""What a run tells of itself: each act of the heart, as a recorder takes it.

One law: a backtest and a session that really was are told alike, so that one report serves both. It performs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from hedgegridd.heart.desk import Desk
from hedgegridd.heart.engine import Engine
from hedgegridd.model import Bar


class Recorder(Protocol):
    """What a run tells of itself, in the order in which it happened. Prices are ticks, quantities lots, money USDT."""

    def begin(self, time: int) -> None: ...
    def ordered(self, time: int, name: str, symbol: str, leg: int, role: int, price: int, qty: int) -> None: ...
    def accepted(self, name: str) -> None: ...
    def amended(self, name: str, qty: int) -> None: ...
    def ended(self, time: int, name: str, state: str, reason: str) -> None: ...
    def filled(self, fill: dict[str, Any]) -> None: ...
    def paid(self, time: int, symbol: str, leg: int, amount: float) -> None: ...
    def tripped(self, trip: dict[str, Any]) -> None: ...
    def acted(self, time: int, kind: str, data: dict[str, Any]) -> None: ...
    def bar(self, symbol: str, row: tuple[Any, ...]) -> None: ...


class Teller:
    """Whoever has a heart and a recorder."""

    engine: Engine
    recorder: Recorder

    def tell(self, kind: str, time: int, act: dict[str, Any]) -> None:
        """One act, after the heart has taken in the whole of the input that it came of."""
        found = _TELL.get(kind)
        if found is not None:
            found(self, time, act)
        elif kind in TOLD:
            self.recorder.acted(time, kind, act)

    def _ordered(self, time: int, act: dict[str, Any]) -> None:
        self.recorder.ordered(time, act["client_id"], act["symbol"], act["leg"], act["role"], act["price"], act["qty"])

    def _accepted(self, _: int, act: dict[str, Any]) -> None:
        self.recorder.accepted(act["client_id"])

    def _cancelling(self, time: int, act: dict[str, Any]) -> None:
        """Cancels of what never left the house end it at once."""
        for name in act["client_ids"]:
            if not any(name in desk.orders.open for desk in self.engine.desks.values()):
                self.recorder.ended(time, name, "withdrawn", "")

    def _amending(self, _: int, act: dict[str, Any]) -> None:
        self.recorder.amended(act["client_id"], act["qty"])

    def _withdrawn(self, time: int, act: dict[str, Any]) -> None:
        self.recorder.ended(time, act["client_id"], "withdrawn", "")

    def _cancelled(self, time: int, act: dict[str, Any]) -> None:
        for name in act["client_ids"]:
            self.recorder.ended(time, name, "cancelled", act["reason"])

    def _rejected(self, time: int, act: dict[str, Any]) -> None:
        """A refused amend leaves its order resting as it was."""
        name = act["client_id"]
        rests = [desk.orders.open[name] for desk in self.engine.desks.values() if name in desk.orders.open]
        if rests:
            self.recorder.amended(name, rests[0].qty)
        else:
            self.recorder.ended(time, name, "rejected", act["reason"])

    def _filled(self, _: int, act: dict[str, Any]) -> None:
        self.recorder.filled(act)

    def _paid(self, time: int, act: dict[str, Any]) -> None:
        self.recorder.paid(act["t"], act["symbol"], act["leg"], act["amount"])

    def _tripped(self, time: int, act: dict[str, Any]) -> None:
        unit = self.engine.panel.guards[act["name"]].unit if act["value"] is not None else ""
        self.recorder.tripped({"time": time, **act, "unit": unit, "equity": self.engine.account.equity})


def bar_row(engine: Engine, desk: Desk, bar: Bar) -> tuple[Any, ...]:
    """One symbol and the account after a bar and all that came of it, in the order of `recorder.ROW`."""
    stance = getattr(desk.strategy, "stance", None)
    regime, center = stance(desk.params, desk.state) if stance is not None else (0, 0)
    tally, books = desk.tally, desk.books
    return (bar.time, bar.close, regime, center, books.long_qty, books.short_qty, books.long_entry, books.short_entry,
            tally.stops[0] or 0, tally.stops[1] or 0, *tally.entries, math.nan if desk.funding_rate is None else desk.funding_rate,
            books.realized, books.fees, books.funding, engine.account.equity, engine.account.wallet)  # fmt: skip


#: Acts that say what a trip did, and other turns of a run worth telling.
TOLD = frozenset({"kill", "kill_phase", "flatten", "flat", "gap", "emergency_stop", "stranger", "strategy_failed", "guarded"})

_TELL: dict[str, Callable[[Teller, int, dict[str, Any]], None]] = {
    "order": Teller._ordered,
    "accepted": Teller._accepted,
    "cancel": Teller._cancelling,
    "amend": Teller._amending,
    "withdrawn": Teller._withdrawn,
    "cancelled": Teller._cancelled,
    "rejected": Teller._rejected,
    "fill": Teller._filled,
    "funding": Teller._paid,
    "trip": Teller._tripped,
}
