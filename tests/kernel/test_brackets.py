"""Maintenance brackets: the margin of a leg in the exchange's own table, and the prices at which an account dies in it."""

from __future__ import annotations

import gzip
import json
import math
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger, matching
from hedgegridd.kernel.ledger import Books, Span
from hedgegridd.kernel.matching import Kind
from hedgegridd.model import Bracket, Instrument
from hedgegridd.schema import BracketTable, InstrumentTable

SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).parents[2] / ".." / "shared"))
RECORDED = SHARED / "data" / "payloads" / "leverage_brackets_202410.json.gz"
UNIT = 0.0001
INSTRUMENT = Instrument(0.01, 0.01, 1, 10**9, 10**9, 0.0, 2.0, 5.0, 10.0, 0.4)


def tiers(*rows: tuple[float, float]) -> list[float]:
    """(floor, percent) of each bracket, without steps."""
    made = InstrumentTable("BTCUSDT", brackets=tuple(BracketTable(floor, percent) for floor, percent in rows)).maintenance()
    return ledger.tiers_of(INSTRUMENT._replace(brackets=made))


tables = st.lists(st.tuples(st.floats(1.0, 5_000.0), st.floats(0.0, 20.0)), min_size=0, max_size=11).map(
    lambda steps: tiers(
        (0.0, 0.4), *((sum(s[0] for s in steps[: n + 1]), min(0.4 + sum(s[1] for s in steps[: n + 1]), 100.0)) for n in range(len(steps)))
    )
)
legs = st.tuples(st.integers(0, 100_000), st.floats(500.0, 1500.0), st.integers(0, 100_000), st.floats(500.0, 1500.0))


def books_of(legs: tuple[int, float, int, float]) -> Books:
    long, bought, short, sold = legs
    return Books(long, bought if long else 0.0, short, sold if short else 0.0, 0.0, 0.0, 0.0)


@pytest.mark.skipif(not RECORDED.exists(), reason="HEDGEGRIDD_SHARED: no recorded brackets there")
def test_every_recorded_table_gives_the_exchanges_own_margin() -> None:
    """In exact decimals, at each floor, around it, and between floors; `cum` as it is recorded and as it is reckoned where left out."""
    symbols = json.loads(gzip.decompress(RECORDED.read_bytes()))
    assert len(symbols) == 349 and max(len(symbol["brackets"]) for symbol in symbols) == 12
    for symbol in symbols:
        rows = [tuple(Decimal(row[key]) for key in ("notionalFloor", "maintMarginRatio", "cum")) for row in symbol["brackets"]]
        given_all = tuple(Bracket(float(floor), float(rate * 100), float(cum)) for floor, rate, cum in rows)
        for brackets in (
            ledger.tiers_of(INSTRUMENT._replace(brackets=given_all)),
            tiers(*((float(floor), float(rate * 100)) for floor, rate, _ in rows)),
        ):
            for floor, _, _ in rows:
                for value in (floor, floor * Decimal("1.37") + 1, max(floor - Decimal("0.01"), Decimal(0)), floor + Decimal("0.01")):
                    _, rate, cum = [row for row in rows if row[0] <= value][-1]
                    assert ledger.leg_maint(float(value), brackets) == pytest.approx(float(value * rate - cum), rel=1e-12, abs=1e-9)


@given(tables, st.floats(0.0, 60_000.0), st.floats(0.0, 1_000.0))
@settings(max_examples=200)
def test_margin_rises_with_the_notional_and_without_a_step(table: list[float], value: float, more: float) -> None:
    assert ledger.leg_maint(value + more, table) >= ledger.leg_maint(value, table) - 1e-9
    assert 0.0 <= ledger.leg_maint(value, table) <= value + 1e-9
    for floor in table[3::3]:
        below = ledger.leg_maint(math.nextafter(floor, 0.0), table)
        assert ledger.leg_maint(floor, table) == pytest.approx(below, rel=1e-9, abs=1e-9)


def test_each_leg_is_in_a_bracket_of_its_own() -> None:
    table, books = tiers((0.0, 1.0), (1_000.0, 10.0)), books_of((10_000, 900.0, 12_000, 900.0))
    assert ledger.leg_maint(1_000.0, table) == 10.0
    assert ledger.leg_maint(1_200.0, table) == pytest.approx(10.0 + 20.0)
    assert ledger.maint_margin(books, UNIT, 1000.0, table) == pytest.approx(10.0 + 30.0)  # as one of 2,200 they would need 130


@given(tables, legs, st.floats(-500.0, 20_000.0), st.lists(st.floats(1.0, 10_000.0), min_size=1, max_size=8))
@settings(max_examples=300)
def test_the_span_is_where_equity_meets_maintenance(
    table: list[float], held: tuple[int, float, int, float], spare: float, prices: list[float]
) -> None:
    books = books_of(held)
    span = ledger.liquidation_span(books, UNIT, spare, table)
    lots = books.long_qty + books.short_qty

    def excess(price: float) -> float:
        return spare + ledger.unrealized(books, UNIT, price) - ledger.maint_margin(books, UNIT, price, table)

    scale = 1e-9 * (abs(spare) + UNIT * lots * 20_000.0 + 1.0)
    if span.low < span.high:
        for price in span:
            if 0.0 < price < 1e6:
                assert excess(price) == pytest.approx(0.0, abs=scale + 1e-9 * UNIT * lots * price)
    for price in (*prices, *(edge * factor for edge in span if 0.0 < edge < 1e6 for factor in (0.999, 1.001))):
        if lots and abs(excess(price)) > scale * 10:
            assert (excess(price) <= 0.0) == (price <= span.low or price >= span.high)


