"""The 32 metrics: by hand, against numpy, by their properties; None where nothing is defined; and `note` compiled, bit for bit."""

from __future__ import annotations

import ast
import math
import random
import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.kernel import metrics
from hedgegridd.kernel.metrics import DAY, HOUR, NAMES, Facts, Metric, RoundTrip

MINUTE = 60_000
MIDNIGHT = 1_735_689_600_000  # 2025-01-01 00:00 UTC

THE_32 = {
    "returns": ["total_pnl_usdt", "total_return_pct", "annualized_return_pct", "cagr_pct", "best_day_pct", "worst_day_pct"],
    "risk": ["volatility_pct", "downside_volatility_pct", "sharpe_ratio", "sortino_ratio", "calmar_ratio"],
    "drawdown": ["max_drawdown_pct", "average_drawdown_pct", "recovery_time_hours"],
    "trades": ["total_trades", "win_rate_pct", "profit_factor", "expectancy_usdt", "avg_win_usdt", "avg_loss_usdt",
               "holding_time_avg_hours", "holding_time_longest_hours", "holding_time_shortest_hours"],
    "execution": ["fill_rate_pct", "maker_ratio_pct", "slippage_bps", "fees_usdt"],
    "funding": ["funding_paid_usdt", "funding_received_usdt", "funding_net_usdt"],
    "ladder": ["ladder_depth_avg", "ladder_fill_rate_pct"],
}  # fmt: skip
EMPTY = Facts(MIDNIGHT, MIDNIGHT + HOUR, 1000.0, 1000.0, (1000.0, 1000.0), metrics.new_course(), (), *[0] * 4, *[0.0] * 5, *[0] * 5)

Path_ = Sequence[tuple[int, float]]  # (time, equity), bar by bar


def values(facts: Facts) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in metrics.compute(facts)}


def course(path: Path_) -> list[Any]:
    gathered = metrics.new_course()
    for time, equity in path:
        metrics.note(gathered, time, equity)
    return gathered


def days(path: Path_) -> list[float]:
    """Equity at the start, at each midnight between, and at the end, of a path that has a bar at each midnight."""
    return [equity for i, (time, equity) in enumerate(path) if i in (0, len(path) - 1) or time % DAY == 0]


def over(path: Path_, **more: Any) -> Facts:
    """The facts of a path of equity."""
    return EMPTY._replace(
        start=path[0][0], end=path[-1][0], start_equity=path[0][1], end_equity=path[-1][1], days=days(path), course=course(path), **more
    )  # fmt: skip


def hourly(equities: Sequence[float], start: int = MIDNIGHT) -> list[tuple[int, float]]:
    return [(start + i * HOUR, equity) for i, equity in enumerate(equities)]


def trip(net: float, held: int = HOUR, fees: float = 0.0, funding: float = 0.0, closed: int = MIDNIGHT) -> RoundTrip:
    return RoundTrip("BTCUSDT", 0, closed - held, closed, 1.0, 100.0, 100.0 + net, net + fees + funding, fees, funding)


# --- the table ------------------------------------------------------------------------------------------------------------


def test_there_are_32_in_7_groups() -> None:
    rows = metrics.compute(EMPTY)
    assert len(NAMES) == len(set(NAMES)) == len(rows) == 32
    assert {group: [row.name for row in rows if row.group == group] for group in THE_32} == THE_32
    assert tuple(row.name for row in rows) == NAMES
    assert list(dict.fromkeys(row.group for row in rows)) == list(THE_32)


UNITS = {"_pct": "%", "_usdt": "USDT", "_hours": "hours", "_ratio": "ratio", "_factor": "ratio", "_bps": "bps", "_trades": "count",
         "_avg": "rungs"}  # fmt: skip


@pytest.mark.parametrize("row", metrics.compute(EMPTY), ids=lambda row: row.name)
def test_every_metric_says_what_it_is(row: Metric) -> None:
    assert [unit for end, unit in UNITS.items() if row.name.endswith(end)] == [row.unit]
    assert len(row.definition) > 30 and row.definition.endswith(".")
    assert "\n" not in row.definition and "  " not in row.definition


