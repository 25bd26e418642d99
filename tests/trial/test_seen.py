"""What a tried breaker said: the panel's own trips, near misses, unknowns past their grace, and an estimate by hand."""

from __future__ import annotations

from typing import Any

import pytest

from hedgegridd.heart.breakers import Verdict
from hedgegridd.model import Instrument, Level
from hedgegridd.trial.seen import Seen, estimate, row
from hedgegridd.views import InstrumentView, LegView, Measure, Snapshot, Trip

LEG = LegView(0.0, 0.0, 0.0, 0.0, 0.0, None, True)
LONG = LEG._replace(qty=2.0, entry_price=90.0, unrealized_usdt=20.0)
SHORT = LEG._replace(qty=0.5, entry_price=101.0, unrealized_usdt=0.5)
VIEW = InstrumentView("BTCUSDT", 100.0, None, 100.0, 99.0, 101.0, None, None, None, None, None, None, 0, LONG, SHORT)
CALM = Snapshot(1, 10_020.0, 10_000.0, 0.0, 20.0, 0.0, 0.0, 0.0, 10_000.0, 10_020.0, 10_000.0, 10_020.0, 0.0, 0.0, 0, (VIEW,))
SIZES = {"BTCUSDT": Instrument(0.1, 0.001, 1, 10**6, 10**6, 5.0, 2.0, 5.0)}


def said(value: float, threshold: float = 10.0) -> Verdict:
    measure = Measure(value, threshold, "bps", f"it is {value}")
    return Verdict(measure.trip(), measure)


def seen(*values: float | Verdict, on_trip: str = "flatten", shipped: bool = False, every: int = 1_000, **table: Any) -> Seen:
    one = Seen("spread", on_trip, table, shipped)
    for number, value in enumerate(values):
        one.hear(CALM._replace(time=1 + number * every), value if isinstance(value, Verdict) else said(value), 0.001)
    one.passed()
    return one


def test_each_crossing_is_one_trip_however_long_it_lasts() -> None:
    found = seen(1, 10, 11, 12, 3, 10, 2)
    assert (found.asks, found.trips, [told.time for told in found.told]) == (7, 2, [1_001, 5_001])
    assert found.acting is not None and (found.acting.level, found.acting.value, found.acting.threshold) == (Level.FLATTEN, 10, 10)


def test_a_trip_is_told_with_the_figures_that_made_it() -> None:
    told = row(seen(12).told[0])
    assert (told["time"], told["level"], told["reason"]) == ("1970-01-01T00:00:00.001Z", "flatten", "it is 12")
    assert (told["value"], told["threshold"], told["unit"], told["equity_usdt"]) == (12, 10, "bps", 10_020.0)
    assert told["held"] == [{"symbol": "BTCUSDT", "mark_price": 100.0, "long_qty": 2.0, "long_entry": 90.0, "short_qty": 0.5,
                             "short_entry": 101.0, "unrealized_usdt": 20.5}]  # fmt: skip
    assert told["inputs"]["instruments"][0]["long"]["qty"] == 2.0


def test_what_only_warns_stops_nothing() -> None:
    found = seen(12, 1, 12, on_trip="warn")
    assert (found.trips, found.acting) == (2, None)


def test_a_trip_may_raise_its_level_and_its_table_decides_the_rest() -> None:
    raised = Verdict(Trip("worse", 1.0, 1.0, Level.FLATTEN))
    assert [told.level for told in seen(raised, on_trip="halt").told] == [Level.FLATTEN]
    assert [told.level for told in seen(12, on_trip="flatten").told] == [Level.FLATTEN]
    table = Seen("spread", "flatten", {"on_trip": "halt"}, False)
    table.hear(CALM, said(12), 0.0)
    assert table.told[0].level == Level.HALT


def test_an_approach_without_a_trip_is_one_near_miss_at_its_nearest() -> None:
    found = seen(1, 8.5, 9.5, 9, 1, 8, 1, 9, 12, 1)
    assert (found.trips, found.near) == (1, 2)
    assert [(peak.fraction, peak.time) for peak in found.nearest] == [(0.95, 2_001), (0.8, 5_001)]
    assert found.peak is not None and found.peak.fraction == 1.2


def test_an_approach_that_lasts_to_the_end_counts() -> None:
    assert seen(1, 9).near == 1


def test_unknown_past_its_grace_halts_as_in_force() -> None:
    blind = Verdict(unknown="no quotes")
    found = seen(1, blind, blind, blind, blind, 1, every=1_000, grace_seconds=2.0)
    assert (found.unknowns, found.trips, found.told[0].level, found.told[0].time) == (4, 1, Level.HALT, 3_001)
    assert "no quotes" in found.told[0].reason


def test_a_strangers_error_guards_nothing_and_a_shipped_ones_blinds() -> None:
    broken = Verdict(error="ValueError: x")
    assert (seen(broken, broken, grace_seconds=0.5).trips, seen(broken, broken, grace_seconds=0.5).errors) == (0, 2)
    assert seen(broken, broken, shipped=True, grace_seconds=0.5).trips == 1


def test_the_price_of_asking() -> None:
    found = Seen("spread", "halt", {}, False)
    assert found.price_ms(0.5) is None
    for number in range(100):
        found.hear(CALM, said(1), (number + 1) / 1000)
    assert (found.price_ms(0.5), found.price_ms(0.99)) == (pytest.approx(51.0), pytest.approx(100.0))


# --- the estimate ---------------------------------------------------------------------------------------------------------


def after(mark: float | None) -> Snapshot:
    return CALM._replace(instruments=(VIEW._replace(mark_price=mark, last_price=mark),))


def test_closed_at_that_mark_against_kept_to_the_end() -> None:
    found = estimate(CALM, after(80.0), SIZES)
    assert found is not None
    assert (found.fees, found.spread) == (pytest.approx(2.5 * 100 * 0.0005), pytest.approx(2.5 * 1.0))
    assert found.saved == pytest.approx((2.0 - 0.5) * 20 - found.fees - found.spread)  # net long 1.5, the mark fell by 20
    up = estimate(CALM, after(120.0), SIZES)
    assert up is not None and up.saved == pytest.approx(-30 - up.fees - up.spread)


def test_nothing_held_costs_nothing_and_an_unknown_mark_is_not_guessed() -> None:
    flat = CALM._replace(instruments=(VIEW._replace(long=LEG, short=LEG),))
    assert estimate(flat, after(80.0), SIZES) == (0.0, 0.0, 0.0)
    assert estimate(CALM, after(None), SIZES) is None


def test_without_quotes_the_spread_is_a_tick() -> None:
    bare = CALM._replace(instruments=(VIEW._replace(bid=None, ask=None),))
    found = estimate(bare, after(100.0), SIZES)
    assert found is not None and found.spread == pytest.approx(2.5 * 0.05)