@given(legs, st.floats(-500.0, 20_000.0), st.floats(0.1, 10.0), st.floats(0.01, 10_000.0))
@settings(max_examples=300)
def test_one_bracket_gives_the_very_bits_of_a_single_rate(
    held: tuple[int, float, int, float], spare: float, percent: float, mark: float
) -> None:
    """Written out as they were before there were brackets."""
    books, one = books_of(held), ledger.tiers_of(INSTRUMENT._replace(maint_margin_pct=percent))
    assert one == tiers((0.0, percent))
    both = books.long_qty + books.short_qty
    assert ledger.maint_margin(books, UNIT, mark, one) == both * UNIT * mark * (percent / 100.0)
    assert ledger.leg_maint(mark, one) == mark * percent / 100
    slope = UNIT * (books.long_qty - books.short_qty) - both * UNIT * 1.0 * (percent / 100.0)
    level = spare + ledger.net(books) + ledger.unrealized(books, UNIT, 0.0)
    expected = Span(-math.inf, math.inf)
    if both and slope > 0.0:
        expected = Span(-level / slope, math.inf)
    elif both and slope < 0.0:
        expected = Span(-math.inf, -level / slope)
    elif both:
        expected = Span(-math.inf, math.inf if level > 0.0 else 0.0)
    assert ledger.liquidation_span(books, UNIT, spare, one) == expected


@given(legs, st.floats(-500.0, 20_000.0))
@settings(max_examples=100)
def test_brackets_of_one_rate_are_one_bracket(held: tuple[int, float, int, float], spare: float) -> None:
    books = books_of(held)
    one, three = tiers((0.0, 0.4)), tiers((0.0, 0.4), (700.0, 0.4), (5_000.0, 0.4))
    assert ledger.maint_margin(books, UNIT, 1000.0, three) == pytest.approx(ledger.maint_margin(books, UNIT, 1000.0, one))
    for mine, other in zip(
        ledger.liquidation_span(books, UNIT, spare, three), ledger.liquidation_span(books, UNIT, spare, one), strict=True
    ):
        assert mine == pytest.approx(other, rel=1e-9, abs=1e-6)


# --- who uses it ----------------------------------------------------------------------------------------------------------


class Floor:
    """A book with both legs held at 1000 ticks and some money beside it."""

    def __init__(self, long: int, short: int, spare: float, *rows: tuple[float, float]) -> None:
        brackets = InstrumentTable("B", brackets=tuple(BracketTable(floor, percent) for floor, percent in rows)).maintenance()
        self.terms = rest.new_terms(INSTRUMENT._replace(brackets=brackets), rest.Model.TOUCH, 0.0, 0.1)
        self.book, self.tape, self.spare = rest.new_book(8), matching.new_tape(32), spare
        self.books = books_of((long, 1000.0, short, 1000.0))
        rest.see_price(self.book, 1000, 0)
        rest.tidy(self.books, self.book, self.terms, spare)

    def bar(self, low: int, high: int) -> list[tuple[Any, int]]:
        if rest.quiet(self.book, low, high):
            return []
        self.books = matching.match(
            self.books, self.book, self.terms, self.spare, matching.bar_move(self.terms, 0, 1000, low, high, 0), self.tape
        )
        rows = [(Kind(self.tape.kind[row]), self.tape.price[row]) for row in range(self.tape.count[0])]
        self.tape.count[0] = 0
        return rows


def test_a_large_leg_is_liquidated_sooner_than_its_first_rate_says() -> None:
    """100,000 lots at 1000 ticks are 10,000 USDT: 40 USDT of margin in one bracket, 540 where half of it pays 10.4 %."""
    alone, bracketed = Floor(100_000, 0, 1_000.0, (0.0, 0.4)), Floor(100_000, 0, 1_000.0, (0.0, 0.4), (5_000.0, 10.4))
    assert alone.bar(940, 1000) == [] and bracketed.bar(950, 1000) == []
    (kind, price), *_ = bracketed.bar(940, 1000)
    span = ledger.liquidation_span(books_of((100_000, 1000.0, 0, 0.0)), UNIT, 1_000.0, bracketed.terms.tiers)
    assert kind == Kind.LIQUIDATION and price == math.floor(span.low) == 948


def test_a_hedged_account_may_die_on_both_sides() -> None:
    """A little longer than short, it loses as the price falls; as it rises, the margin of both legs outgrows what it gains."""
    rows = ((0.0, 0.4), (12_000.0, 50.0))
    for low, high, dead in ((960, 1050, False), (870, 1050, True), (960, 1400, True)):
        floor = Floor(110_000, 100_000, 150.0, *rows)
        assert [kind for kind, _ in floor.bar(low, high)][:1] == ([Kind.LIQUIDATION] if dead else [])
        assert math.isfinite(ledger.liquidation_span(books_of((110_000, 1000.0, 100_000, 1000.0)), UNIT, 150.0, floor.terms.tiers).high)
