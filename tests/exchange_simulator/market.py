"""The public side of each symbol: prices, book, trades, bars, funding; and each as the exchange writes it.

Its one law: a price shown is on the tick. It decides nothing about the account: `floor` moves both.
"""

from __future__ import annotations

import random
from collections import deque
from typing import NamedTuple

from exchange_simulator.bars import Bars, Minute, length_of
from exchange_simulator.digits import fixed
from exchange_simulator.records import Json
from exchange_simulator.symbols import Symbol

HOUR = 3_600_000
FUNDING_INTERVAL = 8 * HOUR


class Print(NamedTuple):
    """A public trade."""

    trade_id: int
    time: int
    price: int
    lots: int
    buyer_is_maker: bool


class Settlement(NamedTuple):
    """A funding settlement; `mark` in ticks."""

    time: int
    rate: float
    mark: float


class Board:
    """What the public sees of one symbol."""

    def __init__(self, symbol: Symbol, now: int, seed: str, spread: int) -> None:
        self.symbol, self.spread = symbol, spread
        self.last = symbol.ticks(symbol.start_price)
        self.bid, self.ask = self.last, self.last + spread
        self.mark = self.index = float(self.last)
        self.rate = 0.0001
        self.next_funding = (now // FUNDING_INTERVAL + 1) * FUNDING_INTERVAL
        self.bars = Bars(self.last, now, f"{seed}/{symbol.name}")
        self.settled = [Settlement(self.next_funding - k * FUNDING_INTERVAL, 0.0001, self.mark) for k in range(20, 0, -1)]
        self.update_id = 400_900_217
        self.update_before = self.update_id
        self.trade_id = 5_933_014
        self.prints: deque[Print] = deque([Print(self.trade_id, now, self.last, 1, False)], maxlen=5_000)
        self._chance = random.Random(f"{seed}/{symbol.name}/depth")
        self._sizes = [self._chance.randint(200, 20_000) for _ in range(2_000)]

    # --- moving -------------------------------------------------------------------------------------------------------

    def printed(self, time: int, price: int, lots: int, buyer_is_maker: bool) -> Print:
        """A trade happened."""
        self.trade_id += 1
        self.last = price
        self.bars.trade(time, price, lots)
        one = Print(self.trade_id, time, price, lots, buyer_is_maker)
        self.prints.append(one)
        return one

    def quoted(self, bid: int, ask: int) -> None:
        """The best prices are others."""
        self.bid, self.ask = bid, ask
        self.update_before = self.update_id
        self.update_id += self._chance.randint(1, 9)

    # --- streams ------------------------------------------------------------------------------------------------------

    def book_ticker(self, time: int) -> Json:
        sym = self.symbol
        return {
            "e": "bookTicker", "u": self.update_id, "E": time, "T": time, "s": sym.name, "b": sym.price(self.bid),
            "B": sym.qty(self.size(self.bid)), "a": sym.price(self.ask), "A": sym.qty(self.size(self.ask)), "st": 1, "ps": sym.name,
        }  # fmt: skip

    def agg_trade(self, one: Print, time: int) -> Json:
        sym = self.symbol
        return {
            "e": "aggTrade", "E": time, "a": one.trade_id, "s": sym.name, "p": sym.price(one.price), "q": sym.qty(one.lots),
            "f": one.trade_id, "l": one.trade_id, "T": one.time, "m": one.buyer_is_maker, "st": 1,
        }  # fmt: skip

    def mark_price(self, time: int) -> Json:
        sym = self.symbol
        return {
            "e": "markPriceUpdate", "E": time, "s": sym.name, "p": self.exact(self.mark), "i": self.exact(self.index),
            "P": self.exact(self.mark), "r": fixed(self.rate), "T": self.next_funding, "st": 1,
        }  # fmt: skip

    def kline(self, interval: str, bar: Minute, closed: bool, time: int) -> Json:
        return {"e": "kline", "E": time, "s": self.symbol.name, "k": {"s": self.symbol.name, **self._bar(interval, bar, closed)}}

    def continuous_kline(self, interval: str, bar: Minute, closed: bool, time: int) -> Json:
        head = {"e": "continuous_kline", "E": time, "ps": self.symbol.name, "ct": "PERPETUAL"}
        return {**head, "k": self._bar(interval, bar, closed)}

    def _bar(self, interval: str, bar: Minute, closed: bool) -> Json:
        sym = self.symbol
        quote = fixed(sym.exact(bar.close) * bar.volume * float(sym.lot), 4)
        return {
            "t": bar.time, "T": bar.time + length_of(interval) - 1, "i": interval, "f": self.trade_id, "L": self.trade_id,
            "o": sym.price(bar.open), "c": sym.price(bar.close), "h": sym.price(bar.high), "l": sym.price(bar.low),
            "v": sym.qty(bar.volume), "n": bar.trades, "x": closed, "q": quote, "V": sym.qty(bar.volume // 2),
            "Q": fixed(float(quote) / 2, 4), "B": "0",
        }  # fmt: skip

    def depth_update(self, levels: int, time: int) -> Json:
        bids, asks = self.levels(levels)
        return {
            "e": "depthUpdate", "E": time, "T": time, "s": self.symbol.name, "ps": self.symbol.name, "st": 1,
            "U": self.update_before + 1, "u": self.update_id, "pu": self.update_before, "b": bids, "a": asks,
        }  # fmt: skip

    def ticker(self, time: int) -> Json:
        day = self.day(time)
        keys = {"p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice", "c": "lastPrice", "Q": "lastQty", "o": "openPrice",
                "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume", "O": "openTime", "C": "closeTime", "F": "firstId",
                "L": "lastId", "n": "count"}  # fmt: skip
        return {"e": "24hrTicker", "E": time, "s": self.symbol.name, **{key: day[name] for key, name in keys.items()}, "st": 1}

    # --- REST ---------------------------------------------------------------------------------------------------------

    def kline_row(self, interval: str, bar: Minute) -> list[int | str]:
        k = self._bar(interval, bar, True)
        return [k["t"], k["o"], k["h"], k["l"], k["c"], k["v"], k["T"], k["q"], k["n"], k["V"], k["Q"], "0"]

    def premium_index(self, time: int) -> Json:
        return {
            "symbol": self.symbol.name, "markPrice": self.exact(self.mark), "indexPrice": self.exact(self.index),
            "estimatedSettlePrice": self.exact(self.index), "lastFundingRate": fixed(self.rate), "nextFundingTime": self.next_funding,
            "interestRate": "0.00010000", "time": time,
        }  # fmt: skip

    def best(self, time: int) -> Json:
        tick = self.book_ticker(time)
        return {
            "lastUpdateId": tick["u"], "symbol": tick["s"], "bidPrice": tick["b"], "bidQty": tick["B"], "askPrice": tick["a"],
            "askQty": tick["A"], "time": time,
        }  # fmt: skip

    def depth(self, levels: int, time: int) -> Json:
        bids, asks = self.levels(levels)
        return {"lastUpdateId": self.update_id, "E": time, "T": time, "bids": bids, "asks": asks}

    def day(self, time: int) -> Json:
        """The last 24 hours."""
        sym, bars = self.symbol, self.bars.history("1h", None, None, 24, time)
        first, volume = bars[0].open, sum(bar.volume for bar in bars)
        quote = sym.exact(self.last) * volume * float(sym.lot)
        last = self.prints[-1] if self.prints else None
        return {
            "symbol": sym.name, "priceChange": sym.price(self.last - first), "priceChangePercent": fixed((self.last / first - 1) * 100, 3),
            "weightedAvgPrice": sym.price(self.last), "lastPrice": sym.price(self.last), "lastQty": sym.qty(last.lots if last else 0),
            "openPrice": sym.price(first), "highPrice": sym.price(max(bar.high for bar in bars)),
            "lowPrice": sym.price(min(bar.low for bar in bars)), "volume": sym.qty(volume), "quoteVolume": fixed(quote, 2),
            "openTime": time - 24 * HOUR, "closeTime": time, "firstId": self.trade_id - len(self.prints), "lastId": self.trade_id,
            "count": sum(bar.trades for bar in bars),
        }  # fmt: skip

    # --- numbers ------------------------------------------------------------------------------------------------------

    def exact(self, ticks: float) -> str:
        """A mark or index price, eight places."""
        return fixed(self.symbol.exact(ticks), 8)

    def size(self, price: int) -> int:
        """Lots that rest at a price."""
        return self._sizes[(price + self.update_id) % len(self._sizes)]

    def levels(self, count: int) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks, the best first."""
        sym = self.symbol
        bids = [[sym.price(p), sym.qty(self.size(p))] for p in range(self.bid, max(self.bid - count, 0), -1)]
        asks = [[sym.price(p), sym.qty(self.size(p))] for p in range(self.ask, self.ask + count)]
        return bids, asks
