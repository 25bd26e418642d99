"""Flatten: from a decision to a verified flat account. One law: flat is what the exchange reports, never what was sent.

Openers and take-profits are cancelled and every leg is closed in the same breath, or by the method that the configuration names (see
closing); stops are withdrawn last; then the exchange is asked, and only its zero ends it. Over a network it is asked as the closes
leave, so that its answer comes with theirs; stops, which die with their position there, are not withdrawn before it shows them. A late
fill is closed again. Past its deadline it is `failed`, says so again and again, and goes on trying. It calls no strategy and waits for
no disk.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

from hedgegridd.heart import closing
from hedgegridd.heart.closing import RETRY_MAX_MS, RETRY_MS, Way, Work
from hedgegridd.heart.desk import Desk
from hedgegridd.heart.orders import parse
from hedgegridd.model import Fill, Leg, Order, OrderState, Report, Role, entry_side

MARKET_AT_ONCE = Way()
PAGE_AGAIN_MS = 60_000


def begun(scope: list[tuple[str, int]], reason: str, now: int, table: Any, ticket: int, by_kill: bool) -> Flatten:
    """A new flatten, as `[flatten]` has it."""
    method = closing.MARKET if table.use_market_orders else table.method
    way = Way(method, table.max_slippage_pct / 100, table.steps, int(table.over_seconds * 1000), table.liquid_spread_bps)
    tranches = table.max_tranches if table.tranch_large_positions else 1
    deadline, large = int(table.deadline_seconds * 1000), table.large_position_threshold_usdt
    return Flatten(scope, reason, now, deadline, ticket, by_kill, tranches, large, way)


def in_order(scope: list[tuple[str, int]], desks: dict[str, Desk]) -> list[tuple[str, int]]:
    """The order of closing: the symbol with most at risk first (both legs at the mark, USDT), of two alike the more liquid (its spread)."""

    def key(pair: tuple[str, int]) -> tuple[float, float]:
        desk = desks[pair[0]]
        return -(desk.held_usdt(0) + desk.held_usdt(1)), math.inf if desk.quote is None else desk.quote.ask / max(1, desk.quote.bid)

    return sorted(scope, key=key)


class Hands(Protocol):
    """What a flatten may do; the engine's."""

    def close(self, desk: Desk, leg: int, qty: int, price: int = 0) -> Order: ...
    def write(self, kind: str, **data: Any) -> None: ...
    def cancel(self, desk: Desk, orders: list[Order]) -> None: ...
    def ask_report(self) -> None: ...
    @property
    def over_network(self) -> bool: ...


