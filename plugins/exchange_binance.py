"""Binance USDT-M futures. One law: what left and was not answered is told as unsure, and what is not proven is not told.

This file is read at every start, also where nothing trades there; so it holds no more than the contract. Its parts, and the
libraries they stand on, are in `_binance` and are loaded when a line to the exchange is opened:

    shapes    texts to ticks and lots and back         streams   sockets that heal themselves
    errors    what an error means                      market    bars, quotes, marks
    budget    how much may still be asked              told      what was told, and what is known of our orders
    wire      the one door for requests                orders, stops, inquiry, account, listener, survey
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hedgegridd import hookimpl
from hedgegridd.hookspecs import Fact, Health, Terms
from hedgegridd.model import Bar, Instrument, MarketEvent, Order, Report

if TYPE_CHECKING:
    from ._binance.line import Line


class BinanceExchange:
    """The `NetworkExchange` contract on Binance's USDT-margined perpetuals, in hedge mode."""

    name = "binance"
    orders_cost_network = True
    trading = False

    def __init__(self) -> None:
        self._line: Line | None = None
        self._emit: Callable[[Any], None] = _nobody
        self._wanted: tuple[int, bool] | None = None

    # --- before the start ---------------------------------------------------------------------------------------------

    async def instruments(self, terms: dict[str, Terms], settings: Any) -> dict[str, Instrument]:
        """Sizes, filters and fees; fees and brackets of the account where a key may be used."""
        return await self._open(settings).instruments(terms, self.trading)

    async def preflight(self, instruments: dict[str, Instrument], terms: dict[str, Terms], settings: Any) -> list[Fact]:
        """Look at the account, put right what may be."""
        return await self._open(settings).preflight(instruments, terms)

    async def history(self, symbol: str, interval_ms: int, bars: int) -> list[Bar]:
        """The last complete bars; the first that is told later is the next one."""
        return await self._opened().history(symbol, interval_ms, bars)

    def listen(self, interval_ms: int, trades: bool) -> None:
        """What `start` is to hear of the market."""
        self._wanted = interval_ms, trades

    # --- the contract -------------------------------------------------------------------------------------------------

    def start(self, emit: Callable[[Any], None], instruments: dict[str, Instrument], settings: Any) -> None:
        """Begin to listen; with `trading` also to the account."""
        self._emit = emit
        self._open(settings).start(instruments, self._wanted, self.trading)

    def catch_up(self, last_trade: dict[str, int], income_time: int) -> None:
        self._opened().catch_up(last_trade, income_time)

    def market(self, event: MarketEvent) -> None:
        """Of no interest here."""

    def restore(self, report: Report, seen: Sequence[MarketEvent] = ()) -> None:
        """The exchange remembers by itself."""

    def place(self, orders: Sequence[Order]) -> None:
        self._opened().place(orders)

    def amend(self, client_id: str, qty: int) -> None:
        self._opened().amend(client_id, qty)

    def cancel(self, orders: Sequence[Order]) -> None:
        self._opened().cancel(orders)

    def report(self, doubted: Sequence[Order] = (), now: int = 0) -> None:
        self._opened().report(doubted, now)

    def countdown(self, symbols: Sequence[str], ms: int) -> None:
        self._opened().countdown(symbols, ms)

    def health(self) -> Health:
        """From memory."""
        return self._line.health() if self._line is not None else Health(False)

    def stop(self) -> None:
        """Let go of the sockets; orders stay as they are."""
        if self._line is not None:
            self._line.stop()

    async def closed(self) -> None:
        if self._line is not None:
            line, self._line = self._line, None
            await line.closed()

    # --- the line -----------------------------------------------------------------------------------------------------

    def _open(self, settings: Any) -> Line:
        """The line to the exchange, from inside the running loop; the libraries are loaded here, once."""
        if self._line is None:
            from ._binance.line import Line

            self._line = Line(settings, self._tell)
        return self._line

    def _tell(self, event: Any) -> None:
        self._emit(event)

    def _opened(self) -> Line:
        if self._line is None:
            raise RuntimeError("the exchange was not started")
        return self._line


def _nobody(event: Any) -> None:
    """Where events go before `start`."""


@hookimpl
def register_exchanges(register: Callable[[Any], None]) -> None:
    register(BinanceExchange)
