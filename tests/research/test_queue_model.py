"""The fill models against what recordings of the exchange tell: some thousands of orders that were never placed.

Each is put at the best price or a few ticks behind it, played through the shipped feed and paper exchange under each model, and
compared with the bracket of times within which it must have filled (`queue_truth`, which shares no code with them). Held to here:

`queue` on quotes and trades fills none before it can have filled, and more than nine of ten within the bracket, the others late: an
offer that comes up to an order's price fills it only once it goes beyond.
`trade_through` fills none too early on any data, but of those at the best price a third later than they must have filled, or never.
`touch` fills four of five at the best price before they can have filled (on bars, three of ten): that is why it flatters a grid.
`queue` without quotes guesses the queue from the last bar's volume: at the best price it is too early with a few in a hundred on
trades and with one in seven on short bars. It is the most exact model where quotes arrive, and not the strictest where they do not.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from research.queue_truth import ASK, BID, SIGN, Capture, Traded, Truth, Waiting, disagreements, read

from hedgegridd.feed.captures import CaptureTape
from hedgegridd.model import Accepted, Bar, Fill, Instrument, Order, Quote, Role, Trade
from hedgegridd.plugins import load_shipped

SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).parents[2] / ".." / "shared"))
FOLDER = SHARED / "data" / "captures"
RECORDINGS = {
    "BTCUSDT 2023-04-04": ("BTCUSDT", ("btcusdt_20230404.dat.gz", "btcusdt_20230405.dat.gz"), 0.1, 0.001),
    "BTCUSDT 2024-07-18": ("BTCUSDT", ("btcusdt_20240718.gz", "btcusdt_20240719.gz"), 0.1, 0.001),
    "ETHUSDT 2024-07-18": ("ETHUSDT", ("ethusdt_20240718.gz", "ethusdt_20240719.gz"), 0.01, 0.001),
}
EVERY_MS, KEEP_MS, BAR_MS, MINUTE = 2_500, 30_000, 5_000, 60_000
BEHIND = (0, 1, 3)  # ticks behind the best price
MODELS = ("queue", "trade_through", "touch")

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="HEDGEGRIDD_SHARED: no recorded data there")


class Bet(NamedTuple):
    """An order, the event it is placed after, and how many ticks behind the best price it is."""

    order: Waiting
    index: int
    behind: int


@dataclass
class Scene:
    """A recording as the feed tells it, its raw capture beside it, and the orders with their brackets."""

    symbol: str
    instrument: Instrument
    capture: Capture
    events: list[Any]  #: quotes and trades, one for each of `capture.heard`
    minutes: list[Bar]
    bars: list[Bar]  #: of BAR_MS
    bets: list[Bet]  #: placed at regular times
    on_bars: list[Bet]  #: placed as a bar ends


@cache
def scene(name: str) -> Scene:
    symbol, files, tick, lot = RECORDINGS[name]
    paths = [FOLDER / file for file in files]
    instrument = Instrument(tick, lot, 1, 10**9, 10**9, 0.0, 2.0, 5.0)
    capture = read(paths, tick, lot)
    tape = list(CaptureTape({symbol: instrument}, paths, MINUTE, 60 * MINUTE).events(0))
    events = [event for event in tape if isinstance(event, Quote | Trade)]
    assert [isinstance(event, Trade) for event in events] == [isinstance(heard, Traded) for heard in capture.heard]
    bars = list(bars_of(symbol, events))
    bets, on_bars = list(at_regular_times(capture)), list(at_ends(capture, events, bars))
    Truth(capture, KEEP_MS).judge(bet.order for bet in bets + on_bars)
    return Scene(symbol, instrument, capture, events, [event for event in tape if isinstance(event, Bar)], bars, bets, on_bars)


def bars_of(symbol: str, events: list[Any]) -> Iterator[Bar]:
    """Bars of BAR_MS out of the trades."""
    trades = (event for event in events if isinstance(event, Trade))
    for begin, some in groupby(trades, lambda trade: trade.time - trade.time % BAR_MS):
        row = [(trade.price, trade.qty) for trade in some]
        prices = [price for price, _ in row]
        yield Bar(symbol, begin + BAR_MS, prices[0], max(prices), min(prices), prices[-1], sum(qty for _, qty in row), BAR_MS)


def at_regular_times(capture: Capture) -> Iterator[Bet]:
    """From a while after the snapshot until there is too little left to see an order through."""
    heard, due = 0, capture.snapshot.time + 1_000
    for index, one in enumerate(capture.heard):
        if isinstance(one, Traded):
            heard = one.number
        elif heard and due <= one.time < capture.heard[-1].time - KEEP_MS:
            due += EVERY_MS * ((one.time - due) // EVERY_MS + 1)
            yield from around(one, index, heard)


def at_ends(capture: Capture, events: list[Any], bars: list[Bar]) -> Iterator[Bet]:
    """The last quote of each bar."""
    heard, newest, ends = 0, -1, iter([bar.time for bar in bars])
    end = next(ends)
    for index, (one, event) in enumerate(zip(capture.heard, events, strict=True)):
        if event.time >= end:
            if newest >= 0 and capture.snapshot.time + 1_000 < one.time < capture.heard[-1].time - KEEP_MS:
                yield from around(capture.heard[newest], newest, heard)
            end = next((end for end in ends if end > event.time), 1 << 60)
        if isinstance(one, Traded):
            heard = one.number
        else:
            newest = index


def around(quote: Any, index: int, heard: int) -> Iterator[Bet]:
    """Orders on both sides of a quote."""
    for behind in BEHIND:
        for side in (BID, ASK):
            yield Bet(Waiting(side, quote.best[side] - SIGN[side] * behind, quote, heard), index, behind)


# --- the shipped exchange -------------------------------------------------------------------------------------------------

When = tuple[int, int]  #: the first and last millisecond of the event that filled an order


class Refused(Exception):
    """It would have taken."""


def place(scene: Scene, order: Waiting, model: str, seen: Iterable[Any]) -> tuple[Any, list[Any]]:
    """An exchange on which the order rests, and what it will say."""
    told: list[Any] = []
    exchange = load_exchange()()
    settings = SimpleNamespace(starting_balance_usdt=1e9, fill_model=model, slippage_bps=0.0, queue_share_pct=10.0, latency_ms=0.0)
    exchange.start(told.append, {scene.symbol: scene.instrument}, settings)
    for event in seen:
        exchange.market(event)
    exchange.place([Order("order", scene.symbol, order.side, Role.ENTRY, SIGN[order.side], order.price, 1)])
    if not isinstance(told.pop(), Accepted):
        raise Refused
    return exchange, told


def play(scene: Scene, bet: Bet, model: str) -> When | None:
    """On quotes and trades."""
    return _follow(scene, bet, model, lambda event: True)


def play_trades(scene: Scene, bet: Bet, model: str) -> When | None:
    """On trades alone."""
    return _follow(scene, bet, model, lambda event: isinstance(event, Trade))


def _follow(scene: Scene, bet: Bet, model: str, told_of: Callable[[Any], bool]) -> When | None:
    order, index, _ = bet
    events, heard, end = scene.events, scene.capture.heard, bet.order.after.time + KEEP_MS
    last = next(at for at in range(index, -1, -1) if isinstance(events[at], Trade))
    minute = [bar for bar in scene.minutes if bar.time <= events[index].time][-1:]
    exchange, told = place(scene, order, model, [*minute, events[last], *filter(told_of, [events[index]])])
    for at in range(index + 1, len(events)):
        if heard[at].time > end:
            return None
        if reaches(events[at], order) and told_of(events[at]):
            exchange.market(events[at])
            if told:
                assert isinstance(told[0], Fill) and (told[0].price, told[0].qty) == (order.price, 1)
                return heard[at].time, heard[at].time
    return None


def play_bars(scene: Scene, bet: Bet, model: str) -> When | None:
    """On bars alone, as a backtest does."""
    first = bisect_right(scene.bars, scene.events[bet.index].time, key=lambda bar: bar.time)
    exchange, told = place(scene, bet.order, model, scene.bars[first : first + 1])
    for bar in scene.bars[first + 1 :]:
        if bar.time > bet.order.after.time + KEEP_MS:
            return None
        exchange.market(bar)
        if told:
            return bar.time - BAR_MS, bar.time
    return None


@cache
def load_exchange() -> Any:
    return load_shipped().exchanges["paper"].thing


def reaches(event: Any, order: Waiting) -> bool:
    """Can it matter to the order at all? All others leave it as it is: that a quiet move touches nothing is tested elsewhere."""
    if isinstance(event, Trade):
        return bool(event.price <= order.price if order.side == BID else event.price >= order.price)
    return bool(event.bid <= order.price if order.side == BID else event.ask >= order.price)


# --- the comparison -------------------------------------------------------------------------------------------------------


class Tally:
    """How a model did: shares of the orders."""

    def __init__(self) -> None:
        self.orders = 0
        self.counts = dict.fromkeys(("early", "inside", "late", "missed"), 0)

    def count(self, order: Waiting, filled: When | None) -> None:
        end = order.after.time + KEEP_MS
        first = order.first if order.first is not None and order.first <= end else None
        last = order.last if order.last is not None and order.last <= end else None
        self.orders += 1
        if filled is None:
            verdict = "inside" if last is None else "missed"
        elif first is None or filled[1] < first:
            verdict = "early"
        else:
            verdict = "late" if last is not None and filled[0] > last else "inside"
        self.counts[verdict] += 1

    def share(self, verdict: str) -> float:
        return self.counts[verdict] / self.orders

    def __str__(self) -> str:
        return "/".join(f"{100 * self.share(verdict):.1f}" for verdict in self.counts)


def tally(model: str, behind: Iterable[int], how: Callable[[Scene, Bet, str], When | None] = play) -> Tally:
    """All recordings together."""
    made = Tally()
    for name in RECORDINGS:
        found = scene(name)
        for bet in found.on_bars if how is play_bars else found.bets:
            if bet.behind in behind:
                with suppress(Refused):
                    made.count(bet.order, how(found, bet, model))
    return made


def test_the_depth_stream_and_the_best_prices_tell_of_the_same_book() -> None:
    for name in RECORDINGS:
        wrong, seen = disagreements(scene(name).capture)
        assert seen > 8_000 and wrong == 0, name


def test_the_brackets_are_narrow_enough_to_judge_by() -> None:
    for name in RECORDINGS:
        bets = scene(name).bets
        assert len(bets) > 800
        for bet in bets:
            order = bet.order
            assert order.last is None or (order.first is not None and order.after.time <= order.first <= order.last)
        for behind, exact in ((0, 0.2), (1, 0.8), (3, 0.8)):
            filled = [bet.order for bet in bets if bet.behind == behind and bet.order.last is not None]
            assert sum(order.first == order.last for order in filled) > exact * len(filled)


def test_the_models(measured: Callable[[str], None]) -> None:
    """What the module says; nothing in it is left to chance."""
    told = []
    for what, how in (("quotes and trades", play), ("trades alone", play_trades), (f"{BAR_MS // 1000} s bars", play_bars)):
        best = {model: tally(model, (0,), how) for model in MODELS}
        behind = {model: tally(model, BEHIND[1:], how) for model in MODELS}
        told.append(f"on {what}, {best['queue'].orders} at the best price and {behind['queue'].orders} behind it: ")
        told[-1] += ", ".join(f"{model} {best[model]} and {behind[model]}" for model in MODELS)
        assert best["trade_through"].counts["early"] == behind["trade_through"].counts["early"] == 0
        assert best["touch"].share("early") > (0.8 if how is not play_bars else 0.25)
        if how is play:
            assert best["queue"].counts["early"] == behind["queue"].counts["early"] == 0
            assert min(best["queue"].share("inside"), behind["queue"].share("inside")) > 0.92
            assert best["trade_through"].share("inside") < 0.75  # what a queue model is for
        else:
            assert best["queue"].share("early") < (0.05 if how is play_trades else 0.2)
            assert behind["queue"].counts["early"] == 0
    measured(f"fill models, % early/inside/late/missed {'; '.join(told)}")
