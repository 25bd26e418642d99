"""The full engine: the daemon's own heart on the paper exchange, with the data's clock and no process around it.

One law: what the daemon would have done. It takes events in the daemon's order and answers effects as the daemon does; only the
disk is missing, whose word comes when all else of a moment was heard, as on paper. It decides nothing and writes no file: what
happened goes to a recorder.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from hedgegridd.heart.build import build, exchange_of, start_equity
from hedgegridd.heart.effects import Amend, AskReport, Cancel, Effect, Place, Sync, Write
from hedgegridd.heart.engine import Engine
from hedgegridd.kernel.metrics import new_course, note
from hedgegridd.model import Bar, Durable, FeedEnd, Gap, KillFile, Outlook, Started, Stopping, Warmup
from hedgegridd.research.against import Decision, decisions
from hedgegridd.research.outcome import IDLE, Outcome
from hedgegridd.research.telling import Recorder, Teller, bar_row

END = "end of the feed"
NO_KILL = KillFile(0, active=False, missing=True)


class FullRun(Teller):
    """One backtest from the first event of a feed to its last."""

    def __init__(self, config: Any, registry: Any, feed: Any, recorder: Recorder) -> None:
        self.config, self.feed, self.recorder = config, feed, recorder
        self.engine: Engine = build(config, registry, carries=feed.carries, cadence_ms=feed.cadence_ms)
        self.exchange = exchange_of(config, registry)
        self.inbox: deque[Any] = deque()
        self.mark = 0  # newest sync asked for
        self.course = new_course()
        self.decisions: list[Decision] | None = None  #: set to a list by who wants to compare them with a session's
        self.before_end = 0  #: how many of them there were before the end of the feed, which withdraws openers
        instruments = {symbol: desk.instrument for symbol, desk in self.engine.desks.items()}
        self.exchange.start(self.inbox.append, instruments, config.exchange.paper)

    def run(self, progress: Callable[[int], None]) -> Outcome:
        """Play the feed. `progress` is told the data's time after each event."""
        for event in self.feed.events():
            if not self.engine.started:
                self._begin(event.time)
            if isinstance(event, FeedEnd):
                time, self.before_end = max(event.time, self.engine.now), len(self.decisions or ())
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

    def _write(self, effect: Write) -> None:
        if self.decisions is not None:
            self.decisions += decisions(effect.kind, self.engine.now, effect.data)
        self.tell(effect.kind, self.engine.now, effect.data)


_PERFORM: dict[type[Effect], Callable[[FullRun, Any], None]] = {
    Write: FullRun._write,
    Sync: FullRun._sync,
    Place: FullRun._place,
    Amend: FullRun._amend,
    Cancel: FullRun._cancel,
    AskReport: FullRun._report,
}
