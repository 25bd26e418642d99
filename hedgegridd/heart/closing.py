"""How a leg is closed: at market at once, or in pieces that may cost no more than a bound, and at market in the end.

One law: whatever the method, after `over_ms` what is left goes at market; a bound delays a close, it never prevents it. Every piece is
a market order or an immediate-or-cancel limit, so nothing of a flatten ever rests. Pure functions of time, book and traded volume; a
`Work` remembers what became of one leg, and is what the certificate is made of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from hedgegridd.kernel import ledger
from hedgegridd.model import Fill, Leg, Quote, entry_side

MARKET, IOC, LIMIT, TWAP, VWAP, AUTO = "market", "ioc", "limit", "twap", "vwap", "auto"
RETRY_MS = 250  # a refused close is fired again after this, doubling up to RETRY_MAX_MS
RETRY_MAX_MS = 5_000
NO_LIQUIDITY = -4131  # the best price is too far away for a market order of this size


class Way(NamedTuple):
    """What the configuration says of closing. `slippage`: a fraction of the mark."""

    method: str = MARKET
    slippage: float = 0.0
    steps: int = 1
    over_ms: int = 0
    liquid_bps: float = 0.0  #: auto: a spread no wider than this, and the leg within what the best price shows, is liquid


class Pace(NamedTuple):
    """At one moment: the share of the leg that may be closed by now, and how far from the mark (a fraction; None = at market)."""

    share: float
    bound: float | None


@dataclass(slots=True)
class Work:
    """One leg being closed. Prices in ticks, quantities in lots, money in USDT."""

    symbol: str
    leg: int
    method: str
    begun: int  # when its flatten began, ms
    qty: int  # held when it began, and what filled late since
    mark: float | None  # at the decision
    tick: float
    lot: float
    traded: int = 0  # the market's volume then, see Desk.volume
    usual: float = 0.0  # lots that trade in one ms, by the last bar
    next_at: int = 0  # no bounded piece before this
    most: int = 0  # the largest piece to ask the market for, 0 = it refused none yet
    orders: int = 0
    closed: int = 0
    paid: float = 0.0  # sum of price x lots
    fee: float = 0.0
    realized: float = 0.0
    ended: int = 0  # time of the last execution
    retry_ms: int = RETRY_MS
    retry_at: int = 0  # nothing before this: a piece was refused

    def book(self, fill: Fill, realized: float) -> None:
        """An execution that closed some of it."""
        self.closed, self.paid = self.closed + fill.qty, self.paid + fill.price * fill.qty
        self.fee, self.realized, self.ended = self.fee + fill.fee, self.realized + realized, fill.time
        self.most = self.most and self.most + fill.qty  # the market has room again: a piece that went is followed by one twice its size

    def refused(self, price: int, qty: int, code: int, now: int) -> None:
        """A piece was refused: a bounded one is followed by the market, one that the market cannot take by half of it. `code` 0: it is
        not the piece's fault. All pieces that were sent together wait as long as one."""
        if now >= self.retry_at:
            self.retry_at, self.retry_ms = now + self.retry_ms, min(2 * self.retry_ms, RETRY_MAX_MS)
        if price and code:
            self.method = MARKET
        elif code == NO_LIQUIDITY:
            self.most = max(1, qty // 2)


def pace(way: Way, work: Work, now: int, traded: int) -> Pace:
    """Where the method wants to be at `now`; `traded`: lots the market has traded since the work began."""
    elapsed = now - work.begun
    if work.method == MARKET or elapsed >= way.over_ms:
        return Pace(1.0, None)
    step = elapsed * way.steps // way.over_ms
    return _PACES[work.method](way, work, step, traded)


def _volume_share(way: Way, work: Work, step: int, traded: int) -> Pace:
    """With the market's volume; where that is slow or not known, one slice behind the clock."""
    expected = work.usual * way.over_ms
    share = traded / expected if expected > 0 else 0.0
    return Pace(min(1.0, max(share, step / way.steps)), way.slippage)


_PACES = {
    IOC: lambda way, work, step, traded: Pace(1.0, way.slippage),
    LIMIT: lambda way, work, step, traded: Pace(1.0, way.slippage * step / max(1, way.steps - 1)),
    TWAP: lambda way, work, step, traded: Pace((step + 1) / way.steps, way.slippage),
    VWAP: _volume_share,
}


def chosen(way: Way, qty: int, leg: int, quote: Quote | None) -> tuple[str, dict[str, Any]]:
    """The method for a leg of `qty` lots, and what it was chosen by. A book that is not known is not liquid."""
    if way.method != AUTO:
        return way.method, {}
    if quote is None or quote.bid < 1 or quote.ask < quote.bid:
        return LIMIT, {"spread_bps": None, "shown": None}
    shown = quote.bid_qty if entry_side(leg) > 0 else quote.ask_qty
    spread = (quote.ask - quote.bid) / quote.ask * 1e4
    liquid = spread <= way.liquid_bps and qty <= shown
    return MARKET if liquid else LIMIT, {"spread_bps": round(spread, 4), "shown": shown}


def worst_price(leg: int, bound: float | None, slippage: float, mark: float | None, quote: Quote | None) -> int:
    """The limit of a piece, ticks: `bound` beyond the best price, never more than `slippage` from the mark; 0 = at market, as it also is
    where no mark is known or it is no price."""
    if bound is None or mark is None or not 0 < mark < math.inf:
        return 0
    side = entry_side(leg)
    best = 0 if quote is None else quote.bid if side > 0 else quote.ask
    prices = [mark * (1 - side * slippage), (best or mark) * (1 - side * bound)]
    return max(1, math.ceil(max(prices) - 1e-9)) if side > 0 else math.floor(min(prices) + 1e-9)


def certified(work: Work) -> dict[str, Any]:
    """What became of one leg, in plain units. `slippage_bps` and `slippage_usdt`: against the mark at the decision, positive = cost.
    `unheard_qty`: gone by the exchange's report alone; no fill told at what price, so it is in none of the figures."""
    price = work.paid / work.closed if work.closed else None
    cost = None if price is None or work.mark is None else entry_side(work.leg) * (work.mark - price)
    return {
        "symbol": work.symbol,
        "leg": Leg(work.leg).name.lower(),
        "method": work.method,
        "qty": round(work.closed * work.lot, 12),
        "unheard_qty": round(max(0, work.qty - work.closed) * work.lot, 12),
        "price": None if price is None else round(price * work.tick, 10),
        "mark_price": None if work.mark is None else round(work.mark * work.tick, 10),
        "slippage_bps": None if cost is None or not work.mark else round(cost / work.mark * 1e4, 4),
        "slippage_usdt": None if cost is None else round(ledger.notional(work.closed, work.tick * work.lot, cost), 8),
        "fees_usdt": round(work.fee, 8),
        "realized_pnl_usdt": round(work.realized, 8),
        "orders": work.orders,
        "seconds": round(max(0, work.ended - work.begun) / 1000, 3),
    }
