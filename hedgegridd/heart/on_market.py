"""What the market says, taken in. One law: facts only; thought and orders come after, in the engine's own order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hedgegridd.heart.desk import Desk
from hedgegridd.model import Bar, FeedEnd, Funding, Gap, Mark, Moment, Outlook, Quote, Trade, Warmup

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine


def _seen(engine: Engine, event: Any) -> Desk:
    """Count the event, so that a restart goes on with the next one; the desk it is for."""
    time, count = engine.cursor
    engine.cursor = (event.time, count + 1 if event.time == time else 1)
    return engine.desks[event.symbol]


def bar(engine: Engine, bar: Bar) -> None:
    """A bar completed: the strategy is called."""
    desk = _seen(engine, bar)
    desk.see_bar(bar)
    engine.counts["bars"] += 1
    engine.revalue(desk)
    engine.think(desk, Moment.BAR)


def mark(engine: Engine, mark: Mark) -> None:
    """The mark moved: equity and breakers look, the strategy does not."""
    desk = _seen(engine, mark)
    desk.see_mark(mark)
    engine.revalue(desk)


def quote(engine: Engine, quote: Quote) -> None:
    """Best bid and ask moved; an opener that would have taken may rest once they have left its price."""
    desk = _seen(engine, quote)
    desk.quote, desk.seen = quote, quote.time
    if desk.window is not None:
        desk.window.quote(quote)
    engine.dirty = True
    if desk.withheld and desk.freed():
        engine.stirred.add(desk.symbol)


def trade(engine: Engine, trade: Trade) -> None:
    """The market traded; where no marks come, the last trade is the mark."""
    desk = _seen(engine, trade)
    desk.traded, desk.seen, desk.trades = trade.price, trade.time, True
    desk.volume += trade.qty
    if not desk.carries_marks:
        desk.mark = float(trade.price)
        if desk.window is not None:
            desk.window.price(trade.time, trade.price)
        engine.revalue(desk)


def funding(engine: Engine, funding: Funding) -> None:
    """A settlement: the rate is now known, and when the next one comes. The money comes as FundingPaid."""
    desk = _seen(engine, funding)
    desk.funding_rate, desk.funding_interval_ms = funding.rate, funding.interval_ms
    desk.next_funding = funding.time + funding.interval_ms
    engine.funding_watch(desk)
    engine.dirty = True


def outlook(engine: Engine, outlook: Outlook) -> None:
    """A window begins: what is known of funding before its first settlement."""
    desk = engine.desks[outlook.symbol]
    desk.funding_rate, desk.next_funding = outlook.rate, outlook.next_funding
    engine.dirty = True


def gap(engine: Engine, gap: Gap) -> None:
    """A window of data ended: openers are withdrawn until the strategy has warmed up again."""
    desk = _seen(engine, gap)
    desk.ready, desk.seen = False, gap.time
    if desk.window is not None:
        desk.window.gap()
    engine.write("gap", symbol=gap.symbol, since=gap.since)
    engine.think(desk, Moment.RESET)


def warmup(engine: Engine, warmup: Warmup) -> None:
    """History: learnt from, not traded on."""
    desk = engine.desks[warmup.symbol]
    for past in warmup.bars:
        desk.see_bar(past)
        desk.think(Moment.BAR, past.time, engine.account.equity, 0.0)
    if "marks" in engine.carries:  # marks come every second: their silence is counted from here, not from the last bar
        desk.seen = max(desk.seen, engine.now)
        engine.think(desk, Moment.LOOK)
    desk.look_ready()


def feed_end(engine: Engine, _: FeedEnd) -> None:
    """The recording is over."""
    engine.write("feed_end")


HANDLERS: dict[type, Callable[[Engine, Any], None]] = {
    Bar: bar,
    Mark: mark,
    Quote: quote,
    Trade: trade,
    Funding: funding,
    Outlook: outlook,
    Gap: gap,
    Warmup: warmup,
    FeedEnd: feed_end,
}
