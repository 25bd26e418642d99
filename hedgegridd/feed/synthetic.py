"""A made-up market: seeded, endless, and the same on every machine.

One law: what happens at a time depends only on seed, symbol and the hour that time lies in, so that the feed can be taken up
anywhere at the cost of one hour's path. Prices follow episodes (up, down, sideways) around a slowly wandering level, with jumps;
each second has a Mark, and where something traded a Trade and a Quote before it; each bar is exactly the path of its marks.
It is a market to practise on, not one to judge a strategy by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import count
from math import exp, log
from random import Random
from typing import NamedTuple

from hedgegridd.errors import FeedError
from hedgegridd.feed.funding import EIGHT_HOURS_MS, HOUR_MS, next_grid
from hedgegridd.feed.merge import by_time, ending
from hedgegridd.model import Bar, FeedEnd, Funding, Instrument, Mark, MarketEvent, Quote, Trade

DEFAULT_START_MS = 1_735_689_600_000  #: 2025-01-01T00:00:00Z
DEFAULT_PRICES = {"BTCUSDT": 90_000.0, "ETHUSDT": 3_000.0}  #: USDT; others begin at 100

# All in log price. The level is a sum of slow waves: (days from knot to knot, size of one deviation).
WAVES = ((1, 0.012), (7, 0.04), (30, 0.08), (120, 0.15))
EPISODE_HOURS, TREND_MIN, TREND_MORE = 6, 0.008, 0.02
HOUR_NOISE = 0.002
JUMPS_PER_HOUR, JUMP = 0.05, 0.006
SECOND_NOISE = 0.00012  #: of one traded second, before the hour's own factor of 0.5 to 2
TRADED = 0.3  #: of all seconds; the others are quiet
TRADE_USDT = 20_000.0
FUNDING_BASE, FUNDING_PER_TREND, FUNDING_MAX = 0.0001, 0.01, 0.003


class Day(NamedTuple):
    """The plan of one day: log price at each full hour, what of the next hour's move is one jump, how lively the hour is."""

    marks: list[float]
    jumps: list[float]
    pace: list[float]


def _bell(draw: Random) -> float:
    """About normal, mean 0, deviation 1, never beyond 3. Only `random()` is the same in every Python version."""
    return (draw.random() + draw.random() + draw.random() - 1.5) * 2.0