def test_a_definition_is_the_first_paragraph_only() -> None:
    cagr = next(row for row in metrics.compute(EMPTY) if row.name == "cagr_pct")
    assert cagr.definition.startswith("Compound annual growth rate") and "GIPS" not in cagr.definition


def test_it_imports_only_thought() -> None:
    tree = ast.parse(Path(metrics.__file__).read_text())
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert names <= {"__future__", "math", "statistics", "typing", "collections.abc", "hedgegridd.model", "hedgegridd.errors"}


# --- by hand --------------------------------------------------------------------------------------------------------------


def test_the_sample_of_002_with_the_right_sums() -> None:
    """E27: it showed a profit factor of 1.85 and a profit of 1250 for these very trades."""
    won, lost = [trip(125.5)] * 31, [trip(-75.25)] * 19
    found = values(EMPTY._replace(start_equity=10_000.0, end_equity=12_460.75, trips=won + lost))
    assert found["total_trades"] == 50
    assert found["win_rate_pct"] == 62.0
    assert found["avg_win_usdt"] == 125.5
    assert found["avg_loss_usdt"] == -75.25
    assert found["profit_factor"] == pytest.approx(3890.5 / 1429.75) and round(found["profit_factor"] or 0.0, 2) == 2.72
    assert found["total_pnl_usdt"] == 2460.75
    assert found["expectancy_usdt"] == 49.215
    assert math.fsum(one.net for one in won + lost) == 2460.75


def by_hand() -> Facts:
    """From noon, over three whole days of +10 %, -10 % and +10 %, to six in the morning."""
    start = MIDNIGHT + 12 * HOUR
    path = [(start, 990.0), (MIDNIGHT + DAY, 1000.0), (MIDNIGHT + 2 * DAY, 1100.0), (MIDNIGHT + 3 * DAY, 990.0),
            (MIDNIGHT + 4 * DAY, 1089.0), (MIDNIGHT + 4 * DAY + 6 * HOUR, 1080.0)]  # fmt: skip
    trips = (trip(30.0, held=2 * HOUR), trip(60.0, held=5 * HOUR, fees=1.0), trip(-40.0, held=30 * MINUTE, funding=2.0), trip(0.0))
    return over(
        path, trips=trips, orders=8, orders_filled=6, fills=10, maker_fills=9, slippage_usdt=0.5, taker_usdt=2000.0, fees=3.5,
        funding_paid=4.0, funding_received=1.5, entries=5, entries_filled=4, depth_sum=9, depth_max=3, depth_count=4,
    )  # fmt: skip


HAND = {
    "total_pnl_usdt": 90.0,
    "total_return_pct": 100 / 11,
    "annualized_return_pct": 365 * 10 / 3,
    "cagr_pct": ((12 / 11) ** (365 / 3.75) - 1) * 100,
    "best_day_pct": 10.0,
    "worst_day_pct": -10.0,
    # Deviations from the mean of 1/30: 1/15, -2/15, 1/15; over n - 1 the variance is 3/225.
    "volatility_pct": math.sqrt(3) / 15 * math.sqrt(365) * 100,
    "downside_volatility_pct": 0.1 / math.sqrt(3) * math.sqrt(365) * 100,
    "sharpe_ratio": math.sqrt(365 / 12),
    "sortino_ratio": math.sqrt(365 / 3),
    "calmar_ratio": ((12 / 11) ** (365 / 3.75) - 1) / 0.1,
    "max_drawdown_pct": 10.0,
    "average_drawdown_pct": (0.1 + 0.01 + 20 / 1100) * 100 / 6,
    "recovery_time_hours": 54.0,  # 1100 was never reached again
    "total_trades": 4.0,
    "win_rate_pct": 50.0,
    "profit_factor": 2.25,
    "expectancy_usdt": 12.5,
    "avg_win_usdt": 45.0,
    "avg_loss_usdt": -40.0,
    "holding_time_avg_hours": 8.5 / 4,
    "holding_time_longest_hours": 5.0,
    "holding_time_shortest_hours": 0.5,
    "fill_rate_pct": 75.0,
    "maker_ratio_pct": 90.0,
    "slippage_bps": 2.5,
    "fees_usdt": 3.5,
    "funding_paid_usdt": 4.0,
    "funding_received_usdt": 1.5,
    "funding_net_usdt": 2.5,
    "ladder_depth_avg": 2.25,
    "ladder_fill_rate_pct": 80.0,
}