@dataclass(slots=True)
class Flatten:
    """One flatten of these (symbol, leg) pairs. Dumped whole into checkpoints, so a restart goes on where it was."""

    scope: list[tuple[str, int]]
    reason: str
    started: int
    deadline_ms: int
    ticket: int = 0  # the verb that waits for it, 0 = none
    by_kill: bool = False
    tranches: int = 1
    large_usdt: float = 0.0
    way: Way = MARKET_AT_ONCE
    works: list[Work] = field(default_factory=list)  # what became of each leg that was held
    reads: int = 0  # reports judged
    proof: dict[str, Any] = field(default_factory=dict)  # the report that proves it flat
    phase: str = "requested"
    cancelled: int = 0
    closing: list[dict[str, Any]] = field(default_factory=list)
    asked_at: int = 0
    paged_at: int = 0
    pages: int = 0
    failed: bool = False
    done_at: int = 0
    acted_at: int = 0  # when the last order or cancel left
    zero_since: int = 0  # when the last report that shows nothing held and nothing ordered was begun
    shows_stops: bool = False  # a report shows stops of ours on legs that are closed

    def covers(self, symbol: str, leg: int) -> bool:
        """Is this leg being flattened?"""
        return (symbol, leg) in self.scope

    def waits(self, symbol: str, leg: int) -> bool:
        """Is this leg being closed in pieces that wait for a price? It needs its stop meanwhile."""
        return self.way.method != closing.MARKET and self.work(symbol, leg) is not None

    def advance(self, desks: dict[str, Desk], hands: Hands, now: int) -> None:
        """Do whatever can be done now. Called after every event while unfinished."""
        if self.phase == "flat":
            return
        pairs = [(desks[symbol], leg) for symbol, leg in self.scope if symbol in desks]
        for desk, leg in pairs:
            self._cancel(desk, leg, hands, now, Role.ENTRY, Role.TAKE_PROFIT)
            self._close(desk, leg, hands, now)
        if any(desk.held(leg) or desk.orders.of(leg, Role.ENTRY, Role.TAKE_PROFIT, Role.CLOSE) for desk, leg in pairs):
            working = any(desk.orders.of(leg, Role.ENTRY, Role.TAKE_PROFIT) for desk, leg in pairs)
            self.phase = "cancelling" if working else "closing"
            self.asked_at = self.asked_at if hands.over_network else 0
        elif hands.over_network:
            self._verify_early(pairs, hands, now)
        else:
            for desk, leg in pairs:
                self._cancel(desk, leg, hands, now, Role.STOP)
            self._verify(pairs, hands, now)
        if hands.over_network and self.acted_at == now and self.asked_at != now:
            self.asked_at = now
            hands.ask_report()
        self.failed = self.failed or now - self.started >= self.deadline_ms

    def _cancel(self, desk: Desk, leg: int, hands: Hands, now: int, *roles: int) -> None:
        doomed = [order for order in desk.orders.of(leg, *roles) if order.client_id not in desk.orders.ending]
        if doomed:
            self.cancelled += len(doomed)
            self.acted_at = now
            hands.cancel(desk, doomed)

    def _close(self, desk: Desk, leg: int, hands: Hands, now: int) -> None:
        """Close what is held and not being closed yet, as far as the method wants it by now."""
        held = desk.held(leg)
        rest = held - desk.closing(leg)
        if rest <= 0:
            return
        work = self._work(desk, leg, hands)
        if now < work.retry_at or (work.most and any(order.state != OrderState.UNKNOWN for order in desk.orders.of(leg, Role.CLOSE))):
            return  # or the market had no room, and has not said yet whether it has for the last piece
        work.qty = max(work.qty, work.closed + held)  # what fills late is closed as well
        pace = closing.pace(self.way, work, now, desk.volume - work.traded)
        price = closing.worst_price(leg, pace.bound, self.way.slippage, desk.mark, desk.quote)
        if price and (now < work.next_at or desk.orders.of(leg, Role.TAKE_PROFIT)):
            return  # a limit order must not close, together with take-profits still resting, more than is held
        rest -= work.qty - math.ceil(work.qty * pace.share)  # what may be held a while longer
        if rest <= 0:
            return
        most = min(desk.instrument.max_qty if price else desk.instrument.market_max_qty, self._tranche(desk, leg), work.most or rest)
        self.acted_at, work.next_at = now, now + self.way.over_ms // self.way.steps
        while rest > 0:
            self._send(desk, work, min(rest, most), price, hands)
            rest = 0 if work.most else rest - most

    def _send(self, desk: Desk, work: Work, qty: int, price: int, hands: Hands) -> None:
        order = hands.close(desk, work.leg, qty, price)
        work.orders += 1
        size = qty * desk.instrument.lot_size
        self.closing.append({"symbol": desk.symbol, "side": Leg(work.leg).name.lower(), "size": size, "order_id": order.client_id})

    def work(self, symbol: str, leg: int) -> Work | None:
        """The closing of this leg, where it has begun."""
        return next((one for one in self.works if (one.symbol, one.leg) == (symbol, leg)), None)

    def _work(self, desk: Desk, leg: int, hands: Hands) -> Work:
        """The closing of this leg; how it will be closed is told once, and by what that was chosen. What fills late has no time of its own:
        `over_ms` are the flatten's."""
        work = self.work(desk.symbol, leg)
        if work is None:
            held, bar = desk.held(leg), desk.bar
            method, why = closing.chosen(self.way, held, leg, desk.quote)
            usual = bar.volume / bar.interval_ms if bar is not None and bar.interval_ms else 0.0
            tick, lot = desk.instrument.tick_size, desk.instrument.lot_size
            work = Work(desk.symbol, int(leg), method, self.started, held, desk.mark, tick, lot, desk.volume, usual)
            self.works.append(work)
            hands.write("closing", symbol=desk.symbol, leg=int(leg), method=method, lots=held, usdt=desk.held_usdt(leg), **why)
        return work

    def book(self, fill: Fill, realized: float) -> None:
        """An execution of a leg that is being closed: it counts in its certificate, whatever order it came from."""
        work = self.work(fill.symbol, fill.leg)
        if work is not None and self.phase != "flat" and fill.side != entry_side(fill.leg):
            work.book(fill, realized)

    def _tranche(self, desk: Desk, leg: int) -> int:
        """The largest piece, lots: a leg worth `large_usdt` or more is closed in `tranches` of them."""
        held = desk.held(leg)
        return -(-held // self.tranches) if self.tranches > 1 and desk.held_usdt(leg) >= self.large_usdt else held

    def _verify(self, pairs: list[tuple[Desk, int]], hands: Hands, now: int) -> None:
        if any(desk.orders.of(leg, Role.STOP) for desk, leg in pairs):
            return
        self.phase = "verifying"
        if not self.asked_at or now - self.asked_at >= RETRY_MAX_MS:
            self.asked_at = now or 1
            hands.ask_report()

    def _verify_early(self, pairs: list[tuple[Desk, int]], hands: Hands, now: int) -> None:
        """Everything is closed by what we heard; is it by what the exchange shows? Stops that outlive their position are withdrawn."""
        if self.shows_stops or (now - self.acted_at >= RETRY_MS and self.zero_since < self.acted_at):
            for desk, leg in pairs:
                self._cancel(desk, leg, hands, now, Role.STOP)
            self.shows_stops = False
        self.phase = "verifying"
        if now - self.asked_at >= RETRY_MAX_MS:
            self.asked_at = now
            hands.ask_report()

    def refused(self, order: Order, code: int, now: int) -> None:
        """A close was refused: its leg waits a little before the next, the exchange's picture is asked for meanwhile."""
        work = self.work(order.symbol, order.leg)
        if work is not None:
            work.refused(order.price, order.qty, code, now)

    def hurry(self) -> None:
        """What kept closes from being taken is over: nothing waits any more."""
        for work in self.works:
            work.retry_at, work.retry_ms = 0, RETRY_MS

    def judge(self, report: Report, now: int) -> bool:
        """Flat? Only a report asked for after the last act counts, and only zero legs with no own order."""
        if report.since:
            return self._judge_early(report, now)
        self.reads += 1
        if self.phase != "verifying" or not self.asked_at:
            return False
        held = any(leg.qty and self.covers(leg.symbol, leg.leg) for leg in report.held)
        own = any(parse(order.client_id) and self.covers(order.symbol, order.leg) for order in report.orders)
        if held or own:
            self.asked_at = 0  # the books are put right by reconcile; go round again
            return False
        return self._is_flat(self.asked_at, now)

    def _judge_early(self, report: Report, now: int) -> bool:
        """Over a network: a report begun after the last act, on books that are closed already; one that came before them is kept."""
        if self.phase == "flat" or report.since < self.acted_at:
            return False
        self.reads += 1
        held = any(leg.qty and self.covers(leg.symbol, leg.leg) for leg in report.held)
        own = [order for order in report.orders if parse(order.client_id) and self.covers(order.symbol, order.leg)]
        self.shows_stops = not held and any(order.role == Role.STOP for order in own)
        self.zero_since = report.since if not held and not own else 0
        return self.proven(now)

    def proven(self, now: int) -> bool:
        """Are our books closed, and does a report begun after the last act show nothing? Then it is flat."""
        if self.phase != "verifying" or not self.zero_since or self.zero_since < self.acted_at:
            return False
        return self._is_flat(self.zero_since, now)

    def _is_flat(self, since: int, now: int) -> bool:
        self.phase, self.done_at = "flat", now
        self.proof = {"begun_at": since, "heard_at": now, "reads": self.reads}
        return True

    def resume(self, now: int) -> None:
        """A new life takes it up: nobody waits for the old one's replies any more, and the deadline begins anew."""
        self.ticket = 0
        self.started, self.failed, self.asked_at = now, False, 0
        self.hurry()
        self.acted_at, self.zero_since, self.shows_stops = now, 0, False

    def end_by(self, time: int) -> None:
        """Whatever waits for a better price goes at market by then: who stops has not for ever, and must not leave half of it behind."""
        self.way = self.way._replace(over_ms=min(self.way.over_ms, max(0, time - self.started)))

    def page_due(self, now: int) -> bool:
        """Failed, and nobody was told for a minute."""
        if not self.failed or self.phase == "flat" or (self.paged_at and now - self.paged_at < PAGE_AGAIN_MS):
            return False
        self.paged_at, self.pages = now or 1, self.pages + 1
        return True

    @property
    def shown(self) -> str:
        """The phase as `status` tells it."""
        return "failed" if self.failed and self.phase != "flat" else self.phase

    def result(self) -> dict[str, Any]:
        """What `flatten` answers (row 6); the shell writes the time in ISO form."""
        return {
            "cancelled_orders": self.cancelled,
            "closing_positions": self.closing,
            "timestamp": self.done_at or self.started,
            "reason": self.reason,
            "status": self.shown,
            **({"certificate": self.certificate()} if self.phase == "flat" else {}),
        }

    def certificate(self) -> dict[str, Any]:
        """What was closed, at what price against the mark, what it cost, how long it took, and the exchange's answer that proves it."""
        legs = [closing.certified(work) for work in self.works]
        return {
            "legs": legs,
            "fees_usdt": round(sum(leg["fees_usdt"] for leg in legs), 8),
            "slippage_usdt": round(sum(leg["slippage_usdt"] or 0.0 for leg in legs), 8),
            "realized_pnl_usdt": round(sum(leg["realized_pnl_usdt"] for leg in legs), 8),
            "seconds": round((self.done_at - self.started) / 1000, 3),
            "proof": self.proof,
        }

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint. With its ticket: a life goes on after one, and asks the disk for the reply (see `resume`)."""
        return asdict(self)

    @classmethod
    def load(cls, data: dict[str, Any]) -> Flatten:
        """From a checkpoint; one of another version may lack a field, or have one more."""
        kept = {item.name: data[item.name] for item in fields(cls) if item.name in data}
        works, way = [Work(**one) for one in data.get("works", ())], Way(*data.get("way", MARKET_AT_ONCE))
        return cls(**{**kept, "scope": [(symbol, leg) for symbol, leg in data["scope"]], "way": way, "works": works})
