"""Public endpoints.

Its one law: they read; nothing here moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exchange_simulator.bars import Minute, length_of
from exchange_simulator.digits import fixed
from exchange_simulator.market import Board
from exchange_simulator.params import Params
from exchange_simulator.records import Json
from exchange_simulator.refusals import Refused
from exchange_simulator.routes import by_limit, by_symbol, route

if TYPE_CHECKING:
    from exchange_simulator.simulator import Simulator

KLINES = by_limit((99, 1), (499, 2), (1000, 5), beyond=10, default=500)
DEPTH = by_limit((50, 2), (100, 5), (500, 10), beyond=20, default=500)


def board_of(sim: Simulator, params: Params, name: str = "symbol") -> Board:
    board = sim.floor.boards.get(params.need(name))
    if board is None:
        raise Refused(-1121)
    return board


def one_or_all(sim: Simulator, params: Params, show: Any) -> Any:
    """An object for one symbol, a list without."""
    if params.text("symbol"):
        return show(board_of(sim, params))
    return [show(board) for board in sim.floor.boards.values()]


@route("GET", "/fapi/v1/ping", "/api/v3/ping", weight=1)
def ping(sim: Simulator, params: Params) -> Json:
    return {}


@route("GET", "/fapi/v1/time", "/api/v3/time", weight=1)
def time(sim: Simulator, params: Params) -> Json:
    return {"serverTime": sim.now()}


@route("GET", "/fapi/v1/exchangeInfo")
def exchange_info(sim: Simulator, params: Params) -> Json:
    assets = [{"asset": name, "marginAvailable": True, "autoAssetExchange": "-100"} for name in ("BNB", "BTC", "USDT")]
    return {
        "timezone": "UTC", "serverTime": sim.now(), "futuresType": "U_MARGINED", "rateLimits": sim.limits.published(),
        "exchangeFilters": [], "assets": assets, "symbols": [board.symbol.entry for board in sim.floor.boards.values()],
    }  # fmt: skip


@route("GET", "/fapi/v1/klines", weight=KLINES)
def klines(sim: Simulator, params: Params) -> list[Any]:
    return _klines(sim, params, board_of(sim, params))


@route("GET", "/fapi/v1/continuousKlines", weight=KLINES)
def continuous_klines(sim: Simulator, params: Params) -> list[Any]:
    if params.need("contractType") != "PERPETUAL":
        raise Refused(-1130, name="contractType")
    return _klines(sim, params, board_of(sim, params, "pair"))


def _klines(sim: Simulator, params: Params, board: Board) -> list[Any]:
    interval = params.need("interval")
    bars = board.bars.history(interval, params.maybe("startTime"), params.maybe("endTime"), params.limit(500, 1500), sim.now())
    return [board.kline_row(interval, bar) for bar in bars]


@route("GET", "/fapi/v1/markPriceKlines", "/fapi/v1/indexPriceKlines", weight=KLINES)
def mark_klines(sim: Simulator, params: Params) -> list[Any]:
    board = board_of(sim, params, "pair" if params.text("pair") else "symbol")
    return [[row[0], *row[1:5], "0", row[6], "0", 60, "0", "0", "0"] for row in _klines(sim, params, board)]


@route("GET", "/fapi/v1/premiumIndex", weight=by_symbol(1, 10))
def premium_index(sim: Simulator, params: Params) -> Any:
    return one_or_all(sim, params, lambda board: board.premium_index(sim.now()))


@route("GET", "/fapi/v1/ticker/bookTicker", weight=by_symbol(2, 5))
def book_ticker(sim: Simulator, params: Params) -> Any:
    return one_or_all(sim, params, lambda board: board.best(sim.now()))


@route("GET", "/fapi/v1/ticker/price", "/fapi/v2/ticker/price", weight=by_symbol(1, 2))
def ticker_price(sim: Simulator, params: Params) -> Any:
    def show(board: Board) -> Json:
        return {"symbol": board.symbol.name, "price": board.symbol.price(board.last), "time": sim.now()}

    return one_or_all(sim, params, show)


@route("GET", "/fapi/v1/ticker/24hr", weight=by_symbol(1, 40))
def ticker_day(sim: Simulator, params: Params) -> Any:
    return one_or_all(sim, params, lambda board: board.day(sim.now()))


@route("GET", "/fapi/v1/depth", weight=DEPTH)
def depth(sim: Simulator, params: Params) -> Json:
    if params.text("limit", "500") not in ("5", "10", "20", "50", "100", "500", "1000"):
        raise Refused(-1130, name="limit")
    return board_of(sim, params).depth(params.whole("limit", 500), sim.now())


@route("GET", "/fapi/v1/aggTrades", weight=20)
def agg_trades(sim: Simulator, params: Params) -> list[Json]:
    board = board_of(sim, params)
    start, end, first = params.maybe("startTime"), params.maybe("endTime"), params.maybe("fromId")
    found = [
        one for one in board.prints
        if (start is None or one.time >= start) and (end is None or one.time <= end) and (first is None or one.trade_id >= first)
    ]  # fmt: skip
    limit = params.limit(500, 1000)
    kept = found[:limit] if first is not None or start is not None else found[-limit:]
    return [{key: row[key] for key in ("a", "p", "q", "f", "l", "T", "m")} for row in (board.agg_trade(one, 0) for one in kept)]


@route("GET", "/fapi/v1/fundingRate", weight=1)
def funding_rate(sim: Simulator, params: Params) -> list[Json]:
    boards = [board_of(sim, params)] if params.text("symbol") else list(sim.floor.boards.values())
    start, end = params.whole("startTime", 0), params.whole("endTime", 1 << 60)
    rows = [
        {"symbol": board.symbol.name, "fundingTime": one.time, "fundingRate": fixed(one.rate), "markPrice": board.exact(one.mark),
         "rateType": "SETTLED"}
        for board in boards for one in board.settled if start <= one.time <= end
    ]  # fmt: skip
    limit = params.limit(100, 1000)
    return rows[:limit] if params.text("startTime") else rows[-limit:]


@route("GET", "/fapi/v1/fundingInfo", weight=1)
def funding_info(sim: Simulator, params: Params) -> list[Json]:
    return [
        {"symbol": name, "adjustedFundingRateCap": "0.02500000", "adjustedFundingRateFloor": "-0.02500000", "fundingIntervalHours": 8,
         "disclaimer": False}
        for name in sim.floor.boards
    ]  # fmt: skip


def current(board: Board, interval: str, now: int) -> Minute:
    """The bar that is open now."""
    length = length_of(interval)
    return board.bars.of(max(now, board.bars.newest) // length * length, length, now)