@pytest.mark.parametrize("name", NAMES)
def test_by_hand(name: str) -> None:
    assert values(by_hand())[name] == pytest.approx(HAND[name], rel=1e-12)


# --- against numpy --------------------------------------------------------------------------------------------------------


class Run:
    """A made-up run of some days in arrays, and its facts."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        count = int(rng.integers(4, 30)) * 24 + int(rng.integers(0, 24))
        first = MIDNIGHT + int(rng.integers(0, 24)) * HOUR
        self.times = first + np.arange(count, dtype=np.int64) * HOUR
        self.equity = 10_000.0 * np.exp(np.cumsum(rng.normal(0.0002, 0.004, count)))
        trips = int(rng.integers(5, 80))
        self.realized, self.fee, self.funding = rng.normal(1.0, 20.0, trips), rng.uniform(0, 2, trips), rng.normal(0.0, 1.0, trips)
        self.closed = rng.integers(first, int(self.times[-1]), trips)
        self.held = rng.integers(1, 3 * DAY, trips)
        self.counts = [int(n) for n in rng.integers(1, 500, 9)]
        self.money = [float(x) for x in rng.uniform(0.1, 1000.0, 5)]

    @property
    def net(self) -> Any:
        return self.realized - self.fee - self.funding

    @property
    def daily(self) -> Any:
        """Between bars at midnight only: what is before the first and after the last of them falls out."""
        at_midnight = self.equity[self.times % DAY == 0]
        return np.diff(at_midnight) / at_midnight[:-1]

    @property
    def depths(self) -> Any:
        peaks = np.maximum.accumulate(self.equity)
        return (peaks - self.equity) / peaks

    @property
    def growth(self) -> float:
        years = float(self.times[-1] - self.times[0]) / (365 * DAY)
        return float(np.expm1(np.log(self.equity[-1] / self.equity[0]) / years))

    def facts(self) -> Facts:
        shown = list(zip((int(t) for t in self.times), (float(e) for e in self.equity), strict=True))
        trips = [
            RoundTrip("BTCUSDT", i % 2, int(c - h), int(c), 1.0, 100.0, 101.0, float(r), float(f), float(p))
            for i, (c, h, r, f, p) in enumerate(zip(self.closed, self.held, self.realized, self.fee, self.funding, strict=True))
        ]
        n: list[Any] = self.counts
        m: list[Any] = self.money
        return Facts(
            shown[0][0], shown[-1][0], shown[0][1], shown[-1][1], days(shown), course(shown), trips, n[0], n[1], n[2], n[3], *m, *n[4:]
        )  # fmt: skip


AGAINST: dict[str, Callable[[Run], Any]] = {
    "total_pnl_usdt": lambda run: run.equity[-1] - run.equity[0],
    "total_return_pct": lambda run: (run.equity[-1] / run.equity[0] - 1) * 100,
    "annualized_return_pct": lambda run: np.mean(run.daily) * 36500,
    "cagr_pct": lambda run: run.growth * 100,
    "best_day_pct": lambda run: np.max(run.daily) * 100,
    "worst_day_pct": lambda run: np.min(run.daily) * 100,
    "volatility_pct": lambda run: np.std(run.daily, ddof=1) * np.sqrt(365) * 100,
    "downside_volatility_pct": lambda run: np.sqrt(np.mean(np.where(run.daily < 0, run.daily, 0) ** 2) * 365) * 100,
    "sharpe_ratio": lambda run: np.mean(run.daily) / np.std(run.daily, ddof=1) * np.sqrt(365),
    "sortino_ratio": lambda run: np.mean(run.daily) / np.sqrt(np.mean(np.minimum(run.daily, 0) ** 2)) * np.sqrt(365),
    "calmar_ratio": lambda run: run.growth / np.max(run.depths),
    "max_drawdown_pct": lambda run: np.max(run.depths) * 100,
    "average_drawdown_pct": lambda run: np.mean(run.depths) * 100,
    "recovery_time_hours": lambda run: longest_under(list(zip(run.times, run.equity, strict=True)), int(run.times[-1])) / 3.6e6,
    "total_trades": lambda run: len(run.net),
    "win_rate_pct": lambda run: np.mean(run.net > 0) * 100,
    "profit_factor": lambda run: np.sum(run.net[run.net > 0]) / np.sum(np.abs(run.net[run.net < 0])),
    "expectancy_usdt": lambda run: np.mean(run.net),
    "avg_win_usdt": lambda run: np.mean(run.net[run.net > 0]),
    "avg_loss_usdt": lambda run: np.mean(run.net[run.net < 0]),
    "holding_time_avg_hours": lambda run: np.mean(run.held) / 3.6e6,
    "holding_time_longest_hours": lambda run: np.max(run.held) / 3.6e6,
    "holding_time_shortest_hours": lambda run: np.min(run.held) / 3.6e6,
    "fill_rate_pct": lambda run: 100 * run.counts[1] / run.counts[0],
    "maker_ratio_pct": lambda run: 100 * run.counts[3] / run.counts[2],
    "slippage_bps": lambda run: run.money[0] / run.money[1] * 1e4,
    "fees_usdt": lambda run: run.money[2],
    "funding_paid_usdt": lambda run: run.money[3],
    "funding_received_usdt": lambda run: run.money[4],
    "funding_net_usdt": lambda run: run.money[3] - run.money[4],
    "ladder_depth_avg": lambda run: run.counts[6] / run.counts[8],
    "ladder_fill_rate_pct": lambda run: 100 * run.counts[5] / run.counts[4],
}


@pytest.mark.parametrize("name", NAMES)
def test_against_numpy(name: str) -> None:
    for seed in range(8):
        run = Run(seed)
        assert values(run.facts())[name] == pytest.approx(float(AGAINST[name](run)), rel=1e-9, abs=1e-12), seed


# --- the course of equity -------------------------------------------------------------------------------------------------


def longest_under(path: Path_, end: int) -> int:
    """Brute force: from each bar that is a peak and is followed by a lower one, to the first that is as high again."""
    longest = 0
    for i, (time, equity) in enumerate(path[:-1]):
        if equity > 0 and all(earlier <= equity for _, earlier in path[:i]) and path[i + 1][1] < equity:
            back = next((later for later, value in path[i + 1 :] if value >= equity), end)
            longest = max(longest, back - time)
    return longest


def depths(path: Path_) -> list[float]:
    """Brute force: of each bar that has a positive equity before it or is positive itself."""
    found = []
    for i in range(len(path)):
        peak = max(equity for _, equity in path[: i + 1])
        if peak > 0:
            found.append(1.0 - path[i][1] / peak)
    return found


money = st.one_of(st.floats(1e-3, 1e6), st.integers(1, 12).map(float))  # the integers make equal equities likely
paths = st.lists(st.tuples(st.integers(1, 10 * HOUR), money), min_size=1, max_size=60).map(
    lambda steps: [(MIDNIGHT + sum(step for step, _ in steps[:i]), equity) for i, (_, equity) in enumerate(steps)]
)


@given(paths, st.integers(0, DAY))
def test_drawdowns_equal_brute_force(path: Path_, after: int) -> None:
    found = over(path)._replace(end=path[-1][0] + after)
    deep, gathered, shown = depths(path), found.course, values(found)
    assert shown["max_drawdown_pct"] == pytest.approx(max(deep) * 100, abs=1e-9)
    assert shown["average_drawdown_pct"] == pytest.approx(sum(deep) / len(deep) * 100, abs=1e-9)
    longest = longest_under(path, found.end)
    assert shown["recovery_time_hours"] == (longest / HOUR if longest else None)
    assert gathered[metrics.WORST] == min(equity for _, equity in path)
    assert gathered[metrics.PEAK] == max(equity for _, equity in path)
    assert gathered[metrics.PEAK_TIME] == [time for time, equity in path if equity == gathered[metrics.PEAK]][-1]
    if max(deep) > 0:
        at = next(equity for time, equity in path if time == gathered[metrics.DEEPEST_TIME])
        before = max(equity for time, equity in path if time <= gathered[metrics.DEEPEST_TIME])
        assert 1.0 - at / before == pytest.approx(max(deep), abs=1e-12)


@given(paths)
def test_a_drawdown_is_a_part_of_the_peak(path: Path_) -> None:
    shown = values(over(path))
    deepest, average = shown["max_drawdown_pct"], shown["average_drawdown_pct"]
    assert deepest is not None and average is not None
    assert 0.0 <= average <= deepest * (1 + 1e-12) <= 100.0 * (1 + 1e-12)


def test_who_never_fell_has_nothing_to_recover_from() -> None:
    shown = values(over(hourly([100.0, 100.0, 101.0, 102.0])))
    assert shown["max_drawdown_pct"] == shown["average_drawdown_pct"] == 0.0
    assert shown["recovery_time_hours"] is None


def test_a_flat_peak_starts_the_clock_when_it_is_left() -> None:
    assert values(over(hourly([100.0] * 50 + [99.0, 100.0])))["recovery_time_hours"] == 2.0


def test_a_drawdown_still_open_counts_up_to_the_end() -> None:
    facts = over(hourly([100.0, 90.0, 100.0, 90.0, 95.0]))
    assert values(facts)["recovery_time_hours"] == 2.0
    assert values(facts._replace(end=facts.end + 10 * HOUR))["recovery_time_hours"] == 12.0


@pytest.mark.parametrize("equities", [[], [0.0, 0.0], [-5.0, -10.0, -1.0], [0.0, -3.0]])
def test_without_a_positive_peak_no_drawdown_is_measured(equities: list[float]) -> None:
    facts = EMPTY._replace(course=course(hourly(equities)), start_equity=0.0, days=(0.0, 0.0))
    shown = values(facts)
    assert [shown[name] for name in (*THE_32["drawdown"], "calmar_ratio", "total_return_pct", "cagr_pct")] == [None] * 6


def test_an_account_that_began_with_nothing_or_in_debt_has_no_percentages() -> None:
    for equity in (0.0, -50.0):
        shown = values(whole_days(equity, 100.0, 120.0))
        assert [shown[name] for name in ("total_return_pct", "cagr_pct", "calmar_ratio", *DAILY)] == [None] * (3 + len(DAILY))
        assert shown["total_pnl_usdt"] == 120.0 - equity


def test_the_deepest_is_when_it_was_first_that_deep() -> None:
    assert course(hourly([100.0, 90.0, 80.0, 90.0, 80.0, 100.0]))[metrics.DEEPEST_TIME] == MIDNIGHT + 2 * HOUR


def test_bars_before_the_first_positive_peak_do_not_water_the_average_down() -> None:
    assert values(over(hourly([-5.0, -9.0, 100.0, 50.0])))["average_drawdown_pct"] == 25.0


def test_below_zero_is_more_than_everything_and_is_not_clamped() -> None:
    facts = over(hourly([100.0, -20.0]))
    assert values(facts)["max_drawdown_pct"] == pytest.approx(120.0)
    assert facts.course[metrics.WORST] == -20.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_equity_that_is_no_number_is_not_read_as_one(bad: float, at: int) -> None:
    equities = [100.0, 90.0, 95.0]
    equities[at] = bad
    shown = values(over(hourly(equities)))
    assert [shown[name] for name in THE_32["drawdown"]] == [None] * 3


def compiled() -> Callable[[Any, int, float], None]:
    numba = pytest.importorskip("numba", reason="numba (extra: fast) is not installed, nothing can be compiled")
    made: Callable[[Any, int, float], None] = numba.njit(metrics.note)
    return made


def test_note_compiled_gives_the_same_bits() -> None:
    fast = compiled()
    for seed in range(50):
        rng = random.Random(seed)
        plain, machine = metrics.new_course(), np.array(metrics.new_course())
        time, equity = MIDNIGHT + rng.randrange(DAY), rng.choice([10_000.0, 1.0, 0.0, -3.0])
        for _ in range(400):
            metrics.note(plain, time, equity)
            fast(machine, time, equity)
            assert struct.pack(f"{metrics.SLOTS}d", *plain) == machine.tobytes(), (seed, time)
            time += rng.randrange(1, HOUR)
            equity = rng.choice([equity, equity * rng.uniform(0.9, 1.1), equity + rng.gauss(0, 5), float(round(equity))])
        assert all(type(slot) is float for slot in plain)


def test_metrics_of_an_array_are_plain_floats() -> None:
    facts = by_hand()
    facts = facts._replace(course=np.array(facts.course), days=np.array(facts.days))  # type: ignore[arg-type]
    assert values(facts) == values(by_hand())
    assert all(type(value) is float for value in values(facts).values())


# --- where nothing is defined ---------------------------------------------------------------------------------------------

DAILY = (*THE_32["returns"][2:3], *THE_32["returns"][4:], *THE_32["risk"][:4])


def test_a_run_without_orders_makes_nothing_up() -> None:
    shown = values(EMPTY)
    zero = {"total_pnl_usdt", "total_return_pct", "total_trades", "fees_usdt", *THE_32["funding"]}
    assert {name for name, value in shown.items() if value is not None} == zero
    assert all(shown[name] == 0.0 for name in zero)


@pytest.mark.parametrize(
    ("nets", "factor", "win", "loss"),
    [([5.0, 7.0], None, 6.0, None), ([-5.0, -7.0], 0.0, None, -6.0), ([0.0], None, None, None), ([], None, None, None)],
)
def test_a_profit_factor_needs_a_loss(nets: list[float], factor: float | None, win: float | None, loss: float | None) -> None:
    shown = values(EMPTY._replace(trips=[trip(net) for net in nets]))
    assert (shown["profit_factor"], shown["avg_win_usdt"], shown["avg_loss_usdt"]) == (factor, win, loss)


def test_a_trip_wins_after_fees_and_funding_and_at_zero_it_does_not() -> None:
    paid = RoundTrip("BTCUSDT", 1, 0, HOUR, 1.0, 100.0, 99.0, 1.0, 0.75, 0.5)
    even = paid._replace(realized=1.25)
    assert (paid.net, even.net, even._replace(funding=0.25).net) == (-0.25, 0.0, 0.25)
    assert values(EMPTY._replace(trips=[paid, even, even._replace(funding=0.25), even]))["win_rate_pct"] == 25.0


def whole_days(*equities: float, before: int = 0, after: int = 0) -> Facts:
    """One equity per midnight; with hours before the first and after the last, in which equity doubled."""
    path = [(MIDNIGHT + i * DAY, equity) for i, equity in enumerate(equities)]
    first = [(MIDNIGHT - before, equities[0] / 2)] if before else []
    last = [(path[-1][0] + after, equities[-1] * 2)] if after else []
    return over(first + path + last)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (0, 1), (12 * HOUR, 12 * HOUR), (DAY - 1, DAY - 1)])
def test_only_whole_days_are_days(before: int, after: int) -> None:
    shown, plain = values(whole_days(100.0, 110.0, 99.0, 108.9, before=before, after=after)), values(by_hand())
    assert [shown[name] for name in DAILY] == pytest.approx([plain[name] for name in DAILY])
    assert shown["total_return_pct"] == pytest.approx((1.089 * (2 if before else 1) * (2 if after else 1) - 1) * 100)


@pytest.mark.parametrize(("start", "end", "between"), [
    (0, 1, 0), (0, DAY, 0), (1, DAY, 0), (0, DAY + 1, 1), (DAY - 1, DAY + 1, 1), (DAY, 2 * DAY, 0), (DAY - 1, 3 * DAY, 2), (5, 9 * DAY, 8),
])  # fmt: skip
def test_midnights_at_either_end_are_not_between(start: int, end: int, between: int) -> None:
    assert metrics.midnights(start, end) == between == len([t for t in range(0, end, DAY) if start < t < end])


def test_one_whole_day_has_a_return_but_no_deviation() -> None:
    shown = values(whole_days(100.0, 90.0, before=HOUR))
    assert shown["best_day_pct"] == shown["worst_day_pct"] == pytest.approx(-10.0)
    assert shown["annualized_return_pct"] == pytest.approx(-3650.0)
    assert [shown[name] for name in THE_32["risk"][:4]] == [None] * 4


def test_hours_around_one_midnight_are_no_day() -> None:
    shown = values(over([(MIDNIGHT - 20 * HOUR, 100.0), (MIDNIGHT, 101.0), (MIDNIGHT + 20 * HOUR, 102.0)]))
    assert [shown[name] for name in DAILY] == [None] * len(DAILY)
    assert shown["cagr_pct"] == pytest.approx((1.02 ** (365 * 24 / 40) - 1) * 100)


def test_less_than_24_hours_are_not_annualised() -> None:
    shown = values(over([(MIDNIGHT + HOUR, 100.0), (MIDNIGHT + 2 * HOUR, 90.0), (MIDNIGHT + DAY, 101.0)]))
    assert (shown["cagr_pct"], shown["calmar_ratio"]) == (None, None)
    assert shown["total_return_pct"] == pytest.approx(1.0)


def test_a_ratio_to_no_risk_is_not_defined() -> None:
    grew = values(whole_days(*(100.0 * 1.01**i for i in range(30))))
    assert grew["volatility_pct"] == pytest.approx(0.0, abs=1e-9)
    assert [grew[name] for name in ("sharpe_ratio", "sortino_ratio", "calmar_ratio")] == [None] * 3
    assert grew["downside_volatility_pct"] == 0.0
    still = values(whole_days(100.0, 100.0, 100.0))
    assert [still[name] for name in ("sharpe_ratio", "sortino_ratio", "calmar_ratio")] == [None] * 3
    assert still["annualized_return_pct"] == still["cagr_pct"] == still["volatility_pct"] == 0.0


@pytest.mark.parametrize("days_", [(), (100.0,), (100.0, 110.0), (100.0, 110.0, 120.0, 120.0), (100.0, 0.0, 120.0),
                                   (100.0, -5.0, 120.0), (100.0, math.nan, 120.0), (math.inf, 100.0, 120.0)])  # fmt: skip
def test_days_that_make_no_sense_are_not_known(days_: tuple[float, ...]) -> None:
    """One too few or too many for the times, or an equity on which nothing can be earned."""
    shown = values(whole_days(100.0, 110.0, 120.0)._replace(days=days_))
    assert [shown[name] for name in DAILY] == [None] * len(DAILY)
    assert shown["total_pnl_usdt"] == 20.0


def test_an_account_that_dies_lost_everything() -> None:
    shown = values(whole_days(100.0, 110.0, 0.0))
    assert (shown["worst_day_pct"], shown["cagr_pct"], shown["max_drawdown_pct"]) == (-100.0, -100.0, 100.0)
    assert values(whole_days(100.0, 110.0, -1.0))["cagr_pct"] is None


def test_what_no_float_can_hold_is_none() -> None:
    shown = values(whole_days(1.0, 1e6))
    assert (shown["cagr_pct"], shown["calmar_ratio"]) == (None, None)
    bad = EMPTY._replace(fees=math.nan, funding_paid=math.inf, trips=[trip(math.inf), trip(-math.inf)])
    shown = values(bad)
    assert [shown[name] for name in ("fees_usdt", "funding_paid_usdt", "funding_net_usdt", "expectancy_usdt", "profit_factor")] == [
        None
    ] * 5


# --- properties -----------------------------------------------------------------------------------------------------------

cents = st.lists(st.integers(-100_000, 100_000).map(float), max_size=40)
# Cents: equities that differ by less are not told apart by every order of the arithmetic.
whole = st.lists(st.integers(100, 100_000_000).map(lambda amount: amount / 100), min_size=3, max_size=40)


@given(cents)
def test_the_profit_factor_and_the_expectancy_agree(nets: list[float]) -> None:
    shown = values(EMPTY._replace(trips=[trip(net) for net in nets]))
    factor, expectancy = shown["profit_factor"], shown["expectancy_usdt"]
    if factor is not None and expectancy is not None:
        assert (factor > 1.0, factor < 1.0) == (expectancy > 0.0, expectancy < 0.0)
    else:
        assert not any(net < 0.0 for net in nets)


@given(cents)
def test_the_expectancy_is_made_of_wins_and_losses(nets: list[float]) -> None:
    shown = values(EMPTY._replace(trips=[trip(net) for net in nets]))
    if nets:
        won = (shown["win_rate_pct"] or 0.0) / 100 * (shown["avg_win_usdt"] or 0.0)
        lost = sum(net < 0 for net in nets) / len(nets) * (shown["avg_loss_usdt"] or 0.0)
        assert shown["expectancy_usdt"] == pytest.approx(won + lost, abs=1e-6)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(1, DAY)), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_trips_does_not_matter(made: list[tuple[float, int]], rng: random.Random) -> None:
    trips = [trip(net, held=held) for net, held in made]
    mixed = rng.sample(trips, len(trips))
    assert values(EMPTY._replace(trips=trips)) == values(EMPTY._replace(trips=mixed))


@given(whole, st.randoms(use_true_random=False))
def test_the_order_of_days_does_not_matter_to_the_daily_ratios(equities: list[float], rng: random.Random) -> None:
    returns = [after / before for before, after in pairwise(equities)]
    mixed = [equities[0]]
    for one in rng.sample(returns, len(returns)):
        mixed.append(mixed[-1] * one)
    first, second = values(whole_days(*equities)), values(whole_days(*mixed))
    for name in ("annualized_return_pct", "volatility_pct", "downside_volatility_pct", "best_day_pct", "worst_day_pct"):
        assert first[name] == pytest.approx(second[name], rel=1e-6, abs=1e-6)


@given(whole, cents, st.floats(1e-3, 1e3))
@settings(max_examples=60)
def test_more_money_changes_only_the_money(equities: list[float], nets: list[float], k: float) -> None:
    one = whole_days(*equities, before=HOUR)._replace(trips=[trip(net, fees=1.0) for net in nets], slippage_usdt=1.0, taker_usdt=7.0)
    more = whole_days(*(equity * k for equity in equities), before=HOUR)._replace(
        trips=[trip(net * k, fees=k) for net in nets], slippage_usdt=k, taker_usdt=7.0 * k
    )  # fmt: skip
    first, second = values(one), values(more)
    for name in NAMES:
        value, scale = first[name], k if name.endswith("_usdt") else 1.0
        assert second[name] == (None if value is None else pytest.approx(value * scale, rel=1e-6, abs=1e-6)), name


@given(whole)
def test_the_ratios_are_quotients_of_the_metrics_shown(equities: list[float]) -> None:
    shown = values(whole_days(*equities))
    pairs = {"sharpe_ratio": ("annualized_return_pct", "volatility_pct"), "calmar_ratio": ("cagr_pct", "max_drawdown_pct"),
             "sortino_ratio": ("annualized_return_pct", "downside_volatility_pct")}  # fmt: skip
    for name, (above, below) in pairs.items():
        value, gain, risk = shown[name], shown[above], shown[below]
        if value is not None and gain is not None and risk is not None:
            assert value == pytest.approx(gain / risk)
        else:
            assert gain is None or risk is None or risk < 1e-8


@given(whole)
def test_downside_is_never_more_than_all_of_the_deviation_around_zero(equities: list[float]) -> None:
    shown = values(whole_days(*equities))
    returns = [after / before - 1 for before, after in pairwise(equities)]
    around_zero = math.sqrt(sum(one * one for one in returns) / len(returns) * 365) * 100
    downside = shown["downside_volatility_pct"]
    assert downside is not None and 0.0 <= downside <= around_zero * (1 + 1e-9)
