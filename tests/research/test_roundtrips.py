"""Round trips and positions: only a division of what the ledger booked, checked against sums made here."""

from __future__ import annotations

import math
import random

from hedgegridd.kernel import ledger
from hedgegridd.model import Instrument, entry_side
from hedgegridd.research.roundtrips import LegBook

BTC = Instrument(0.1, 0.001, 1, 10**9, 10**9, 5.0, 2.0, 5.0)


def test_one_entry_one_exit() -> None:
    book = LegBook("BTCUSDT", 0, BTC)
    assert book.entry(1_000, 500_000, 10, 0.1, "e1") == 1
    book.pay(0.4)
    book.exit(5_000, 505_000, 10, 0.2, 50.0 * 10 * BTC.unit * 100, "t1")
    (trip,), (position,) = book.trips, book.positions
    assert (trip.opened, trip.closed, trip.qty, trip.exit) == (1_000, 5_000, 0.01, 50_500.0)
    assert math.isclose(trip.entry, 50_000.0) and math.isclose(trip.fees, 0.3) and trip.funding == 0.4
    assert math.isclose(trip.net, trip.realized - 0.7)
    assert (position.opened, position.closed, position.most, position.entries, position.exits) == (1_000, 5_000, 10, 1, 1)


def test_parts_of_one_order_are_one_trip_and_one_rung() -> None:
    book = LegBook("BTCUSDT", 1, BTC)
    assert [book.entry(at, 500_000, 5, 0.1, "e1") for at in (1_000, 3_000)] == [1, 1]
    assert book.entry(4_000, 501_000, 5, 0.1, "e2") == 2
    for at in (5_000, 6_000):
        book.exit(at, 499_000, 5, 0.1, 1.0, "t1")
    assert len(book.trips) == 1 and math.isclose(book.trips[0].qty, 0.010) and book.trips[0].closed == 6_000
    assert book.trips[0].realized == 2.0 and book.qty == 5 and len(book.rungs) == 1
    assert book.position(0).closed == 0 and book.position(0).exits == 1


def test_random_legs_add_up_to_the_ledger() -> None:
    for seed in range(200):
        rng, leg = random.Random(seed), seed % 2
        book, books, paid = LegBook("X", leg, BTC), ledger.new_books(), 0.0
        for at in range(60):
            price, have = rng.randrange(400_000, 600_000), ledger.held(books, leg)
            if have == 0 or rng.random() < 0.5:
                side, qty = entry_side(leg), rng.randrange(1, 20)
            else:
                side, qty = -entry_side(leg), rng.choice([have, rng.randrange(1, have + 1)])
            fee, before = ledger.notional(qty, BTC.unit, price) * 2e-4, books.realized
            books = ledger.fill(books, BTC.unit, leg, side, price, qty, fee)
            if side == entry_side(leg):
                book.entry(at, price, qty, fee, f"e{at}")
            else:
                book.exit(at, price, qty, fee, books.realized - before, f"t{at}")
            if book.qty and rng.random() < 0.2:
                book.pay(amount := rng.gauss(0, 1))
                paid += amount
        rows = [*book.positions, *([book.position(0)] if book.qty else [])]
        assert book.qty == ledger.held(books, leg) == sum(book.rungs)
        assert math.isclose(sum(row.realized for row in rows), books.realized, abs_tol=1e-9)
        assert math.isclose(sum(row.fees for row in rows), books.fees, rel_tol=1e-12)
        assert math.isclose(sum(row.funding for row in rows), paid, abs_tol=1e-9)
        shared = sum(trip.fees for trip in book.trips) + book.fees
        assert math.isclose(shared, books.fees, rel_tol=1e-9)
        assert math.isclose(sum(trip.realized for trip in book.trips), books.realized, abs_tol=1e-9)
