"""What a journal remembers of an account and its market, for an exchange that is started again. One law: it is told, never acted on."""

from __future__ import annotations

from typing import Any

from hedgegridd.heart.engine import Engine
from hedgegridd.model import Bar, Held, Mark, OrderState, Report, Trade


def account_of(engine: Engine) -> Report:
    """The paper account as the journal remembers it."""
    desks = engine.desks.values()
    held = tuple(Held(desk.symbol, leg, desk.held(leg), desk.entry(leg)) for desk in desks for leg in (0, 1) if desk.held(leg))
    resting = tuple(order for desk in desks for order in desk.orders.open.values() if order.state == OrderState.LIVE)
    return Report(engine.now, engine.account.wallet, held, resting)


def last_seen(engine: Engine) -> list[Any]:
    """The market as it stood: what a paper exchange needs to price a close before the feed goes on."""
    seen: list[Any] = []
    for desk in engine.desks.values():
        seen += [event for event in (desk.bar, desk.quote) if event is not None]
        if desk.mark is not None and desk.carries_marks:
            seen.append(Mark(desk.symbol, desk.seen, desk.mark, desk.index, desk.funding_rate, desk.next_funding))
        elif desk.traded is not None and desk.bar is not None and desk.traded != desk.bar.close:
            seen.append(Trade(desk.symbol, desk.seen, desk.traded, 1, True))
    return seen


def newest(engine: Engine) -> tuple[dict[str, int], int]:
    """The newest own trade of each symbol, and the time of the newest income, that the journal has."""
    desks = engine.desks.values()
    trades = {desk.symbol: desk.orders.last_trade for desk in desks if desk.orders.last_trade}
    return trades, engine.account.income_time or engine.started


def missed(last: Bar, bars: tuple[Bar, ...]) -> tuple[tuple[Bar, ...], bool]:
    """The bars since the last one known, and True; where they do not join on to it, all of them, and False."""
    newer = tuple(bar for bar in bars if bar.time > last.time)
    if not newer or newer[0].time - newer[0].interval_ms <= last.time:
        return newer, True
    return bars, False
