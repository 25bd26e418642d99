"""Raw websocket captures: lines of `<local time> <JSON>` or JSON lines with the payload as text, plain or gzip.

One law: time is the exchange's event time, made monotone; the collector's own clock is not read at all, for it was wrong by
seconds where it could be checked. bookTicker becomes Quote, trade or aggTrade becomes Trade, markPrice becomes Mark, and bars
are built from the trades. Depth and everything else is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hedgegridd.feed.steps import Place, to_step
from hedgegridd.feed.tables import open_lines
from hedgegridd.feed.trades import BarBuilder
from hedgegridd.model import Bar, Funding, Gap, Instrument, Mark, MarketEvent, Quote, Trade

SNIFFED_LINES = 5000
PASSED_OVER = ('"depthUpdate"', '"lastUpdateId"', '\\"depthUpdate\\"', '"e":"kline"', '\\"e\\":\\"kline\\"')  # seen without parsing
CARRIED = {"bookTicker": ("quotes",), "trade": ("trades", "bars", "volume"), "aggTrade": ("trades", "bars", "volume"),
           "markPriceUpdate": ("marks", "index", "funding")}  # fmt: skip

Message = dict[str, Any]


class CaptureTape:
    """Events of one or more symbols out of capture files that follow one another."""

    def __init__(self, instruments: Mapping[str, Instrument], files: Sequence[Path], interval_ms: int, max_gap_ms: int) -> None:
        self.instruments = dict(instruments)
        self.files = tuple(files)
        self.interval_ms, self.max_gap_ms = interval_ms, max_gap_ms
        self.cadence_ms = 1000
        self._begin = 0
        self.symbols, self.carries = self._sniff()
        self.instruments = {symbol: instruments[symbol] for symbol in self.symbols}

    def events(self, after: int) -> Iterator[MarketEvent]:
        """Every event later than `after`. Reads from the beginning: time and bars depend on what came before."""
        return (event for event in _Reading(self).events() if event.time > after)

    def first(self) -> int:
        """Event time of the first message of ours."""
        return self._begin

    def windows(self) -> list[tuple[int, int]]:
        """Not known without reading everything."""
        return []

    def messages(self) -> Iterator[tuple[Place, Message]]:
        """Messages of our symbols, with where they stand."""
        for path in self.files:
            for place, message in _messages(path):
                if message.get("s") in self.instruments and message["e"] in CARRIED:
                    yield place, message

    def _sniff(self) -> tuple[tuple[str, ...], frozenset[str]]:
        symbols: set[str] = set()
        carries: set[str] = set()
        for _, message in islice(self.messages(), SNIFFED_LINES):
            self._begin = self._begin or int(message.get("E") or 0)
            symbols.add(message["s"])
            carries.update(CARRIED[message["e"]])
        return tuple(s for s in self.instruments if s in symbols), frozenset(carries)


class _Reading:
    """One pass over a capture: what must be remembered between two of its lines."""

    def __init__(self, tape: CaptureTape) -> None:
        self.tape = tape
        self.now = 0
        self.numbers: dict[tuple[str, str], int] = {}  # newest update or trade id, by kind and symbol
        self.trade_kind: dict[str, str] = {}
        self.settles: dict[str, tuple[int, float]] = {}  # upcoming settlement and its rate as last announced
        self.builder = BarBuilder(tape.symbols, tape.interval_ms, quiet=False)
        self.makers: dict[str, Callable[[Message, Instrument, Place], Iterator[MarketEvent]]] = {
            "bookTicker": self._quote,
            "trade": self._trade,
            "aggTrade": self._trade,
            "markPriceUpdate": self._mark,
        }

    def events(self) -> Iterator[MarketEvent]:
        for place, message in self.tape.messages():
            try:
                time = int(message["E"])
                yield from self._advance(time)
                yield from self.makers[message["e"]](message, self.tape.instruments[message["s"]], place)
            except (KeyError, TypeError, ValueError) as error:
                raise place.error(f"malformed {message.get('e')} message: {error!r}") from None

    def _advance(self, time: int) -> Iterator[Gap | Bar]:
        if self.now and time - self.now > self.tape.max_gap_ms:
            self.builder.forget()
            self.settles.clear()
            for symbol in self.tape.symbols:
                yield Gap(symbol, time, self.now)
        self.now = max(self.now, time)
        yield from self.builder.roll(self.now)

    def _newer(self, kind: str, symbol: str, number: int) -> bool:
        """False for what was delivered before: a reconnected stream repeats itself."""
        if number <= self.numbers.get((kind, symbol), -1):
            return False
        self.numbers[kind, symbol] = number
        return True

    def _quote(self, m: Message, unit: Instrument, place: Place) -> Iterator[Quote]:
        if self._newer("quote", m["s"], m["u"]):
            tick, lot = unit.tick_size, unit.lot_size
            bid, ask = to_step(float(m["b"]), tick, "bid", place), to_step(float(m["a"]), tick, "ask", place)
            bid_qty, ask_qty = to_step(float(m["B"]), lot, "quantity", place), to_step(float(m["A"]), lot, "quantity", place)
            yield Quote(m["s"], self.now, bid, bid_qty, ask, ask_qty)

    def _trade(self, m: Message, unit: Instrument, place: Place) -> Iterator[Trade]:
        """Both streams of one symbol would count each trade twice: the one seen first is taken."""
        symbol, kind = m["s"], m["e"]
        if self.trade_kind.setdefault(symbol, kind) != kind or m.get("X", "MARKET") != "MARKET":
            return  # fills of the insurance fund and of ADL are no market trades: their price may be far off
        if self._newer("trade", symbol, m["t"] if kind == "trade" else m["a"]):
            price = to_step(float(m["p"]), unit.tick_size, "price", place)
            qty = to_step(float(m["q"]), unit.lot_size, "quantity", place)
            self.builder.add(symbol, price, qty)
            yield Trade(symbol, self.now, price, qty, bool(m["m"]))

    def _mark(self, m: Message, unit: Instrument, place: Place) -> Iterator[Mark | Funding]:
        symbol, tick = m["s"], unit.tick_size
        rate = float(m["r"]) if m.get("r") else None
        upcoming = int(m.get("T") or 0) or None
        known = self.settles.get(symbol)
        if known and upcoming and upcoming > known[0]:
            yield Funding(symbol, self.now, known[1], upcoming - known[0])
        if rate is not None and upcoming:
            self.settles[symbol] = (upcoming, rate)
        index = float(m["i"]) / tick if m.get("i") else None
        yield Mark(symbol, self.now, float(m["p"]) / tick, index, rate, upcoming)


def _messages(path: Path) -> Iterator[tuple[Place, Message]]:
    """Every parsed message of one file. A last line without its end was being written when the collector stopped: dropped."""
    lines = open_lines(path)
    try:
        for row, line in enumerate(lines, 1):
            if any(mark in line for mark in PASSED_OVER):
                continue
            place = Place(path, row)
            try:
                message = _payload(json.loads(line[line.index("{") :]))
            except ValueError as error:
                if line.endswith("\n"):
                    raise place.error(f"not a line of a capture: {error}") from None
                return
            if message is not None:
                yield place, message
    finally:
        lines.close()


def _payload(line: Any) -> Message | None:
    """The message inside its wrappings: `data` may be an object (combined stream) or text (JSON lines)."""
    for _ in range(3):
        if isinstance(line, str):
            line = json.loads(line)
        if not isinstance(line, dict):
            return None
        if "e" in line:
            return line
        line = line.get("data")
    return None
