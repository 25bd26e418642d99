"""Rolling figures equal what is reckoned from all that was seen, whatever came; and a checkpoint in between changes nothing."""

from __future__ import annotations

import json
import math
import statistics
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.heart.window import FEW_STEPS, LONG, MOVE_MINUTES, SHORT, STEP_MS, STEPS, VOLUMES, Median, Window
from hedgegridd.model import Bar, Quote

MINUTE = 60_000
closes = st.lists(st.tuples(st.integers(900_000, 1_100_000), st.integers(0, 10_000)), min_size=LONG + 1, max_size=LONG + 40)


def bars(rows: list[tuple[int, int]]) -> list[Bar]:
    return [Bar("X", (i + 1) * MINUTE, close, close + 7, close - 5, close, volume, MINUTE) for i, (close, volume) in enumerate(rows)]


@settings(max_examples=30, deadline=None)
@given(closes)
def test_bars_make_what_a_plain_reckoning_makes(rows: list[tuple[int, int]]) -> None:
    window, made = Window(1e-4, quotes=False), bars(rows)
    for one in made:
        window.bar(one)
    view = window.view()
    assert view is not None and view.volatility_short is not None and view.volatility_long is not None
    squares = [math.log(after[0] / before[0]) ** 2 for before, after in pairwise(rows)]
    assert math.isclose(view.volatility_short, math.sqrt(sum(squares[-SHORT:]) / SHORT), rel_tol=1e-12, abs_tol=1e-15)
    assert math.isclose(view.volatility_long, math.sqrt(sum(squares[-LONG:]) / LONG), rel_tol=1e-12, abs_tol=1e-15)
    usual = statistics.median_high([volume for _, volume in rows[-VOLUMES - 1 : -1]])
    assert view.volume_ratio == (rows[-1][1] / usual if usual else None)
    last, near = made[-1].close, made[-MOVE_MINUTES:]
    expected = max(last / min(one.low for one in near) - 1, 1 - last / max(one.high for one in near)) * 100
    assert view.move_pct == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 500), st.integers(0, 9_999), st.integers(0, 9_999)), max_size=120))
def test_quotes_make_what_a_plain_reckoning_makes(rows: list[tuple[int, int, int, int]]) -> None:
    window, time, steps = Window(1e-4, quotes=True), 0, dict[int, list[tuple[float, float]]]()
    for pause, spread, bid_qty, ask_qty in rows:
        time += pause
        quote = Quote("X", time, 1_000_000, bid_qty, 1_000_000 + spread, ask_qty)
        window.quote(quote)
        depth = min(1_000_000 * bid_qty, quote.ask * ask_qty) * 1e-4
        steps.setdefault(time // STEP_MS, []).append(((quote.ask - quote.bid) / quote.bid * 10_000, depth))
    over = [(min(s for s, _ in rows), max(d for _, d in rows)) for rows in list(steps.values())[:-1]]  # the last one still goes on
    assert [*window.spreads.values] == [spread for spread, _ in over[:-1]][-STEPS:]
    assert window.last_step[1:] == (list(over[-1]) if over else [])
    enough = len(over) - 1 >= FEW_STEPS
    assert window.depths.value(FEW_STEPS) == (statistics.median_high([d for _, d in over[:-1]][-STEPS:]) if enough else None)


@given(st.lists(st.floats(-1e6, 1e6), max_size=40))
def test_the_median_is_the_median_of_the_last_few(values: list[float]) -> None:
    median = Median(7)
    for value in values:
        median.add(value)
    assert median.value(1) == (statistics.median_high(values[-7:]) if values else None)


@settings(max_examples=15, deadline=None)
@given(closes, st.integers(0, LONG + 40))
def test_a_checkpoint_in_between_changes_no_bit(rows: list[tuple[int, int]], at: int) -> None:
    straight, broken = Window(1e-4, quotes=True), Window(1e-4, quotes=True)
    for number, one in enumerate(bars(rows)):
        if number == at:
            broken = Window.load(1e-4, json.loads(json.dumps(broken.dump())))
        for window in (straight, broken):
            window.quote(Quote("X", one.time - 1, one.low, one.volume, one.high, 500))
            window.bar(one)
            window.price(one.time + 900, one.close * 1.0001)
    assert broken.view() == straight.view() and broken.dump() == straight.dump()


def test_long_bars_are_a_window_of_their_own() -> None:
    window = Window(1e-4, quotes=False)
    for i in range(3):
        window.bar(Bar("X", (i + 1) * 15 * MINUTE, 100, 110 + i, 90, 100, 5, 15 * MINUTE))
    assert window.ranges == [[44.0, 90, 112]] and window.move is not None


def test_an_empty_side_of_the_book_is_unknown_and_no_price_is_none() -> None:
    window = Window(1e-4, quotes=True)
    for step in range(3):
        window.quote(Quote("X", step * 5_000, 100, 5, 101, 5))
    assert window.last_step
    window.quote(Quote("X", 16_000, 0, 0, 101, 5))
    assert not window.last_step, "nothing to compare with until both sides are back"
    window.price(17_000, 0.0)
    window.price(18_000, 100.0)
    window.price(19_000, float("nan"))
    assert window.move == 0.0
