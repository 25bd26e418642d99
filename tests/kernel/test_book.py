"""The book: what may rest, what is ahead in the queue, and the nearest triggers that make a quiet move cheap."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger
from hedgegridd.kernel.book import Model, Refusal
from hedgegridd.model import Instrument, Leg, Role, entry_side

L, S = Leg.LONG, Leg.SHORT
INSTRUMENT = Instrument(0.1, 0.001, 2, 1000, 500, 5.0, 2.0, 5.0, 10.0, 0.4)
HOLDS = ledger.Books(50, 1000.0, 50, 1000.0, 0.0, 0.0, 0.0)


def terms(model: Model = Model.TOUCH) -> rest.Terms:
    return rest.new_terms(INSTRUMENT, model, 10.0, 0.1)


def shown(price: int = 1_000_000, volume: int = 0) -> rest.Book:
    book = rest.new_book(16)
    rest.see_price(book, price, volume)
    return book


def ask(
    book: rest.Book,
    leg: int,
    role: int,
    price: int,
    qty: int,
    books: ledger.Books = HOLDS,
    spare: float = 1e9,
    side: int | None = None,
) -> Refusal:
    return Refusal(rest.refusal(book, books, terms(), leg, role, rest.order_side(leg, role) if side is None else side, price, qty, spare))


@pytest.mark.parametrize(
    ("leg", "role", "price", "qty", "code"),
    [
        (L, Role.ENTRY, 999_999, 10, Refusal.NONE),
        (L, Role.ENTRY, 1_000_000, 10, Refusal.WOULD_TAKE),
        (S, Role.ENTRY, 1_000_001, 10, Refusal.NONE),
        (S, Role.ENTRY, 1_000_000, 10, Refusal.WOULD_TAKE),
        (L, Role.ENTRY, 999_999, 0, Refusal.NOT_WHOLE),
        (L, Role.ENTRY, 0, 10, Refusal.NOT_WHOLE),
        (L, Role.ENTRY, 999_999, 1, Refusal.TOO_SMALL),
        (L, Role.ENTRY, 999_999, 1001, Refusal.TOO_LARGE),
        (L, Role.ENTRY, 20_000, 2, Refusal.MIN_NOTIONAL),  # 2000 USDT x 0.002 = 4 USDT
        (L, Role.TAKE_PROFIT, 1_000_001, 50, Refusal.NONE),
        (L, Role.TAKE_PROFIT, 1_000_001, 51, Refusal.NOTHING_TO_CLOSE),
        (L, Role.TAKE_PROFIT, 999_999, 10, Refusal.WOULD_TAKE),
        (S, Role.TAKE_PROFIT, 20_000, 2, Refusal.NONE),  # closers are exempt from the smallest notional
        (L, Role.STOP, 999_999, 0, Refusal.NONE),
        (L, Role.STOP, 1_000_000, 50, Refusal.TRIGGERS_NOW),
        (S, Role.STOP, 1_000_000, 50, Refusal.TRIGGERS_NOW),
        (S, Role.STOP, 1_000_001, 50, Refusal.NONE),
        (L, Role.CLOSE, 0, 50, Refusal.NONE),
        (L, Role.CLOSE, 0, 1, Refusal.NONE),  # dust can be closed
        (L, Role.CLOSE, 0, 51, Refusal.NOTHING_TO_CLOSE),
        (L, Role.CLOSE, 0, 0, Refusal.NOT_WHOLE),
    ],
)  # fmt: skip
def test_refusals(leg: Leg, role: Role, price: int, qty: int, code: Refusal) -> None:
    assert ask(shown(), leg, role, price, qty) == code


def test_refusals_that_need_a_situation() -> None:
    assert ask(shown(), L, Role.ENTRY, 999_999, 10, side=-1) == Refusal.WRONG_SIDE
    assert ask(shown(), L, Role.CLOSE, 0, 10, side=1) == Refusal.WRONG_SIDE
    assert ask(shown(), L, Role.STOP, 999_999, 10, books=ledger.new_books()) == Refusal.NO_POSITION
    assert ask(shown(), L, Role.CLOSE, 0, 501, books=HOLDS._replace(long_qty=900)) == Refusal.TOO_LARGE
    assert ask(rest.new_book(), L, Role.CLOSE, 0, 10) == Refusal.NO_PRICE
    needed = 10 * 0.001 * 99_999.9 / 10
    assert ask(shown(), L, Role.ENTRY, 999_999, 10, spare=needed + 1e-9) == Refusal.NONE
    assert ask(shown(), L, Role.ENTRY, 999_999, 10, spare=needed - 1e-6) == Refusal.MARGIN


def test_a_full_book_takes_no_more() -> None:
    book = shown()
    for ticket in range(16):
        rest.add(book, terms(), ticket + 1, L, Role.ENTRY, 900_000 - ticket, 5, 0, 1)
    assert ask(book, L, Role.ENTRY, 800_000, 5) == Refusal.TOO_MANY


def test_resting_take_profits_count_against_the_leg() -> None:
    book = shown()
    rest.add(book, terms(), 1, L, Role.TAKE_PROFIT, 1_000_500, 30, 0, 1)
    assert ask(book, L, Role.TAKE_PROFIT, 1_000_600, 20) == Refusal.NONE
    assert ask(book, L, Role.TAKE_PROFIT, 1_000_600, 21) == Refusal.NOTHING_TO_CLOSE
    assert rest.amend_refusal(book, HOLDS, terms(), 0, 50, 50, 0.0) == Refusal.NONE
    assert rest.amend_refusal(book, HOLDS, terms(), 0, 51, 51, 0.0) == Refusal.NOTHING_TO_CLOSE
    assert rest.amend_refusal(book, HOLDS, terms(), 0, 1, 1, 0.0) == Refusal.TOO_SMALL


def test_growing_an_entry_needs_margin_for_the_growth_only() -> None:
    book = shown()
    rest.add(book, terms(), 1, L, Role.ENTRY, 100_000, 30, 0, 1)
    ten_more = rest.margin(terms(), 100_000, 10)
    assert rest.amend_refusal(book, HOLDS, terms(), 0, 40, 40, ten_more) == Refusal.NONE
    assert rest.amend_refusal(book, HOLDS, terms(), 0, 40, 40, ten_more * 0.99) == Refusal.MARGIN
    assert rest.amend_refusal(book, HOLDS, terms(), 0, 20, 20, -1.0) == Refusal.NONE


def test_a_quote_is_the_market_once_there_is_one() -> None:
    book = shown(1000)
    rest.see_quote(book, 1009, 5, 1011, 7)
    rest.see_price(book, 900, 0)
    assert (book.seen[rest.BID], book.seen[rest.ASK]) == (1009, 1011)
    assert book.mark[0] == 900.0  # but what trades still marks
    rest.see_mark(book, 950.5)
    rest.see_price(book, 901, 0)
    assert book.mark[0] == 950.5


def test_bound_margin_counts_both_legs_and_resting_entries() -> None:
    book = shown(1000)
    rest.add(book, terms(), 1, L, Role.ENTRY, 900, 30, 0, 1)
    rest.add(book, terms(), 2, L, Role.TAKE_PROFIT, 1100, 30, 0, 1)
    unit = INSTRUMENT.unit
    assert rest.bound_margin(book, HOLDS, terms()) == pytest.approx((100 * 1000 + 30 * 900) * unit / 10)
    book.mark[0] = math.nan
    assert rest.bound_margin(book, HOLDS, terms()) == pytest.approx((100 * 1000 + 30 * 900) * unit / 10)


@pytest.mark.parametrize(
    ("quote", "price", "ahead"),
    [(None, 990, 20), ((995, 7, 1005, 9), 995, 7), ((995, 7, 1005, 9), 996, 0), ((995, 7, 1005, 9), 990, rest.HIDDEN)],
)
def test_queue_ahead(quote: tuple[int, int, int, int] | None, price: int, ahead: int) -> None:
    book = shown(1000, volume=200)
    if quote:
        rest.see_quote(book, *quote)
    rest.add(book, terms(Model.QUEUE), 1, L, Role.ENTRY, price, 5, 0, 1)
    assert book.ahead[0] == ahead
    book.ahead[0] = 1
    rest.resize(book, terms(Model.QUEUE), 0, 4)
    assert book.ahead[0] == 1  # what shrinks keeps its place
    rest.resize(book, terms(Model.QUEUE), 0, 6)
    assert book.ahead[0] == ahead


def test_without_a_quote_and_a_volume_nobody_knows_the_queue() -> None:
    book = shown(1000)
    rest.add(book, terms(Model.QUEUE), 1, L, Role.ENTRY, 990, 5, 0, 1)
    assert book.ahead[0] == rest.HIDDEN
    rest.see_volume(book, 51)
    rest.add(book, terms(Model.QUEUE), 2, L, Role.ENTRY, 990, 5, 0, 1)
    assert book.ahead[1] == 6  # a tenth, rounded against us


def test_a_quote_shows_the_most_that_can_be_ahead() -> None:
    some, book = terms(Model.QUEUE), shown(1000)
    rest.see_quote(book, 995, 40, 1005, 9)
    for ticket, (leg, price) in enumerate(((L, 995), (L, 990), (S, 1005), (S, 1010)), 1):
        rest.add(book, some, ticket, leg, Role.ENTRY, price, 5, 1_000, 1)
    steps = (
        ((995, 30, 1005, 50), [30, rest.HIDDEN, 9, rest.HIDDEN]),  # what joins a level joins behind
        ((995, 60, 1010, 8), [30, rest.HIDDEN, 0, 8]),  # a level behind the best shows once it is the best, one before it is empty
        ((990, 12, 1010, 9), [0, 12, 0, 8]),
        ((980, 3, 1020, 3), [0, 0, 0, 0]),
    )
    for time, (quote, ahead) in enumerate(steps, 1_100):
        rest.see_quote(book, *quote)
        rest.step_up(book, some, time)
        assert book.ahead[:4] == ahead, quote
    for other in (Model.TOUCH, Model.THROUGH):
        rest.step_up(book, terms(other), 2_000)
    assert book.gone_at[:4] == [1_102, 1_103, 1_101, 1_103]


def test_a_stop_queues_nowhere() -> None:
    some, book = terms(Model.QUEUE), shown(1000)
    rest.add(book, some, 1, L, Role.STOP, 990, 5, 0, 1)
    rest.see_quote(book, 990, 5, 991, 5)
    rest.step_up(book, some, 1)
    assert (book.ahead[0], book.gone[0], book.gone_at[0]) == (0, 0, 0)


def test_tidy_drops_the_dead_and_keeps_the_order() -> None:
    book = shown()
    for ticket in (1, 2, 3, 4):
        rest.add(book, terms(), ticket, L, Role.ENTRY, 900_000 + ticket, 5, ticket, 1)
    rest.remove(book, rest.row_of(book, 2))
    rest.remove(book, rest.row_of(book, 4))
    rest.tidy(ledger.new_books(), book, terms(), 1000.0)
    assert book.ticket[: book.count[0]] == [1, 3]
    assert book.since[: book.count[0]] == book.gone_at[: book.count[0]] == [1, 3]
    assert book.edge[rest.LOW] == 900_003
    assert rest.row_of(book, 4) == -1


orders = st.lists(
    st.tuples(st.sampled_from([L, S]), st.sampled_from([Role.ENTRY, Role.TAKE_PROFIT, Role.STOP]), st.integers(1, 60)), max_size=12
)


@given(orders, st.sampled_from(list(Model)), st.booleans())
@settings(max_examples=100)
def test_edges_added_one_by_one_are_those_found_anew(orders: list[tuple[Leg, Role, int]], model: Model, marked: bool) -> None:
    book, some = shown(1000), terms(model)
    if marked:
        rest.see_mark(book, 1000.0)
    for ticket, (leg, role, step) in enumerate(orders):
        down = entry_side(leg) * (1 if role != Role.TAKE_PROFIT else -1)
        rest.add(book, some, ticket + 1, leg, role, 1000 - down * step, 5, 0, 1)
    kept = list(book.edge), list(book.openers), list(book.closers)
    rest.tidy(ledger.new_books(), book, some, 1e9)
    assert (book.edge, book.openers, book.closers) == kept
