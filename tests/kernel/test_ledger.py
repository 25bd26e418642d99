"""The ledger: one definition of equity, and where an account dies."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.kernel import ledger
from hedgegridd.model import Leg, Side, entry_side

UNIT = 0.0001


def bought(books: ledger.Books, leg: int, price: int, qty: int, fee: float = 0.0) -> ledger.Books:
    return ledger.fill(books, UNIT, leg, entry_side(leg), price, qty, fee)


def closed(books: ledger.Books, leg: int, price: int, qty: int, fee: float = 0.0) -> ledger.Books:
    return ledger.fill(books, UNIT, leg, -entry_side(leg), price, qty, fee)


def test_opening_averages_and_closing_realises_against_the_average() -> None:
    books = bought(bought(ledger.new_books(), Leg.LONG, 1000, 10), Leg.LONG, 900, 30)
    assert (books.long_qty, books.long_entry, books.realized) == (40, 925.0, 0.0)
    books = closed(books, Leg.LONG, 1025, 20, fee=0.5)
    assert (books.long_qty, books.long_entry) == (20, 925.0)
    assert books.realized == pytest.approx(20 * UNIT * 100)
    assert books.fees == 0.5
    assert closed(books, Leg.LONG, 1000, 20).long_entry == 0.0


def test_a_short_leg_earns_when_the_price_falls_and_the_legs_do_not_net() -> None:
    books = bought(bought(ledger.new_books(), Leg.LONG, 1000, 10), Leg.SHORT, 1000, 10)
    assert (books.long_qty, books.short_qty) == (10, 10)
    assert ledger.leg_unrealized(books, UNIT, Leg.SHORT, 900.0) == pytest.approx(10 * UNIT * 100)
    assert ledger.leg_unrealized(books, UNIT, Leg.LONG, 900.0) == pytest.approx(-10 * UNIT * 100)
    assert ledger.unrealized(books, UNIT, 900.0) == 0.0
    assert ledger.initial_margin(books, UNIT, 1000.0, 10.0) == pytest.approx(20 * UNIT * 1000 / 10)


def test_funding_is_signed_by_leg_and_equal_legs_net_to_nothing() -> None:
    long = ledger.funding_due(1_000_000, 1e-7, 500_000.0, 0.0001, Leg.LONG)
    assert long == pytest.approx(0.0001 * 50_000)
    assert ledger.funding_due(1_000_000, 1e-7, 500_000.0, 0.0001, Leg.SHORT) == -long
    assert ledger.funding_due(1_000_000, 1e-7, 500_000.0, -0.0001, Leg.SHORT) == long
    assert ledger.net(ledger.pay_funding(ledger.new_books(), 3.0)) == -3.0


def test_an_empty_account_cannot_be_liquidated() -> None:
    assert ledger.liquidation_span(ledger.new_books(), UNIT, -5.0, [0.0, 0.4, 0.0]) == (-math.inf, math.inf)
    assert not ledger.liquidated(-1.0, 0.0)
    assert ledger.liquidated(1.0, 1.0)


acts = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "fund", "move"]),
        st.sampled_from(list(Leg)),
        st.integers(1, 2_000_000),
        st.integers(1, 10_000_000),
        st.floats(-50, 50, allow_subnormal=False),
    ),
    max_size=60,
)


@given(acts, st.integers(1, 2_000_000))
@settings(max_examples=150)
def test_identity_after_any_sequence(acts: list[tuple[str, Leg, int, int, float]], mark: int) -> None:
    """wallet + unrealized == start + transfers + cash of every act, valued independently lot by lot."""
    books, transfers, fees, funding, cash = ledger.new_books(), 0.0, 0.0, 0.0, 0.0
    held = [0, 0]
    gross = 1.0
    for what, leg, price, qty, amount in acts:
        if what == "fund":
            books, funding = ledger.pay_funding(books, amount), funding + amount
        elif what == "move":
            transfers += amount
        else:
            side = entry_side(leg) if what == "open" else -entry_side(leg)
            qty = qty if what == "open" else min(qty, held[leg])
            if qty == 0:
                continue
            books = ledger.fill(books, UNIT, leg, side, price, qty, abs(amount))
            fees += abs(amount)
            cash -= side * qty * price * UNIT  # what a purchase costs, what a sale brings
            held[leg] += qty if what == "open" else -qty
            gross += qty * price * UNIT
        gross += abs(amount)
    assert [books.long_qty, books.short_qty] == held and min(held) >= 0
    worth = cash + (held[0] - held[1]) * mark * UNIT
    gross += sum(held) * mark * UNIT
    marked = ledger.unrealized(books, UNIT, float(mark))
    equity = ledger.equity(10_000.0, transfers, ledger.net(books), marked)
    assert equity == pytest.approx(10_000.0 + transfers + worth - fees - funding, abs=1e-9 * gross, rel=1e-9)
    assert equity == pytest.approx(10_000.0 + transfers + books.realized - books.fees - books.funding + marked, abs=1e-9 * gross, rel=1e-9)
    assert ledger.wallet(10_000.0, transfers, ledger.net(books)) + marked == equity


@given(
    st.integers(0, 1000), st.integers(900, 1100), st.integers(0, 1000), st.integers(900, 1100), st.floats(-5, 20), st.floats(0.1, 5.0)
)  # fmt: skip
@settings(max_examples=150)
def test_the_span_is_where_equity_meets_maintenance(lq: int, le: int, sq: int, se: int, spare: float, pct: float) -> None:
    books = ledger.Books(lq, float(le) if lq else 0.0, sq, float(se) if sq else 0.0, 0.0, 0.0, 0.0)
    tiers = [0.0, pct, 0.0]
    span = ledger.liquidation_span(books, UNIT, spare, tiers)
    assert span.low == -math.inf or span.high == math.inf
    for price in (200.0, 700.0, 1000.0, 1300.0, 3000.0):
        equity = spare + ledger.unrealized(books, UNIT, price)
        need = ledger.maint_margin(books, UNIT, price, tiers)
        if abs(equity - need) > 1e-6:
            assert ledger.liquidated(equity, need) == (lq + sq > 0 and (price <= span.low or price >= span.high))


def test_sides_open_their_own_leg_only() -> None:
    assert entry_side(Leg.LONG) == Side.BUY and entry_side(Leg.SHORT) == Side.SELL
