"""The shipped breakers: each builds a snapshot, calls `measure`, compares. Thresholds are reached at, not over."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.errors import Unknown
from hedgegridd.heart.breakers import judge
from hedgegridd.plugins import equip, load_shipped
from hedgegridd.views import InstrumentView, LegView, Measure, Snapshot, Vitals, WindowView

BREAKERS = load_shipped(Path(__file__).resolve().parents[2] / "plugins").breakers
HOUR = 3_600_000

LEG = LegView(0.0, 0.0, 0.0, 0.0, 0.0, None, True)
VIEW = InstrumentView("BTCUSDT", 100.0, 100.0, 100.0, 99.9, 100.1, None, None, None, 0.0001, 0, 8 * HOUR, 0, LEG, LEG)
VIEW = VIEW._replace(window=WindowView(0.001, 0.001, 0.5, 1.0, 0.2, 0.2, 5e5, 5e5))
VITALS = Vitals(1, 1, 2.0, 3.0, 0, 50.0, 60.0, 40, 0, 0, -12.0, 40.0, 50.0, 0.0)
CALM = Snapshot(1, 10_000.0, 10_000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10_000.0, 10_000.0, 10_000.0, 10_000.0, 0.0, 0.0, 0, (VIEW,), VITALS)


def breaker(name: str, **values: Any) -> Any:
    one, _ = equip(BREAKERS[name].thing, {}, name)
    for key, value in values.items():
        assert hasattr(one.settings, key)
        setattr(one.settings, key, value)
    return one


def seen(**view: Any) -> Snapshot:
    return CALM._replace(instruments=(VIEW._replace(**view),))


def leg(notional: float, openers: float = 0.0) -> LegView:
    return LEG._replace(qty=notional / 100, notional_usdt=notional, openers_usdt=openers)


@pytest.mark.parametrize("name", sorted(BREAKERS))
def test_a_calm_account_trips_nothing(name: str) -> None:
    verdict = judge(breaker(name), CALM)
    assert (verdict.trip, verdict.unknown, verdict.error) == (None, "", "")
    assert verdict.measure is not None
    assert 0 <= verdict.measure.value < verdict.measure.threshold


@pytest.mark.parametrize("name", sorted(BREAKERS))
def test_no_instruments_are_no_error(name: str) -> None:
    assert judge(breaker(name), CALM._replace(instruments=())).error == ""


AT_THE_LINE = [
    ("drawdown", CALM._replace(equity=9_500.0), 5.0, "%"),
    ("drawdown", CALM._replace(equity=9_500.0, session_start_equity=1.0), 5.0, "%"),
    ("session_loss", CALM._replace(equity=9_000.0), 1000.0, "USDT"),
    ("daily_loss", CALM._replace(equity=9_800.0), 2.0, "%"),
    ("margin", CALM._replace(initial_margin_use=0.80), 80.0, "%"),
    ("margin", CALM._replace(maint_margin_ratio=0.50, initial_margin_use=0.7), 50.0, "%"),
    ("position_size", seen(short=leg(6_000.0, 4_000.0)), 10_000.0, "USDT"),
    ("order_errors", CALM._replace(order_errors_1m=10), 10.0, "errors/min"),
    ("stale_data", seen(data_age_ms=10_000), 10.0, "s"),
    ("funding", seen(long=leg(100.0), funding_rate=0.002), 20.0, "bps/8h"),
    ("funding", seen(short=leg(100.0), funding_rate=-0.00025, funding_interval_ms=HOUR), 20.0, "bps/8h"),
]


@pytest.mark.parametrize(("name", "snapshot", "value", "unit"), AT_THE_LINE)
def test_at_the_line_is_over_it(name: str, snapshot: Snapshot, value: float, unit: str) -> None:
    trip = judge(breaker(name), snapshot).trip
    measure = breaker(name).measure(snapshot)
    assert measure.value == pytest.approx(value)
    assert measure.unit == unit
    assert trip is not None
    assert (trip.value, trip.threshold) == (measure.value, measure.threshold)


UNKNOWN = [
    ("drawdown", CALM._replace(session_peak_equity=0.0)),
    ("drawdown", CALM._replace(equity=math.nan)),
    ("session_loss", CALM._replace(session_start_equity=-5.0)),
    ("daily_loss", CALM._replace(day_start_equity=math.nan)),
    ("margin", CALM._replace(initial_margin_use=None)),
    ("margin", CALM._replace(maint_margin_ratio=math.nan)),
    ("position_size", seen(long=leg(5.0), mark_price=None, last_price=None)),
    ("position_size", seen(long=leg(math.nan))),
    ("stale_data", seen(data_age_ms=None)),
    ("funding", seen(long=leg(5.0), funding_rate=None)),
    ("funding", seen(long=leg(5.0), funding_interval_ms=None)),
]


@pytest.mark.parametrize(("name", "snapshot"), UNKNOWN)
def test_a_missing_input_is_unknown_never_neutral(name: str, snapshot: Snapshot) -> None:
    with pytest.raises(Unknown):
        breaker(name).measure(snapshot)


def test_drawdown_of_the_day_where_it_is_wished() -> None:
    snapshot = CALM._replace(equity=9_700.0, day_peak_equity=9_900.0)
    assert breaker("drawdown").measure(snapshot).value == pytest.approx(3.0)
    nearer = breaker("drawdown", max_daily_drawdown_pct=2.1).measure(snapshot)
    assert (nearer.value, nearer.threshold) == (pytest.approx(200 / 99), 2.1)


def test_daily_loss_by_percent_by_amount_or_by_both() -> None:
    snapshot = CALM._replace(equity=9_900.0)
    assert breaker("daily_loss", daily_loss_limit_usdt=100.0).measure(snapshot).unit == "USDT"
    assert breaker("daily_loss", daily_loss_limit_usdt=1_000.0).measure(snapshot).unit == "%"
    assert breaker("daily_loss", daily_loss_limit_usdt=1_000.0, max_daily_loss_pct=None).measure(snapshot).value == 100.0


def test_funding_counts_the_paying_leg_alone() -> None:
    both = seen(long=leg(10_000.0), short=leg(10_000.0), funding_rate=0.0012)
    measure = breaker("funding").measure(both)
    assert measure.value == pytest.approx(12.0)
    assert "the long leg pays 12.00 USDT per 8 h (12.00 bps), net 0.00" in measure.reason
    receiving = seen(short=leg(10_000.0), funding_rate=0.0012)
    assert breaker("funding").measure(receiving).value == 0.0
    assert breaker("funding").measure(seen(funding_rate=None)).value == 0.0


def test_funding_in_usdt_per_hour() -> None:
    snapshot = seen(long=leg(400_000.0), funding_rate=0.001)
    measure = breaker("funding", max_funding_cost_1h_usdt=50.0).measure(snapshot)
    assert (measure.value, measure.unit) == (pytest.approx(50.0), "USDT/h")


def test_position_size_is_the_largest_leg_of_all() -> None:
    other = VIEW._replace(symbol="ETHUSDT", short=leg(700.0), long=leg(0.0, 900.0))
    measure = breaker("position_size").measure(CALM._replace(instruments=(VIEW, other)))
    assert (measure.value, measure.reason) == (900.0, "ETHUSDT long is 900.00 USDT with its entries")


def test_a_feed_that_cannot_be_believed_pauses() -> None:
    for view in (seen(bid=100.2, ask=100.1), seen(mark_price=100.0, last_price=97.9)):
        measure = breaker("stale_data").measure(view)
        assert measure.unit == "lack of quality"
        assert measure.trip() is not None
    assert breaker("stale_data").measure(seen(mark_price=100.0, last_price=98.5)).trip() is None


@settings(max_examples=100)
@given(
    equity=st.floats(-1e7, 1e7),
    peak=st.floats(0.01, 1e7),
    factor=st.floats(0.1, 10.0),
)
def test_drawdown_does_not_change_when_everything_is_scaled(equity: float, peak: float, factor: float) -> None:
    """A transfer scales the peak by the same factor as equity: it is no drawdown, and hides none."""
    one = breaker("drawdown")
    before: Measure = one.measure(CALM._replace(equity=equity, session_peak_equity=peak))
    after: Measure = one.measure(CALM._replace(equity=equity * factor, session_peak_equity=peak * factor))
    assert after.value == pytest.approx(before.value, rel=1e-9, abs=1e-6)
