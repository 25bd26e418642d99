"""The money of one symbol: what is held, what it earned, what it cost, and when it is lost.

Its one law: there is one definition of equity.

    net    = realized - fees - funding                      (one symbol)
    wallet = start + transfers + sum of net over symbols
    equity = wallet + sum of unrealized over symbols

Live, paper, backtest and optimisation all book through `fill` and `pay_funding`. It knows no orders, clamps nothing and checks
nothing: whoever calls `fill` has made sure that no more is closed than is held.

Prices are ticks, quantities lots, money USDT; `unit` is the USDT that one lot gains when the price moves one tick
(`Instrument.unit`). Fees and funding are positive when paid.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hedgegridd.model import Array, Instrument, entry_side

TIER = 3  #: numbers of a bracket in a flat list of tiers: floor, percent, cum


class Books(NamedTuple):
    """Both legs of one symbol and the three sums that have passed through the wallet."""

    long_qty: int  #: lots
    long_entry: float  #: average entry, ticks; 0.0 while nothing is held
    short_qty: int
    short_entry: float
    realized: float  #: USDT, before fees
    fees: float  #: USDT, positive = paid
    funding: float  #: USDT, positive = paid


class Span(NamedTuple):
    """The prices (ticks) at which an account dies: at or below `low`, at or above `high`. Infinite where it cannot."""

    low: float
    high: float


def new_books() -> Books:
    """Nothing held, nothing earned."""
    return Books(0, 0.0, 0, 0.0, 0.0, 0.0, 0.0)


def held(books: Books, leg: int) -> int:
    """Lots held on a leg."""
    return books.long_qty if leg == 0 else books.short_qty


def entry(books: Books, leg: int) -> float:
    """Average entry of a leg, ticks; 0.0 while nothing is held."""
    return books.long_entry if leg == 0 else books.short_entry


def gain(qty: int, unit: float, leg: int, bought: float, sold: float) -> float:
    """USDT that a leg of `qty` lots opened at `bought` makes when valued or closed at `sold` (ticks)."""
    return qty * unit * (sold - bought) * entry_side(leg)


def average(qty: int, price: float, more: int, at: float) -> float:
    """Average entry of `qty` lots at `price` joined by `more` lots at `at`, ticks. Must not be asked of nothing."""
    return (price * qty + at * more) / (qty + more)


def fill(books: Books, unit: float, leg: int, side: int, price: int, qty: int, fee: float) -> Books:
    """Book one execution of `qty` lots at `price`: the opening side averages the entry, the other realises against it."""
    have, at = held(books, leg), entry(books, leg)
    realized = books.realized
    if side == entry_side(leg):
        at = average(have, at, qty, float(price))
        have = have + qty
    else:
        realized = realized + gain(qty, unit, leg, at, float(price))
        have = have - qty
        if have == 0:
            at = 0.0
    if leg == 0:
        return Books(have, at, books.short_qty, books.short_entry, realized, books.fees + fee, books.funding)
    return Books(books.long_qty, books.long_entry, have, at, realized, books.fees + fee, books.funding)


def pay_funding(books: Books, amount: float) -> Books:
    """Book a funding payment, USDT, positive = paid."""
    return Books(
        books.long_qty, books.long_entry, books.short_qty, books.short_entry, books.realized, books.fees, books.funding + amount
    )  # fmt: skip


def funding_due(qty: int, unit: float, mark: float, rate: float, leg: int) -> float:
    """What a leg pays at a settlement, USDT: rate x notional at the mark; a long pays a positive rate, a short receives it."""
    return rate * notional(qty, unit, mark) * entry_side(leg)


def notional(qty: int, unit: float, price: float) -> float:
    """USDT worth of `qty` lots at `price` ticks."""
    return qty * unit * price


def leg_unrealized(books: Books, unit: float, leg: int, mark: float) -> float:
    """What closing one leg at the mark would realise, USDT, before fees."""
    return gain(held(books, leg), unit, leg, entry(books, leg), mark)


def unrealized(books: Books, unit: float, mark: float) -> float:
    """What closing both legs at the mark would realise, USDT, before fees."""
    return leg_unrealized(books, unit, 0, mark) + leg_unrealized(books, unit, 1, mark)


def net(books: Books) -> float:
    """What a symbol has added to the wallet, USDT."""
    return books.realized - books.fees - books.funding


def wallet(start: float, transfers: float, nets: float) -> float:
    """USDT on the account with nothing marked to market; `nets` = sum of `net` over symbols."""
    return start + transfers + nets


def equity(start: float, transfers: float, nets: float, marked: float) -> float:
    """The one equity, USDT; `marked` = sum of `unrealized` over symbols."""
    return wallet(start, transfers, nets) + marked


def initial_margin(books: Books, unit: float, mark: float, leverage: float) -> float:
    """Margin that both legs bind, USDT: in hedge mode the legs do not net."""
    return notional(books.long_qty + books.short_qty, unit, mark) / leverage


def tiers_of(instrument: Instrument) -> Array:
    """An instrument's maintenance brackets one after the other, at least one: a list becomes an array of any length where it is
    compiled, and so the same code serves all."""
    if not instrument.brackets:
        return [0.0, instrument.maint_margin_pct, 0.0]
    return [float(cell) for bracket in instrument.brackets for cell in bracket]


def leg_maint(usdt: float, tiers: Array) -> float:
    """Maintenance margin of a leg worth `usdt`, USDT. In hedge mode each leg is in a bracket of its own."""
    at = 0
    while at + TIER < len(tiers) and usdt >= tiers[at + TIER]:
        at += TIER
    margin: float = usdt * tiers[at + 1] / 100 - tiers[at + 2]
    return margin


def maint_margin(books: Books, unit: float, mark: float, tiers: Array) -> float:
    """Maintenance margin of both legs, USDT. With one bracket they need not be told apart."""
    if len(tiers) == TIER:
        rate: float = tiers[1] / 100.0
        return notional(books.long_qty + books.short_qty, unit, mark) * rate
    return leg_maint(notional(books.long_qty, unit, mark), tiers) + leg_maint(notional(books.short_qty, unit, mark), tiers)


def liquidated(account_equity: float, account_maint: float) -> bool:
    """Cross margin: the account dies when its equity no longer exceeds the maintenance margin it needs."""
    return account_maint > 0.0 and account_equity <= account_maint


def liquidation_span(books: Books, unit: float, spare: float, tiers: Array) -> Span:
    """Where this symbol's price (ticks) kills the account, all else standing still.

    `spare` = start + transfers + what all other symbols add: sum of (net + unrealized - maintenance margin), USDT.
    With one bracket equity less maintenance is linear in the price, slope x price + rest, so at most one side is finite.
    """
    if books.long_qty + books.short_qty == 0:
        return Span(-math.inf, math.inf)
    rest = spare + net(books) + unrealized(books, unit, 0.0)
    if len(tiers) > TIER:
        return _span_in_brackets(unit * books.long_qty, unit * books.short_qty, rest, tiers)
    slope = unit * (books.long_qty - books.short_qty) - maint_margin(books, unit, 1.0, tiers)
    if slope > 0.0:
        return Span(-rest / slope, math.inf)
    if slope < 0.0:
        return Span(-math.inf, -rest / slope)
    return Span(-math.inf, math.inf if rest > 0.0 else 0.0)


def _span_in_brackets(long: float, short: float, rest: float, tiers: Array) -> Span:
    """The same where legs worth `long` and `short` USDT per tick of the price pass through brackets on its way up from nothing.

    Rates only rise, so equity less maintenance is a chain of lines each of which falls off the one before: it is the least of them,
    and is positive where all are. So both sides may be finite, and where they cross there is no price to live at.
    """
    low, high, end = -math.inf, math.inf, len(tiers)
    at, to = 0, 0  # brackets of the long and of the short leg
    while True:
        slope = long - short - (long * tiers[at + 1] + short * tiers[to + 1]) / 100.0
        level = rest + tiers[at + 2] + tiers[to + 2]
        if slope > 0.0:
            low = max(low, -level / slope)
        elif slope < 0.0:
            high = min(high, -level / slope)
        elif level <= 0.0:
            high = min(high, 0.0)
        long_next = tiers[at + TIER] / long if long > 0.0 and at + TIER < end else math.inf
        short_next = tiers[to + TIER] / short if short > 0.0 and to + TIER < end else math.inf
        if long_next == math.inf and short_next == math.inf:
            return Span(low, high)
        if long_next <= short_next:
            at += TIER
        if short_next <= long_next:
            to += TIER
