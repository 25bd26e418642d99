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

from hedgegridd.model import entry_side


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


def maint_margin(books: Books, unit: float, mark: float, maint_margin_pct: float) -> float:
    """Maintenance margin of both legs, USDT (first bracket, see `Instrument.maint_margin_pct`)."""
    return notional(books.long_qty + books.short_qty, unit, mark) * (maint_margin_pct / 100.0)


def liquidated(account_equity: float, account_maint: float) -> bool:
    """Cross margin: the account dies when its equity no longer exceeds the maintenance margin it needs."""
    return account_maint > 0.0 and account_equity <= account_maint


def liquidation_span(books: Books, unit: float, spare: float, maint_margin_pct: float) -> Span:
    """Where this symbol's price (ticks) kills the account, all else standing still.

    `spare` = start + transfers + what all other symbols add: sum of (net + unrealized - maintenance margin), USDT.
    Equity less maintenance is linear in the price, slope x price + rest, so at most one side is finite; -inf / inf elsewhere.
    """
    lots = books.long_qty + books.short_qty
    if lots == 0:
        return Span(-math.inf, math.inf)
    slope = unit * (books.long_qty - books.short_qty) - maint_margin(books, unit, 1.0, maint_margin_pct)
    rest = spare + net(books) + unrealized(books, unit, 0.0)
    if slope > 0.0:
        return Span(-rest / slope, math.inf)
    if slope < 0.0:
        return Span(-math.inf, -rest / slope)
    return Span(-math.inf, math.inf if rest > 0.0 else 0.0)
