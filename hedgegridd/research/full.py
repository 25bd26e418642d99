"""The full engine: the daemon's own heart on the paper exchange, with the data's clock and no process around it.

One law: what the daemon would have done. It takes events in the daemon's order and answers effects as the daemon does; only the
disk is missing, whose word comes when all else of a moment was heard, as on paper. It decides nothing and writes no file: what
happened goes to a recorder.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from hedgegridd.heart.build import build, exchange_of, start_equity
from hedgegridd.heart.desk import Desk
from hedgegridd.heart.effects import Amend, AskReport, Cancel, Effect, Place, Sync, Write
from hedgegridd.heart.engine import Engine
from hedgegridd.kernel.metrics import new_course, note
from hedgegridd.model import Bar, Durable, FeedEnd, Gap, KillFile, Outlook, Started, Stopping, Warmup
from hedgegridd.research.against import Decision, decision
from hedgegridd.research.outcome import IDLE, Outcome

END = "end of the feed"
NO_KILL = KillFile(0, active=False, missing=True)


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


class FullRun:
    """One backtest from the first event of a feed to its last."""

    def __init__(self, config: Any, registry: Any, feed: Any, recorder: Recorder) -> None:
        self.config, self.feed, self.recorder = config, feed, recorder
        self.engine: Engine = build(config, registry, carries=feed.carries, cadence_ms=feed.cadence_ms)
        self.exchange = exchange_of(config, registry)
        self.inbox: deque[Any] = deque()
        self.mark = 0  # newest sync asked for
        self.course = new_course()
        self.decisions: list[Decision] | None = None  #: set to a list by who wants to compare them with a session's
        instruments = {symbol: desk.instrument for symbol, desk in self.engine.desks.items()}
        self.exchange.start(self.inbox.append, instruments, config.exchange.paper)

    def run(self, progress: Callable[[int], None]) -> Outcome:
        """Play the feed. `progress` is told the data's time after each event."""
        for event in self.feed.events():
            if not self.engine.started:
                self._begin(event.time)
            if isinstance(event, FeedEnd):
                time = max(event.time, self.engine.now)
                self.inbox.extend((Stopping(time, False, END), FeedEnd(time)))
                self._drain()
                break
            self.exchange.market(event)
            self.inbox.append(event)
            if isinstance(event, Gap):
                self._look_ahead(event.symbol, event.time)
            self._drain()
            if isinstance(event, Bar):
                self.recorder.bar(event.symbol, bar_row(self.engine, self.engine.desks[event.symbol], event))
                note(self.course, event.time, self.engine.account.equity)
            progress(event.time)
        return self._outcome()

    def _outcome(self) -> Outcome:
        engine, books = self.engine, [desk.books for desk in self.engine.desks.values()]
        counts, kill, account = engine.counts, engine.kill, engine.account
        held = {"active": True, "level": kill.level.name.lower(), "reason": kill.reason, "since": kill.since} if kill.active else dict(IDLE)
        return Outcome(
            "full", counts["bars"], counts["orders"], counts["fills"], counts["maker_fills"], account.equity, account.wallet,
            sum(one.realized for one in books), sum(one.fees for one in books), sum(one.funding for one in books),
            sum(account.unrealized.values(), 0.0), held, self.course,
        )  # fmt: skip

    def _begin(self, time: int) -> None:
        """The first event of a life, then what there is to learn from before it."""
        note(self.course, time, start_equity(self.config))
        self.recorder.begin(time)
        self._take(Started(time, 0, "", NO_KILL, ""))
        for symbol, desk in self.engine.desks.items():
            if symbol not in self.feed.symbols:
                continue
            bars = tuple(self.feed.warmup(symbol, desk.warmup_bars()))
            if bars:
                self._take(Warmup(symbol, bars[-1].time, bars))
            self._look_ahead(symbol, self.engine.now)
        self._drain()

    def _look_ahead(self, symbol: str, time: int) -> None:
        if "funding" in self.feed.carries and "marks" not in self.feed.carries:
            due, rate = self.feed.next_funding(symbol, time)
            self.inbox.append(Outlook(symbol, time, rate, due))

    def _drain(self) -> None:
        """Everything that was said, then the disk's word, until nothing is left to say."""
        while self.inbox or self.mark:
            if self.inbox:
                self._take(self.inbox.popleft())
            else:
                mark, self.mark = self.mark, 0
                self._take(Durable(self.engine.now, mark))

    def _take(self, event: Any) -> None:
        if event.time < self.engine.now:
            event = event._replace(time=self.engine.now)
        for effect in self.engine.handle(event):
            perform = _PERFORM.get(type(effect))
            if perform is not None:
                perform(self, effect)

    def _place(self, effect: Place) -> None:
        self.exchange.place(effect.orders)

    def _amend(self, effect: Amend) -> None:
        self.exchange.amend(effect.client_id, effect.qty)

    def _cancel(self, effect: Cancel) -> None:
        self.exchange.cancel(effect.orders)

    def _report(self, effect: AskReport) -> None:
        self.exchange.report(effect.doubted, self.engine.now)

    def _sync(self, effect: Sync) -> None:
        self.mark = effect.mark

    # --- what is told -----------------------------------------------------------------------------------------------

    def _write(self, effect: Write) -> None:
        if self.decisions is not None:
            found = decision(effect.kind, self.engine.now, effect.data)
            if found is not None:
                self.decisions.append(found)
        tell = _TELL.get(effect.kind)
        if tell is not None:
            tell(self, self.engine.now, effect.data)
        elif effect.kind in TOLD:
            self.recorder.acted(self.engine.now, effect.kind, effect.data)

    def _ordered(self, time: int, act: dict[str, Any]) -> None:
        self.recorder.ordered(time, act["client_id"], act["symbol"], act["leg"], act["role"], act["price"], act["qty"])

    def _accepted(self, _: int, act: dict[str, Any]) -> None:
        self.recorder.accepted(act["client_id"])

    def _cancelling(self, time: int, act: dict[str, Any]) -> None:
        """A cancel of what never left the house ends it at once."""
        name = act["client_id"]
        if not any(name in desk.orders.open for desk in self.engine.desks.values()):
            self.recorder.ended(time, name, "withdrawn", "")

    def _amending(self, _: int, act: dict[str, Any]) -> None:
        self.recorder.amended(act["client_id"], act["qty"])

    def _withdrawn(self, time: int, act: dict[str, Any]) -> None:
        self.recorder.ended(time, act["client_id"], "withdrawn", "")

    def _cancelled(self, time: int, act: dict[str, Any]) -> None:
        self.recorder.ended(time, act["client_id"], "cancelled", act["reason"])

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

_PERFORM: dict[type[Effect], Callable[[FullRun, Any], None]] = {
    Write: FullRun._write,
    Sync: FullRun._sync,
    Place: FullRun._place,
    Amend: FullRun._amend,
    Cancel: FullRun._cancel,
    AskReport: FullRun._report,
}
_TELL: dict[str, Callable[[FullRun, int, dict[str, Any]], None]] = {
    "order": FullRun._ordered,
    "accepted": FullRun._accepted,
    "cancel": FullRun._cancelling,
    "amend": FullRun._amending,
    "withdrawn": FullRun._withdrawn,
    "cancelled": FullRun._cancelled,
    "rejected": FullRun._rejected,
    "fill": FullRun._filled,
    "funding": FullRun._paid,
    "trip": FullRun._tripped,
}
