"""The table of endpoints: who answers, what it weighs, what it asks for.

Its one law: an endpoint is a row. Weights are those the exchange documents.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from exchange_simulator.params import Params

if TYPE_CHECKING:
    from exchange_simulator.simulator import Simulator

Handler = Callable[["Simulator", Params], Any]


class Asks(IntEnum):
    """What a request must carry."""

    NOTHING = 0
    KEY = 1
    SIGNATURE = 2


class Route(NamedTuple):
    handler: Handler
    asks: Asks
    weight: Callable[[Params], int]
    orders: tuple[int, int] = (0, 0)  #: counted per ten seconds and per minute
    tells_orders: bool = False


ROUTES: dict[tuple[str, str], Route] = {}


def route(
    method: str, *paths: str, asks: Asks = Asks.NOTHING, weight: int | Callable[[Params], int] = 1,
    orders: tuple[int, int] = (0, 0),
) -> Callable[[Handler], Handler]:  # fmt: skip
    """Enter a handler in the table."""
    weigh: Callable[[Params], int] = weight if callable(weight) else lambda _: weight

    def enter(handler: Handler) -> Handler:
        for path in paths:
            ROUTES[method, path] = Route(handler, asks, weigh, orders, orders != (0, 0))
        return handler

    return enter


def by_symbol(one: int, every: int) -> Callable[[Params], int]:
    """Cheap with a symbol, dear without."""
    return lambda params: one if params.text("symbol") else every


def by_limit(*steps: tuple[int, int], beyond: int, default: int) -> Callable[[Params], int]:
    """By how much is asked for."""

    def weigh(params: Params) -> int:
        text = params.text("limit")
        limit = int(text) if text.isdigit() else default
        return next((weight for most, weight in steps if limit <= most), beyond)

    return weigh
