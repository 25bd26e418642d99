"""The matching engine: when orders fill, at what price, in which order; and that doubt goes against us."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger, matching
from hedgegridd.kernel.book import Model
from hedgegridd.kernel.ledger import Books
from hedgegridd.kernel.matching import Kind
from hedgegridd.model import Instrument, Leg, Role, entry_side

L, S = Leg.LONG, Leg.SHORT
E, T, P = Role.ENTRY, Role.TAKE_PROFIT, Role.STOP
INSTRUMENT = Instrument(0.1, 0.1, 1, 10_000, 10_000, 0.0, 2.0, 5.0, 10.0, 0.4)
RICH = 1e9


class Row(NamedTuple):
    kind: Kind
    ticket: int
    leg: int
    side: int
    price: int
    qty: int
    fee: float
    maker: int


class Floor:
    """A book, its money and its tape, driven bar by bar."""

    def __init__(self, model: Model = Model.TOUCH, slippage_bps: float = 0.0, books: Books | None = None, spare: float = RICH) -> None:
        self.terms = rest.new_terms(INSTRUMENT, model, slippage_bps, 0.1)
        self.book, self.tape = rest.new_book(64), matching.new_tape(256)
        self.books, self.spare, self.tickets = books or ledger.new_books(), spare, 0
        rest.see_price(self.book, 1000, 0)

    def add(self, leg: int, role: int, price: int, qty: int = 10, since: int = 0, whole: int = 1) -> int:
        self.tickets += 1
        rest.add(self.book, self.terms, self.tickets, leg, role, price, qty, since, whole)
        return self.tickets

    def bar(self, low: int, high: int, opened: int = 1000, volume: int = 0, begun: int = 0) -> list[Row]:
        return self.move(matching.bar_move(self.terms, begun, opened, low, high, volume))

    def move(self, move: matching.Move) -> list[Row]:
        self.books = matching.match(self.books, self.book, self.terms, self.spare, move, self.tape)
        return self.read()

    def mark(self, price: float) -> list[Row]:
        rest.see_mark(self.book, price)
        move = matching.mark_move(self.book, 0, price)
        self.books = matching.match_mark(self.books, self.book, self.terms, self.spare, move, self.tape)
        return self.read()

    def close(self, leg: int, qty: int) -> list[Row]:
        self.books = matching.close(self.books, self.book, self.terms, self.spare, 99, leg, qty, self.tape)
        return self.read()

    def read(self) -> list[Row]:
        tape, rows = self.tape, self.tape.count[0]
        columns: tuple[list[Any], ...] = (tape.ticket, tape.leg, tape.side, tape.price, tape.qty, tape.fee, tape.maker)
        found = [Row(Kind(tape.kind[row]), *(column[row] for column in columns)) for row in range(rows)]
        tape.count[0] = 0
        return found


def held(long: int = 0, short: int = 0, at: float = 1000.0) -> Books:
    return Books(long, at if long else 0.0, short, at if short else 0.0, 0.0, 0.0, 0.0)


# --- limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "low", "fills"), [(Model.TOUCH, 990, 1), (Model.TOUCH, 991, 0), (Model.THROUGH, 990, 0), (Model.THROUGH, 989, 1)]
)
def test_when_a_purchase_fills(model: Model, low: int, fills: int) -> None:
    floor = Floor(model)
    floor.add(L, E, 990)
    rows = floor.bar(low, 1001)
    assert len(rows) == fills
    if fills:
        assert rows[0] == Row(Kind.FILL, 1, L, 1, 990, 10, pytest.approx(990 * 10 * 0.01 * 0.0002), 1)
        assert floor.books.long_qty == 10 and floor.book.count[0] == 0


@pytest.mark.parametrize(
    ("model", "high", "fills"), [(Model.TOUCH, 1010, 1), (Model.TOUCH, 1009, 0), (Model.THROUGH, 1010, 0), (Model.THROUGH, 1011, 1)]
)
def test_when_a_sale_fills(model: Model, high: int, fills: int) -> None:
    floor = Floor(model)
    floor.add(S, E, 1010)
    assert len(floor.bar(999, high)) == fills
    assert floor.books.short_qty == 10 * fills


def test_a_limit_fills_at_its_price_even_where_the_bar_opens_beyond_it() -> None:
    floor = Floor()
    floor.add(L, E, 990)
    assert floor.bar(940, 960, opened=950)[0].price == 990


def test_nearest_first_and_the_older_of_two_at_a_price() -> None:
    floor = Floor()
    for price in (970, 990, 980, 990):
        floor.add(L, E, price)
    assert [row.ticket for row in floor.bar(960, 1000)] == [2, 4, 3, 1]


def test_an_order_never_fills_against_prices_from_before_it_rested() -> None:
    floor = Floor(books=held(long=10))
    floor.add(L, E, 990, since=60_000)
    floor.add(L, P, 980, since=60_000)
    assert floor.bar(900, 1001, begun=59_999) == []
    assert len(floor.bar(900, 1001, begun=60_000)) > 0


def test_a_take_profit_closes_no_more_than_is_held_and_the_stop_dies_with_the_leg() -> None:
    floor = Floor(books=held(long=7))
    floor.add(L, P, 900)
    floor.add(L, T, 1010, 10)
    rows = floor.bar(999, 1020)
    assert [(row.kind, row.ticket, row.qty) for row in rows] == [(Kind.FILL, 2, 7), (Kind.LEG_CLOSED, 1, 0), (Kind.LEG_CLOSED, 2, 0)]
    assert floor.books.long_qty == 0 and floor.books.realized == pytest.approx(7 * 10 * 0.01)


# --- the path within a bar ----------------------------------------------------------------------------------------------


def test_entries_before_the_stop_the_stop_before_take_profits() -> None:
    floor = Floor(books=held(long=10))
    floor.add(L, T, 1010)
    stop = floor.add(L, P, 980)
    entry = floor.add(L, E, 990)
    rows = floor.bar(970, 1020)
    assert [(row.kind, row.ticket, row.qty) for row in rows] == [
        (Kind.FILL, entry, 10),
        (Kind.FILL, stop, 20),
        (Kind.STOPPED, stop, 0),
        (Kind.LEG_CLOSED, 1, 0),
    ]


def test_an_entry_beyond_the_stop_fills_after_it_and_stays() -> None:
    floor = Floor(books=held(long=10))
    floor.add(L, P, 980)
    floor.add(L, E, 975)
    rows = floor.bar(970, 1001)
    assert [(row.kind, row.qty, row.price) for row in rows if row.kind == Kind.FILL] == [(Kind.FILL, 10, 980), (Kind.FILL, 10, 975)]
    assert (floor.books.long_qty, floor.books.long_entry) == (10, 975.0)


def test_a_stop_closes_its_whole_leg_or_with_whole_0_its_quantity() -> None:
    for whole, left in ((1, 0), (0, 6)):
        floor = Floor(books=held(short=10))
        floor.add(S, P, 1020, qty=4, whole=whole)
        rows = floor.bar(1000, 1020)
        assert (rows[0].side, rows[0].price, rows[0].qty, rows[0].maker) == (1, 1020, 10 - left, 0)
        assert rows[0].fee == pytest.approx(1020 * (10 - left) * 0.01 * 0.0005)
        assert floor.books.short_qty == left


def test_of_two_stops_the_nearer_closes_the_leg_and_the_other_dies() -> None:
    floor = Floor(books=held(long=10))
    floor.add(L, P, 970)
    floor.add(L, P, 980)
    rows = floor.bar(960, 1000)
    assert [(row.kind, row.ticket) for row in rows] == [(Kind.FILL, 2), (Kind.STOPPED, 2), (Kind.LEG_CLOSED, 1)]


def test_a_gap_stops_out_at_the_open_and_slippage_goes_against_us() -> None:
    floor = Floor(slippage_bps=10.0, books=held(long=10, short=10))
    floor.add(L, P, 9_800)
    rest.see_price(floor.book, 10_000, 0)
    assert floor.bar(9_400, 9_600, opened=9_500)[0].price == 9_500 - 10  # 9.5 rounds against us
    floor.add(S, P, 10_000)
    assert floor.bar(9_500, 10_100, opened=9_600)[0].price == 10_010


def test_no_stop_triggers_on_an_offer() -> None:
    floor = Floor(books=held(long=10))
    floor.add(L, P, 980)
    floor.add(L, E, 985)
    rows = floor.move(matching.quote_move(0, 970, 971))
    assert [row.ticket for row in rows] == [2]


# --- marks --------------------------------------------------------------------------------------------------------------


def test_where_marks_arrive_stops_look_at_nothing_else() -> None:
    floor = Floor(slippage_bps=0.0, books=held(long=10))
    floor.add(L, P, 980)
    assert floor.mark(980.5) == []
    assert floor.bar(900, 1000) == []
    rest.see_quote(floor.book, 978, 1, 979, 1)
    rows = floor.mark(979.9)
    assert (rows[0].price, rows[0].side, rows[1].kind) == (978, -1, Kind.STOPPED)  # the bid was worse than the mark


def test_a_mark_exactly_at_the_trigger_triggers() -> None:
    floor = Floor(books=held(short=10))
    floor.add(S, P, 1020)
    assert floor.mark(1019.999) == []
    assert floor.mark(1020.0)[0].price == 1020


# --- queue --------------------------------------------------------------------------------------------------------------


def trade(floor: Floor, price: int, qty: int, buyer_is_maker: bool = True, time: int = 1_000) -> list[int]:
    return [row.qty for row in floor.move(matching.trade_move(time, price, qty, buyer_is_maker))]


def quote(floor: Floor, time: int, bid: int, bid_qty: int, ask: int = 1010, ask_qty: int = 5) -> None:
    rest.see_quote(floor.book, bid, bid_qty, ask, ask_qty)
    rest.step_up(floor.book, floor.terms, time)


def test_the_queue_ahead_must_trade_first_and_fills_are_partial() -> None:
    floor = Floor(Model.QUEUE)
    rest.see_quote(floor.book, 990, 25, 1010, 5)
    floor.add(L, E, 990, 10)
    assert trade(floor, 990, 20) == []
    assert trade(floor, 990, 50, buyer_is_maker=False) == []  # takers bought: no purchase of ours fills
    assert trade(floor, 990, 8) == [3]
    assert trade(floor, 990, 4) == [4]
    assert trade(floor, 989, 100) == [3]


def test_what_a_quote_saw_go_does_not_count_again_as_a_trade() -> None:
    """25 lots ahead; a quote shows 10: 15 were cancelled or traded. Trades heard right after it are those, later ones are not."""
    for late, filled in ((0, []), (25, []), (26, [2])):
        floor = Floor(Model.QUEUE)
        quote(floor, 900, 990, 25)
        floor.add(L, E, 990, 10, since=900)
        quote(floor, 1_000, 990, 10)
        assert trade(floor, 990, 12, time=1_000 + late) == filled
    assert trade(floor, 990, 5, time=2_000) == [5]


def test_trades_in_the_moment_of_the_placing_may_be_in_the_quote_already() -> None:
    for late, filled in ((0, []), (25, []), (26, [2])):
        floor = Floor(Model.QUEUE)
        quote(floor, 900, 990, 25)
        floor.add(L, E, 990, 10, since=1_000)
        assert trade(floor, 990, 27, time=1_000 + late) == filled
    assert trade(floor, 989, 50, time=1_026) == [8]  # beyond its price there is no doubt


def test_a_queue_that_nobody_knows_never_comes_to_its_end() -> None:
    floor = Floor(Model.QUEUE)
    floor.add(L, E, 990, 10)
    assert trade(floor, 990, 10**9) == []
    assert trade(floor, 989, 4) == [4]


def test_two_orders_share_what_traded() -> None:
    floor = Floor(Model.QUEUE)
    floor.add(L, E, 991, 10)
    floor.add(L, E, 990, 10)
    assert trade(floor, 989, 15) == [10, 5]


def test_a_bar_gives_half_its_volume_beyond_a_level_and_a_share_of_that_at_it() -> None:
    floor = Floor(Model.QUEUE)
    rest.see_volume(floor.book, 10)
    floor.add(L, E, 990, 100)
    assert [row.qty for row in floor.bar(990, 1000, volume=400)] == [19]  # one lot, a tenth of the last bar, lay ahead
    assert [row.qty for row in floor.bar(989, 1000, volume=100)] == [50]
    assert floor.bar(990, 1000, volume=0) == []  # volume unknown
    assert [row.qty for row in floor.bar(989, 1000, volume=0)] == [31]


def test_an_entry_at_the_extreme_beyond_a_stop_takes_its_queue_once() -> None:
    floor = Floor(Model.QUEUE, books=held(long=10))
    floor.add(L, P, 995)
    rest.see_volume(floor.book, 10)
    floor.add(L, E, 990, 100)
    assert [row.qty for row in floor.bar(990, 1000, volume=400) if row.kind == Kind.FILL] == [10, 19]


# --- market closes ------------------------------------------------------------------------------------------------------


def test_a_market_close_knocks_out_what_has_nothing_left_to_close() -> None:
    floor = Floor(slippage_bps=10.0, books=held(long=10))
    stop = floor.add(L, P, 900)
    floor.add(L, T, 1010, 4)
    young = floor.add(L, T, 1020, 4)
    rows = floor.close(L, 5)
    assert [(row.kind, row.ticket) for row in rows] == [(Kind.FILL, 99), (Kind.KNOCKED_OUT, young)]
    assert (rows[0].price, rows[0].side, rows[0].maker) == (999, -1, 0)
    rows = floor.close(L, 5)
    assert {(row.kind, row.ticket) for row in rows[1:]} == {(Kind.LEG_CLOSED, stop), (Kind.LEG_CLOSED, 2)}
    assert floor.book.count[0] == 0


@pytest.mark.parametrize(
    ("leg", "worst", "quotes", "lots"),
    [
        (L, 999, None, 50),  # 1 tick of slippage, and no quote says how much is there
        (L, 1000, None, 0),
        (S, 1001, None, 50),
        (S, 1000, None, 0),
        (L, 994, (995, 7, 1005, 9), 7),
        (L, 995, (995, 7, 1005, 9), 0),
        (S, 1007, (995, 7, 1005, 9), 9),
        (S, 1007, (995, 7, 1005, 900), 50),
    ],
)
def test_what_trades_at_once_within_a_price(leg: int, worst: int, quotes: tuple[int, int, int, int] | None, lots: int) -> None:
    floor = Floor(slippage_bps=10.0, books=held(long=100, short=100))
    if quotes:
        rest.see_quote(floor.book, *quotes)
    assert matching.within(floor.book, floor.terms, leg, worst, 50) == lots


# --- liquidation --------------------------------------------------------------------------------------------------------


def test_liquidation_ends_everything_on_the_symbol() -> None:
    floor = Floor(books=held(long=100, short=10), spare=50.0)
    floor.add(L, E, 100)
    floor.add(L, T, 2000)
    span = ledger.liquidation_span(floor.books, floor.terms.unit, 50.0, floor.terms.tiers)
    assert 900 < span.low < 1000
    assert floor.bar(math.floor(span.low) + 1, 1001) == []
    rows = floor.bar(800, 1001)
    assert [row.kind for row in rows] == [Kind.WIPED, Kind.WIPED, Kind.LIQUIDATION, Kind.LIQUIDATION]
    assert rows[2].price == math.floor(span.low) and not rows[2].maker
    assert (floor.books.long_qty, floor.books.short_qty, floor.book.count[0]) == (0, 0, 0)


def test_a_stop_nearer_than_liquidation_saves_the_account() -> None:
    floor = Floor(books=held(long=100), spare=50.0)
    floor.add(L, P, 980)
    assert [row.kind for row in floor.bar(500, 1001)] == [Kind.FILL, Kind.STOPPED]
    floor = Floor(books=held(long=100), spare=50.0)
    floor.add(L, P, 900)  # beyond liquidation: no protection at all
    assert [row.kind for row in floor.bar(500, 1001)] == [Kind.WIPED, Kind.LIQUIDATION]


def test_a_short_account_dies_upwards_on_the_mark() -> None:
    floor = Floor(books=held(short=100), spare=50.0)
    span = ledger.liquidation_span(floor.books, floor.terms.unit, 50.0, floor.terms.tiers)
    assert floor.mark(span.high - 1.5) == []
    assert [row.kind for row in floor.mark(span.high + 2.0)] == [Kind.LIQUIDATION]


# --- whatever the market does -------------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(st.integers(-30, 30), st.integers(-30, 30), st.integers(0, 12), st.integers(0, 12), st.integers(0, 60)),
    min_size=1,
    max_size=25,
)
wants = st.lists(st.tuples(st.sampled_from([L, S]), st.sampled_from([E, E, T, P]), st.integers(1, 60), st.integers(1, 9)), max_size=6)


class Bar(NamedTuple):
    opened: int
    low: int
    high: int
    close: int
    volume: int


def bars(steps: list[tuple[int, int, int, int, int]]) -> list[Bar]:
    found, last = [], 1000
    for gap, body, up, down, volume in steps:
        opened = max(200, last + gap)
        close = max(200, opened + body)
        found.append(Bar(opened, min(opened, close) - down, max(opened, close) + up, close, volume))
        last = close
    return found


def drive(floor: Floor, path: list[Bar], wants: list[tuple[Leg, Role, int, int]]) -> list[tuple[Bar, dict[int, tuple], list[Row]]]:
    """Before each bar post whatever of `wants` may rest around the last close."""
    told, names = [], {}
    for time, bar in enumerate(path):
        near = int(floor.book.mark[0])
        for leg, role, step, qty in wants:
            side = rest.order_side(leg, role)
            price = near - side * step * (-1 if role == P else 1)
            if not rest.refusal(floor.book, floor.books, floor.terms, leg, role, side, price, qty, 1e6):
                names[floor.add(leg, role, price, qty, since=time)] = (leg, role, price)
        before = dict(names)
        loud = not rest.quiet(floor.book, bar.low, bar.high)
        rows = floor.bar(bar.low, bar.high, bar.opened, bar.volume, begun=time)
        assert loud or not rows  # a quiet move touches nothing
        rest.see_price(floor.book, bar.close, bar.volume)
        told.append((bar, before, rows))
    return told


@given(steps, wants, st.sampled_from(list(Model)), st.sampled_from([0.0, 7.0]), st.sampled_from([RICH, 400.0]))
@settings(max_examples=200, deadline=None)
def test_whatever_the_market_does(steps: list, wants: list, model: Model, slippage: float, spare: float) -> None:
    floor, again = (Floor(model, slippage, spare=spare) for _ in range(2))
    path = bars(steps)
    told = drive(floor, path, wants)
    assert told == drive(again, path, wants)  # same input, same fills
    held, cash, fees = [0, 0], 0.0, 0.0
    for bar, names, rows in told:
        for row in rows:
            if row.kind not in (Kind.FILL, Kind.LIQUIDATION):
                continue
            leg, side = Leg(row.leg), row.side
            opens = side == entry_side(leg)
            held[leg] += row.qty if opens else -row.qty
            assert row.qty > 0 and held[leg] >= 0  # never more closed than held
            cash -= side * row.price * row.qty * floor.terms.unit
            fees += row.fee
            if row.maker:
                assert row.price == names[row.ticket][2]  # a limit fills at its own price
                assert bar.low <= row.price if side > 0 else row.price <= bar.high
            else:
                slip = math.ceil(max(bar.high, row.price) * slippage / 10_000) + 1
                assert bar.low - slip <= row.price <= bar.high + slip
                if row.kind == Kind.FILL:
                    assert side * (row.price - names[row.ticket][2]) >= 0  # slippage goes against us
    assert held == [floor.books.long_qty, floor.books.short_qty]
    mark = float(path[-1].close)
    worth = cash + (held[0] - held[1]) * mark * floor.terms.unit - fees
    assert ledger.net(floor.books) + ledger.unrealized(floor.books, floor.terms.unit, mark) == pytest.approx(worth, abs=1e-6)
    rests = [floor.book.role[row] for row in range(floor.book.count[0])]
    assert not any(floor.book.remaining[row] <= 0 for row in range(floor.book.count[0]))
    assert held[0] + held[1] > 0 or all(role == E for role in rests)
