"""The trading floor: what moves the market moves the account with it, in one order.

Its one law: a move is seen by the resting orders first (at the prices it passed), then by quotes, then by the mark with what triggers on
it, and only then by the streams. Whoever wants a price says it here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial

from exchange_simulator import conditional, events
from exchange_simulator.bars import MINUTE, Minute
from exchange_simulator.market import FUNDING_INTERVAL, Board, Print, Settlement
from exchange_simulator.records import Income, Json
from exchange_simulator.symbols import Symbol
from exchange_simulator.venue import Pit, Venue
from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger, matching
from hedgegridd.kernel.book import Model
from hedgegridd.model import Leg

Say = Callable[[str, str, Callable[[], Json]], None]
PLENTY = 1_000_000_000  # lots of a trade nobody gave a size


class Floor:
    """Market and account of all symbols."""

    def __init__(self, symbols: dict[str, Symbol], venue: Venue, seed: int, spread: int, say: Say) -> None:
        """`say(symbol, stream, shape)` tells whoever subscribed."""
        self.venue, self.say = venue, say
        now = venue.clock()
        self.boards = {name: Board(symbol, now, str(seed), spread) for name, symbol in symbols.items()}
        self.chance = random.Random(f"{seed}/walk")
        for name in symbols:
            self._first(self.boards[name], venue.pits[name])

    def _first(self, board: Board, pit: Pit) -> None:
        rest.see_quote(pit.book, board.bid, board.size(board.bid), board.ask, board.size(board.ask))
        rest.see_mark(pit.book, board.mark)
        self.venue.tidy(pit)

    # --- moves --------------------------------------------------------------------------------------------------------

    def price(self, symbol: str, price: float, mark: float | None = None, qty: float | None = None) -> None:
        """The market trades at `price` (rounded to the tick): last, book, index and, unless given apart, the mark. `qty` (coins) limits
        what the trade fills of resting orders; only such as lie beyond the price are met then, the best first."""
        board, pit = self.boards[symbol], self.venue.pits[symbol]
        ticks = max(1, board.symbol.ticks(price))
        one = self._print(board, pit, ticks, board.symbol.lots(qty) if qty else None, ticks < board.last)
        self._show(board, pit, max(1, ticks), ticks + board.spread)
        conditional.look(self.venue, pit, by_mark=False, price=float(ticks))
        self.say(symbol, "aggTrade", lambda: board.agg_trade(one, one.time))
        self.tell_book(board)
        self.mark(symbol, price if mark is None else mark, index=price)

    def trade(self, symbol: str, price: float, qty: float | None = None, buyer_is_maker: bool = False) -> None:
        """One public trade, and nothing else."""
        board, pit = self.boards[symbol], self.venue.pits[symbol]
        one = self._print(board, pit, board.symbol.ticks(price), board.symbol.lots(qty) if qty else None, buyer_is_maker)
        conditional.look(self.venue, pit, by_mark=False, price=float(one.price))
        self.say(symbol, "aggTrade", lambda: board.agg_trade(one, one.time))

    def _print(self, board: Board, pit: Pit, ticks: int, lots: int | None, buyer_is_maker: bool) -> Print:
        now = self.venue.clock()
        one = board.printed(now, ticks, lots or self.chance.randint(1, 2_000), buyer_is_maker)
        move = matching.trade_move(now, ticks, lots or PLENTY, buyer_is_maker)
        self.venue.move(pit, move, int(Model.QUEUE) if lots else None)
        pit.last = ticks
        return one

    def _show(self, board: Board, pit: Pit, bid: int, ask: int) -> None:
        board.quoted(bid, ask)
        rest.see_quote(pit.book, bid, board.size(bid), ask, board.size(ask))

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        """Other best prices, with no trade: what rests beyond them is met."""
        board, pit, now = self.boards[symbol], self.venue.pits[symbol], self.venue.clock()
        low, high = board.symbol.ticks(bid), board.symbol.ticks(ask)
        self.venue.move(pit, matching.quote_move(now, low, high))
        self._show(board, pit, low, high)
        self.tell_book(board)

    def mark(self, symbol: str, mark: float, index: float | None = None) -> None:
        """Another mark price: triggers, liquidation."""
        board, pit = self.boards[symbol], self.venue.pits[symbol]
        board.mark = mark / float(board.symbol.tick)
        if index is not None:
            board.index = index / float(board.symbol.tick)
        rest.see_mark(pit.book, board.mark)
        conditional.look(self.venue, pit, by_mark=True, price=board.mark)
        self.venue.mark_moved(pit)
        self.say(symbol, "markPrice", lambda: board.mark_price(self.venue.clock()))

    def walk(self, symbol: str, steps: int = 1, volatility_bps: float = 1.0) -> float:
        """So many steps of a random walk; the price it came to, USDT."""
        board = self.boards[symbol]
        for _ in range(steps):
            step = self.chance.gauss(0.0, volatility_bps / 10_000)
            self.price(symbol, float(board.symbol.price(max(10, round(board.last * math.exp(step))))))
        return float(board.symbol.price(board.last))

    def bar(self, symbol: str, opened: float, high: float, low: float, close: float, volume: float = 100.0, time: int | None = None) -> int:
        """A whole minute at once, closed; by default the one after the newest. Answers when it opened."""
        board, pit = self.boards[symbol], self.venue.pits[symbol]
        first, top, bottom, last = (board.symbol.ticks(price) for price in (opened, high, low, close))
        minute = Minute(
            max(board.bars.vacant, self.venue.clock() // MINUTE * MINUTE) if time is None else time,
            first,
            top,
            bottom,
            last,
            board.symbol.lots(volume),
            100,
        )
        self.venue.move(pit, matching.bar_move(pit.terms, self.venue.clock(), first, bottom, top, minute.volume))
        for price in (low, high, close) if close >= opened else (high, low, close):
            at = board.symbol.ticks(price)
            self._show(board, pit, at, at + board.spread)
            board.last = pit.last = at
            conditional.look(self.venue, pit, by_mark=False, price=float(at))
            self.mark(symbol, price, index=price)
        board.bars.put(minute)
        self.tell_book(board)
        return minute.time

    def tell_book(self, board: Board) -> None:
        """Quote and partial books, to whoever subscribed."""
        now, name = self.venue.clock(), board.symbol.name
        self.say(name, "bookTicker", lambda: board.book_ticker(now))
        for levels in (5, 10, 20):
            self.say(name, f"depth{levels}", partial(board.depth_update, levels, now))

    # --- funding ------------------------------------------------------------------------------------------------------

    def rate(self, symbol: str, rate: float, next_funding: int | None = None) -> None:
        """The rate that will be settled next, and when."""
        board = self.boards[symbol]
        board.rate = rate
        if next_funding is not None:
            board.next_funding = next_funding

    def funding(self, symbol: str, rate: float | None = None) -> float:
        """Settle funding now at the mark; what the account paid, USDT."""
        board, pit, venue = self.boards[symbol], self.venue.pits[symbol], self.venue
        now, due = venue.clock(), 0.0
        board.rate = board.rate if rate is None else rate
        board.settled.append(Settlement(now, board.rate, board.mark))
        board.next_funding = max(board.next_funding + FUNDING_INTERVAL, (now // FUNDING_INTERVAL + 1) * FUNDING_INTERVAL)
        for leg in Leg:
            if pit.held(leg):
                amount = ledger.funding_due(pit.held(leg), pit.terms.unit, board.mark, board.rate, leg)
                pit.books = ledger.pay_funding(pit.books, amount)
                venue.income.append(Income("FUNDING_FEE", symbol, -amount, now, venue.ids.next("tran")))
                venue.emit(events.account_update("FUNDING_FEE", now, venue.wallet, -amount, [], symbol))
                due += amount
        venue.tidy(pit)
        return due
