"""What a backtest or a session was worth: 32 numbers in 7 groups, made of facts.

Its one law: a number that is not defined is None. No 0, no infinity and no nan stands in for a loss that never was, a day that
was not whole, or an input that makes no sense. It gathers nothing but the course of equity (`note`), reads no clock and rounds
nothing. Only `new_course` and `note` are in the kernel dialect; the rest runs once, after the last bar.

Days are UTC days. A daily return is taken only over a whole day, midnight to midnight: the hours before the first midnight and
after the last one are shorter periods, and to count them as days would make the risk look smaller than it was. They still count
in profit, CAGR, drawdown and all that is not daily. Crypto trades on 365 days, so a mean of daily returns is annualised by 365
(arithmetic; the geometric CAGR is lower by about half the variance) and a deviation by its root, which holds for days that do not
depend on each other (Lo 2002). The risk-free rate is 0. A deviation needs two whole days, an annual growth rate 24 hours.

Percent is percent of 100. Money is USDT, times are ms UTC, fees and funding are positive when paid. Transfers are no profit: the
caller leaves them out of every equity.

Sources: W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21(1), 1994. F. A. Sortino and L. N. Price, Performance
Measurement in a Downside Risk Framework, Journal of Investing 3(3), 1994. T. W. Young, Calmar Ratio: A Smoother Tool, Futures
20(1), 1991. A. F. Perold, The Implementation Shortfall, Journal of Portfolio Management 14(3), 1988. A. W. Lo, The Statistics of
Sharpe Ratios, Financial Analysts Journal 58(4), 2002. C. R. Bacon, Practical Portfolio Performance Measurement and Attribution,
2008. M. López de Prado, Advances in Financial Machine Learning, 2018, chapter 14.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hedgegridd.model import Array

HOUR, DAY = 3_600_000, 86_400_000
YEAR_DAYS, PERCENT, BPS = 365.0, 100.0, 10_000.0
ROUNDING_PCT = 1e-9  #: a risk below this is what floats leave of none at all; a ratio to it would be noise

#: Slots of the course. Times are held as floats: milliseconds are exact in them until long after this program.
PEAK, PEAK_TIME = 0, 1  #: highest equity so far (0.0 until one is positive), and when equity last stood there
DEEPEST, DEEPEST_TIME = 2, 3  #: deepest drawdown, a fraction of the peak before it, and when it was first that deep
DEPTHS, MEASURED = 4, 5  #: sum of the drawdowns of all bars with a positive peak, and how many these are
LONGEST, UNDER = 6, 7  #: ms, longest way from a peak back to it, of those that ended; 1.0 while equity is below its peak
WORST, NOTED = 8, 9  #: lowest equity; all bars
SLOTS = 10


class RoundTrip(NamedTuple):
    """One closing order, against the average entry of its leg."""

    symbol: str
    leg: int  #: 0 long, 1 short
    opened: int  #: ms, quantity-weighted average time of the entries it closes
    closed: int  #: ms
    qty: float  #: coins
    entry: float  #: USDT price, average
    exit: float  #: USDT price
    realized: float  #: USDT before fees
    fees: float  #: USDT, its own and its share of the entries', positive = paid
    funding: float  #: USDT, its share, positive = paid

    @property
    def net(self) -> float:
        """What it added to the wallet, USDT."""
        return self.realized - self.fees - self.funding


class Facts(NamedTuple):
    """All that metrics are made of. Times ms UTC, money USDT."""

    start: int
    end: int
    start_equity: float
    end_equity: float
    days: Sequence[float]  #: equity at the start, at each of the `midnights` between, and at the end, oldest first
    course: Sequence[float]  #: what `note` has gathered of equity, bar by bar, the start first
    trips: Sequence[RoundTrip]
    orders: int  #: limit orders (entries and take-profits) that rested
    orders_filled: int  #: of these, executed wholly or in part
    fills: int
    maker_fills: int
    slippage_usdt: float  #: what takers paid beyond the price that triggered them
    taker_usdt: float  #: notional of taker executions
    fees: float
    funding_paid: float  #: >= 0
    funding_received: float  #: >= 0
    entries: int  #: entry orders that rested
    entries_filled: int  #: of these, executed
    depth_sum: int  #: rungs held on the leg, counted at each entry execution: their sum, the most, and how often counted
    depth_max: int
    depth_count: int


class Metric(NamedTuple):
    """One row of the report. `value` is None where it is not defined."""

    group: str
    name: str
    value: float | None
    unit: str
    definition: str


def new_course() -> Array:
    """Before the first bar."""
    return [0.0] * SLOTS


def note(course: Array, time: int, equity: float) -> None:
    """Take in the equity of one more bar. While no equity has been positive there is no peak, and no drawdown is measured."""
    now, peak = float(time), course[PEAK]
    if course[NOTED] == 0.0 or equity < course[WORST]:
        course[WORST] = equity
    course[NOTED] += 1.0
    if equity >= peak:
        if course[UNDER] == 1.0 and now - course[PEAK_TIME] > course[LONGEST]:
            course[LONGEST] = now - course[PEAK_TIME]
        course[PEAK], course[PEAK_TIME], course[UNDER] = equity, now, 0.0
    elif peak > 0.0:
        depth = (peak - equity) / peak
        course[DEPTHS] += depth
        course[UNDER] = 1.0
        if depth > course[DEEPEST]:
            course[DEEPEST], course[DEEPEST_TIME] = depth, now
    if course[PEAK] > 0.0:
        course[MEASURED] += 1.0


def per(amount: float | None, base: float | None, scale: float = 1.0) -> float | None:
    """`amount` for each unit of `base`, times `scale`; None where there is no base."""
    return amount / base * scale if amount is not None and base is not None and base > 0.0 else None


def mean(values: Sequence[float], scale: float = 1.0) -> float | None:
    """The average, times `scale`. The sum is exact (`fsum`), so the order of the values does not matter."""
    return per(math.fsum(values), len(values), scale)


def reward(gain: float | None, risk: float | None) -> float | None:
    """Gain for each unit of risk, both in percent; None without risk."""
    return per(gain, risk) if risk is not None and risk > ROUNDING_PCT else None


def midnights(start: int, end: int) -> int:
    """UTC midnights between two times, neither end counted; `Facts.days` holds one equity for each, and two more."""
    return (end - 1) // DAY - start // DAY


def daily_returns(facts: Facts) -> list[float]:
    """Return of each whole UTC day, as a fraction, oldest first. None of them is known, and the list empty, where `days` does not fit
    the times or an equity in it is no positive number."""
    if len(facts.days) != midnights(facts.start, facts.end) + 2:
        return []
    first = 1 if facts.start % DAY else 0
    last = len(facts.days) - (1 if facts.end % DAY else 0)
    whole = facts.days[first:last]
    # Only the last may be zero or less: that is how an account dies. Nothing can be earned on it afterwards.
    if not all(math.isfinite(day) for day in whole) or any(day <= 0.0 for day in whole[:-1]):
        return []
    return [whole[i] / whole[i - 1] - 1.0 for i in range(1, len(whole))]


def annual_deviation(squares: Sequence[float], count: int) -> float | None:
    """Root of the sum of squared daily deviations over `count`, x sqrt(365), percent; None for less than two days."""
    return math.sqrt(math.fsum(squares) / count * YEAR_DAYS) * PERCENT if len(squares) > 1 else None


def sounded(course: Sequence[float]) -> bool:
    """Was a drawdown measured at all, and was every equity a number?"""
    return course[MEASURED] > 0.0 and math.isfinite(course[PEAK] + course[WORST] + course[DEPTHS])


def wins(facts: Facts) -> list[float]:
    """Nets of the round trips that won. One that came out at exactly 0 neither won nor lost."""
    return [trip.net for trip in facts.trips if trip.net > 0.0]


def losses(facts: Facts) -> list[float]:
    """Nets of the round trips that lost, all negative."""
    return [trip.net for trip in facts.trips if trip.net < 0.0]


def holdings(facts: Facts) -> list[float]:
    """How long each round trip was held, hours."""
    return [(trip.closed - trip.opened) / HOUR for trip in facts.trips]


def total_pnl_usdt(facts: Facts) -> float | None:
    """Equity at the end less equity at the start: realised and unrealised, after fees and funding."""
    return facts.end_equity - facts.start_equity


def total_return_pct(facts: Facts) -> float | None:
    """Total profit as a percentage of the equity at the start."""
    return per(facts.end_equity - facts.start_equity, facts.start_equity, PERCENT)


def annualized_return_pct(facts: Facts) -> float | None:
    """Arithmetic annual return: mean return of the whole UTC days x 365, nothing reinvested (Bacon 2008). Needs one whole day."""
    return mean(daily_returns(facts), YEAR_DAYS * PERCENT)


def cagr_pct(facts: Facts) -> float | None:
    """Compound annual growth rate: (end equity / start equity) ^ (365 days / time) - 1 (Bacon 2008). Needs 24 hours.

    The GIPS standards (2020) annualise nothing under a year: below that it is what would be if the run were repeated, no more.
    None where that is more than a float can hold, and for an account that ended below zero.
    """
    elapsed = (facts.end - facts.start) / DAY
    if elapsed < 1.0 or facts.start_equity <= 0.0 or facts.end_equity < 0.0:
        return None
    return float((facts.end_equity / facts.start_equity) ** (YEAR_DAYS / elapsed) - 1.0) * PERCENT


def best_day_pct(facts: Facts) -> float | None:
    """Highest return of a whole UTC day."""
    return max((one * PERCENT for one in daily_returns(facts)), default=None)


def worst_day_pct(facts: Facts) -> float | None:
    """Lowest return of a whole UTC day."""
    return min((one * PERCENT for one in daily_returns(facts)), default=None)


def volatility_pct(facts: Facts) -> float | None:
    """Sample standard deviation (n - 1) of the returns of whole UTC days, x sqrt(365) (Bacon 2008)."""
    returns = daily_returns(facts)
    average = mean(returns) or 0.0
    return annual_deviation([(one - average) * (one - average) for one in returns], len(returns) - 1)


def downside_volatility_pct(facts: Facts) -> float | None:
    """Downside deviation: root of the mean squared daily return below 0, over all whole UTC days, x sqrt(365) (Sortino & Price 1994)."""
    returns = daily_returns(facts)
    # The target is given, not estimated from the days: over n, not n - 1.
    return annual_deviation([min(one, 0.0) * min(one, 0.0) for one in returns], len(returns))


def sharpe_ratio(facts: Facts) -> float | None:
    """Mean over sample standard deviation of the returns of whole UTC days, x sqrt(365), risk-free rate 0 (Sharpe 1994). None where
    no day differs."""
    return reward(annualized_return_pct(facts), volatility_pct(facts))


def sortino_ratio(facts: Facts) -> float | None:
    """Mean over downside deviation of the returns of whole UTC days, x sqrt(365), target 0 (Sortino & Price 1994). None where
    no day lost."""
    return reward(annualized_return_pct(facts), downside_volatility_pct(facts))


def calmar_ratio(facts: Facts) -> float | None:
    """CAGR over the deepest drawdown, both of the whole run and not of 36 months as in Young 1991. None without a drawdown."""
    return reward(cagr_pct(facts), max_drawdown_pct(facts))


def max_drawdown_pct(facts: Facts) -> float | None:
    """Deepest fall of equity below its highest value so far, bar by bar (Bacon 2008); more than 100 where equity fell below zero."""
    return facts.course[DEEPEST] * PERCENT if sounded(facts.course) else None


def average_drawdown_pct(facts: Facts) -> float | None:
    """Mean over all bars of the fall of equity below its highest value so far, 0 at a peak (pain index, Bacon 2008)."""
    return per(facts.course[DEPTHS], facts.course[MEASURED], PERCENT) if sounded(facts.course) else None


def recovery_time_hours(facts: Facts) -> float | None:
    """Longest time from a peak until equity was back at or above it, or until the end ("time under water", López de Prado 2018).
    The clock starts when equity last stood at the peak. None where nothing had to be recovered."""
    course = facts.course
    if not sounded(course) or course[DEPTHS] == 0.0:
        return None
    still = facts.end - course[PEAK_TIME] if course[UNDER] == 1.0 else 0.0
    return max(course[LONGEST], still) / HOUR


def total_trades(facts: Facts) -> float | None:
    """Number of round trips: closing orders, each against the average entry of its leg."""
    return float(len(facts.trips))


def win_rate_pct(facts: Facts) -> float | None:
    """Round trips with a net above 0 as a percentage of all; net is after fees and funding."""
    return per(len(wins(facts)), len(facts.trips), PERCENT)


def profit_factor(facts: Facts) -> float | None:
    """Sum of the nets of winning round trips over that of losing ones, without its sign. None without losses."""
    return per(math.fsum(wins(facts)), -math.fsum(losses(facts)))


def expectancy_usdt(facts: Facts) -> float | None:
    """Mean net of a round trip: win rate x average win + loss rate x average loss."""
    return mean([trip.net for trip in facts.trips])


def avg_win_usdt(facts: Facts) -> float | None:
    """Mean net of the winning round trips."""
    return mean(wins(facts))


def avg_loss_usdt(facts: Facts) -> float | None:
    """Mean net of the losing round trips, a negative amount."""
    return mean(losses(facts))


def holding_time_avg_hours(facts: Facts) -> float | None:
    """Mean time from the (quantity-weighted) entry of a round trip to its exit."""
    return mean(holdings(facts))


def holding_time_longest_hours(facts: Facts) -> float | None:
    """Longest time from the (quantity-weighted) entry of a round trip to its exit."""
    return max(holdings(facts), default=None)


def holding_time_shortest_hours(facts: Facts) -> float | None:
    """Shortest time from the (quantity-weighted) entry of a round trip to its exit."""
    return min(holdings(facts), default=None)


def fill_rate_pct(facts: Facts) -> float | None:
    """Limit orders (entries and take-profits) that were executed, wholly or in part, as a percentage of those that rested."""
    return per(facts.orders_filled, facts.orders, PERCENT)


def maker_ratio_pct(facts: Facts) -> float | None:
    """Executions as maker as a percentage of all executions, by number."""
    return per(facts.maker_fills, facts.fills, PERCENT)


def slippage_bps(facts: Facts) -> float | None:
    """What takers paid beyond the price that triggered them, per USDT that they traded (after Perold 1988). None without takers."""
    return per(facts.slippage_usdt, facts.taker_usdt, BPS)


def fees_usdt(facts: Facts) -> float | None:
    """Trading fees of all executions, positive = paid."""
    return facts.fees


def funding_paid_usdt(facts: Facts) -> float | None:
    """Sum of the funding payments that were paid."""
    return facts.funding_paid


def funding_received_usdt(facts: Facts) -> float | None:
    """Sum of the funding payments that were received, a positive amount."""
    return facts.funding_received


def funding_net_usdt(facts: Facts) -> float | None:
    """Funding paid less funding received: positive = paid, as everywhere."""
    return facts.funding_paid - facts.funding_received


def ladder_depth_avg(facts: Facts) -> float | None:
    """Mean number of rungs held on the leg, counted at each execution of an entry."""
    return per(facts.depth_sum, facts.depth_count)


def ladder_fill_rate_pct(facts: Facts) -> float | None:
    """Entry orders that were executed as a percentage of those that rested."""
    return per(facts.entries_filled, facts.entries, PERCENT)


Make = Callable[[Facts], float | None]
#: Group, unit, and the functions that make and name its metrics, in the order of the report.
TABLE: tuple[tuple[str, str, tuple[Make, ...]], ...] = (
    ("returns", "USDT", (total_pnl_usdt,)),
    ("returns", "%", (total_return_pct, annualized_return_pct, cagr_pct, best_day_pct, worst_day_pct)),
    ("risk", "%", (volatility_pct, downside_volatility_pct)),
    ("risk", "ratio", (sharpe_ratio, sortino_ratio, calmar_ratio)),
    ("drawdown", "%", (max_drawdown_pct, average_drawdown_pct)),
    ("drawdown", "hours", (recovery_time_hours,)),
    ("trades", "count", (total_trades,)),
    ("trades", "%", (win_rate_pct,)),
    ("trades", "ratio", (profit_factor,)),
    ("trades", "USDT", (expectancy_usdt, avg_win_usdt, avg_loss_usdt)),
    ("trades", "hours", (holding_time_avg_hours, holding_time_longest_hours, holding_time_shortest_hours)),
    ("execution", "%", (fill_rate_pct, maker_ratio_pct)),
    ("execution", "bps", (slippage_bps,)),
    ("execution", "USDT", (fees_usdt,)),
    ("funding", "USDT", (funding_paid_usdt, funding_received_usdt, funding_net_usdt)),
    ("ladder", "rungs", (ladder_depth_avg,)),
    ("ladder", "%", (ladder_fill_rate_pct,)),
)
#: The definition is the first paragraph of the docstring, on one line.
ROWS = tuple((group, unit, make, " ".join((make.__doc__ or "").split("\n\n")[0].split())) for group, unit, makes in TABLE for make in makes)
NAMES = tuple(make.__name__ for _, _, make, _ in ROWS)


def measured(make: Make, facts: Facts) -> float | None:
    """The value as a plain float, or None where it is not defined or not a finite number."""
    try:
        value = make(facts)
    except (OverflowError, ValueError):  # more than a float can hold; fsum over infinities of both signs
        return None
    return float(value) if value is not None and math.isfinite(value) else None


def compute(facts: Facts) -> list[Metric]:
    """All 32, in the order of the table."""
    return [Metric(group, make.__name__, measured(make, facts), unit, definition) for group, unit, make, definition in ROWS]