class Walk:
    """The path of one symbol. Hours count from the feed's start and may be negative."""

    def __init__(self, symbol: str, seed: int, price: float, instrument: Instrument) -> None:
        self.symbol, self.seed = symbol, seed
        self.tick = instrument.tick_size
        self.lots = TRADE_USDT / (price * instrument.lot_size)
        self.base = log(price)
        self.base -= self.level(0) - self.base
        self.day = lru_cache(8)(self._day)

    def _draw(self, what: str, number: int) -> Random:
        return Random(f"{self.seed}/{self.symbol}/{what}/{number}")

    def level(self, day: int) -> float:
        """Log price at the beginning of a day."""
        height = self.base
        for days, size in WAVES:
            knot, part = divmod(day, days)
            left, right = (_bell(self._draw(f"wave{days}", k)) for k in (knot, knot + 1))
            height += size * (left + (right - left) * part / days)
        return height

    def _day(self, day: int) -> Day:
        draw, moves, plan = self._draw("day", day), list[float](), Day([], [], [])
        for _ in range(24 // EPISODE_HOURS):
            trend = (int(draw.random() * 3) - 1) * (TREND_MIN + TREND_MORE * draw.random()) / EPISODE_HOURS
            for _ in range(EPISODE_HOURS):
                plan.jumps.append(JUMP * _bell(draw) if draw.random() < JUMPS_PER_HOUR else 0.0)
                plan.pace.append(0.5 + 1.5 * draw.random() ** 2)
                moves.append(trend + plan.jumps[-1] + HOUR_NOISE * _bell(draw))
        here = self.level(day)
        pull = (self.level(day + 1) - here - sum(moves)) / 24
        for move in moves:
            plan.marks.append(here)
            here += move + pull
        return plan

    def mark(self, hour: int) -> float:
        """Log price at the beginning of an hour."""
        day, part = divmod(hour, 24)
        return self.day(day).marks[part]

    def seconds(self, hour: int) -> tuple[list[int], list[int]]:
        """Price (ticks) and quantity (lots) of each second of an hour that traded; 0 for a quiet one. The first always trades."""
        draw, (day, part) = self._draw("hour", hour), divmod(hour, 24)
        plan = self.day(day)
        jump, noise = plan.jumps[part], SECOND_NOISE * plan.pace[part]
        leap = int(draw.random() * 3599) + 1 if jump else 0
        random = draw.random
        traded = [second for second in range(1, 3600) if random() < TRADED or second == leap]
        moves = [noise * _bell(draw) + (jump if second == leap else 0.0) for second in traded]
        pull = (self.mark(hour + 1) - self.mark(hour) - sum(moves)) / max(1, len(moves))
        prices, sizes = [0] * 3600, [0] * 3600
        here, tick = self.mark(hour), self.tick
        for second, move in zip([0, *traded], [0.0, *(m + pull for m in moves)], strict=True):
            here += move
            prices[second] = max(1, round(exp(here) / tick))
            sizes[second] = 1 + int(self.lots * random() ** 2 * (1.0 + 2000.0 * abs(move)))
        return prices, sizes


class Synthetic:
    """The feed. `start` ms (to the minute), prices USDT at the start; `until` makes it finite."""

    carries = frozenset(("bars", "trades", "quotes", "marks", "funding", "index", "volume"))
    cadence_ms = 1000
    pushed = False

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        seed: int = 1,
        start: int = DEFAULT_START_MS,
        prices: Mapping[str, float] | None = None,
        interval_ms: int = 60_000,
        until: int | None = None,
    ) -> None:
        if HOUR_MS % interval_ms or interval_ms % 60_000:
            raise FeedError(f"feed.interval of {interval_ms} ms: a synthetic feed expects minutes that divide an hour, such as 1m or 5m")
        self.instruments = dict(instruments)
        self.symbols = tuple(self.instruments)
        self.start, self.until, self.interval_ms = start - start % 60_000, until, interval_ms
        at = {**DEFAULT_PRICES, **(prices or {})}
        self.walks = {name: Walk(name, seed, at.get(name, 100.0), unit) for name, unit in self.instruments.items()}

    def events(self, after: int = 0) -> Iterator[MarketEvent | FeedEnd]:
        """Every event later than `after`, without end; it begins at `start`, with no bar yet."""
        streams = [self._symbol(walk, after) for walk in self.walks.values()]
        return by_time(streams) if self.until is None else ending(by_time(streams), after, self.until)

    def warmup(self, symbol: str, bars: int) -> list[Bar]:
        """The last `bars` bars up to the start."""
        hours = -(-bars * self.interval_ms // HOUR_MS)
        found = [bar for hour in range(-hours, 0) for bar in self._bars(self.walks[symbol], hour)]
        return found[len(found) - bars :]

    def span(self) -> tuple[int, int] | None:
        """Start and end; None while there is no end."""
        return None if self.until is None else (self.start, self.until)

    def next_funding(self, symbol: str, after: int) -> tuple[int, float | None]:
        """The next settlement later than `after`, and the rate of the last one."""
        upcoming = next_grid(after)
        return upcoming, self._rate(self.walks[symbol], upcoming - EIGHT_HOURS_MS)

    def notes(self) -> list[str]:
        """What a person should know of these data, one line each."""
        return ["prices are made up (synthetic feed)"]

    def _rate(self, walk: Walk, settlement: int) -> float:
        """Follows the trend of the eight hours before the interval began, so it is known from the interval's beginning."""
        known = (settlement - EIGHT_HOURS_MS - self.start) // HOUR_MS
        trend = walk.mark(known) - walk.mark(known - 8)
        return round(max(-FUNDING_MAX, min(FUNDING_MAX, FUNDING_BASE + FUNDING_PER_TREND * trend)), 8)

    def _bars(self, walk: Walk, hour: int) -> list[Bar]:
        prices, sizes = walk.seconds(hour)
        long = self.interval_ms // 1000
        bars, last = list[Bar](), prices[0]
        for begin in range(0, 3600, long):
            end = begin + long
            path = [prices[begin] or last, *filter(None, prices[begin + 1 : end])]
            last = path[-1]
            time = self.start + hour * HOUR_MS + end * 1000
            bars.append(Bar(walk.symbol, time, path[0], max(path), min(path), last, sum(sizes[begin:end]), self.interval_ms))
        return bars

    def _symbol(self, walk: Walk, after: int) -> Iterator[MarketEvent]:
        begin = max(0, (after - self.start) // HOUR_MS)
        yield from (event for event in self._hour(walk, begin) if event.time > after)
        for hour in count(begin + 1):
            yield from self._hour(walk, hour)

    def _hour(self, walk: Walk, hour: int) -> Iterator[MarketEvent]:
        """The events of one hour: seconds in order, a bar at the end of each interval, a settlement after its bar."""
        symbol, begin = walk.symbol, self.start + hour * HOUR_MS
        prices, sizes = walk.seconds(hour)
        bars = {bar.time: bar for bar in self._bars(walk, hour)}
        last = prices[0]
        for minute in range(60):
            time = begin + minute * 60_000
            due = next_grid(time)
            rate = self._rate(walk, due)
            premium = 1.0 + rate / 2
            for second in range(minute * 60, minute * 60 + 60):
                price = prices[second]
                if price:
                    yield from _traded(symbol, time, price, last, sizes[second])
                    last = price
                yield Mark(symbol, time, float(last), last / premium, rate, due)
                time += 1000
            if time in bars:
                yield bars[time]
            if time == due:
                yield Funding(symbol, time, rate, EIGHT_HOURS_MS)


def _traded(symbol: str, time: int, price: int, last: int, size: int) -> Iterator[Trade | Quote]:
    """A trade and the book after it: a rise was bought from the ask, a fall sold to the bid; a large move widens the spread."""
    rose = price > last or (price == last and size & 1 == 1)
    spread = 1 + abs(price - last) // 8
    bid, ask = (price - spread, price) if rose else (price, price + spread)
    yield Trade(symbol, time, price, size, not rose)
    yield Quote(symbol, time, max(1, bid), 3 * size + 1, ask, 3 * size + 2)
