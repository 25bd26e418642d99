"""The hand from outside: the same moves and faults over HTTP, for tests in another process.

Its one law: POST /control does what a call on the simulator does, under the same name with the same arguments; GET /control shows the
books. It is no part of the exchange: faults and limits do not touch it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from exchange_simulator.records import Algo, Execution, Json, Order
from exchange_simulator.refusals import Refused
from hedgegridd.model import Leg

if TYPE_CHECKING:
    from exchange_simulator.simulator import Simulator

MOVES = frozenset({
    "price", "mark", "quote", "trade", "walk", "bar", "start_walk", "stop_walk", "funding", "funding_rate",
    "manual", "foreign_order", "foreign_algo", "foreign_cancel", "set_leverage", "set_position_mode", "set_status", "set_filter", "thin",
    "deposit", "withdraw", "liquidate", "adl",
    "freeze", "down", "cut", "silence", "speak", "expire_listen_key", "ban",
})  # fmt: skip
SWITCHES = frozenset({"rtt_ms", "query_lag_ms", "clock_offset_ms", "countdown_takes_algos", "ping_s"})
ON_VENUE = frozenset({"child_keeps_client_id", "triggers_rejected"})
ON_LIMITS = frozenset({"weight_1m", "orders_10s", "orders_1m", "patience", "ban_s"})


async def serve(sim: Simulator, request: web.Request) -> web.Response:
    """GET: the books (?what=a,b for parts of them). POST: one act {"do": name, ...} or a list of them."""
    if request.method == "GET":
        wanted = [name for name in request.query.get("what", "").split(",") if name]
        return _json({name: show(sim) for name, show in SHOWN.items() if not wanted or name in wanted}, 200)
    try:
        asked = json.loads(await request.text())
        acts = asked if isinstance(asked, list) else [asked]
        answers = [act(sim, dict(one)) for one in acts]
    except Refused as refused:
        return _json(refused.body(), 400)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return _json({"error": f"{type(error).__name__}: {error}", "known": sorted([*MOVES, *ACTS])}, 422)
    return _json(answers if isinstance(asked, list) else answers[0], 200)


def act(sim: Simulator, asked: Json) -> Any:
    """Do one thing; what came of it, as JSON."""
    name = asked.pop("do")
    if name in ACTS:
        return ACTS[name](sim, asked)
    if name not in MOVES:
        raise KeyError(f"{name} is not known")
    positional = asked.pop("args", [])
    return plain(getattr(sim, name)(*positional, **asked))


def plain(value: Any) -> Any:
    """A result as JSON."""
    if isinstance(value, Order | Algo | Execution):
        return value.shown()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value


def _set(sim: Simulator, asked: Json) -> Json:
    """Switches and limits, by name."""
    for name, value in asked.items():
        if name in SWITCHES:
            setattr(sim, name, value)
        elif name in ON_VENUE:
            setattr(sim.venue, name, value)
        elif name in ON_LIMITS:
            setattr(sim.limits, name, value)
        else:
            raise KeyError(f"{name}: none of {sorted(SWITCHES | ON_VENUE | ON_LIMITS)}")
    return asked


def _fault(sim: Simulator, asked: Json) -> Json:
    return dataclasses.asdict(sim.faults.add(asked.pop("kind"), asked.pop("path", "*"), **asked))


def _event(sim: Simulator, asked: Json) -> Json:
    sim.faults.event(asked.pop("what"), **asked)
    return {}


def _events(sim: Simulator, asked: Json) -> Json:
    sim.faults.events(**asked)
    return {}


def _clear(sim: Simulator, asked: Json) -> Json:
    sim.faults.clear()
    sim.limits.pardon()
    return {}


def _forget(sim: Simulator, asked: Json) -> Json:
    """Forget what was seen so far, not what was done."""
    sim.requests.clear()
    sim.events.clear()
    return {}


ACTS: dict[str, Callable[[Simulator, Json], Any]] = {
    "set": _set,
    "fault": _fault,
    "event": _event,
    "events": _events,
    "clear_faults": _clear,
    "forget_requests": _forget,
}


# --- books ----------------------------------------------------------------------------------------------------------------


def positions(sim: Simulator) -> dict[str, dict[str, Json]]:
    """Both legs of every symbol, in coins and USDT."""
    return {
        name: {
            leg.name: {
                "qty": float(pit.symbol.qty(pit.held(leg))), "entry": pit.symbol.exact(pit.entry(leg)), "unrealized": pit.unrealized(leg),
            } for leg in Leg
        } for name, pit in sim.venue.pits.items()
    }  # fmt: skip


def prices(sim: Simulator) -> dict[str, Json]:
    return {
        name: {
            "last": board.symbol.exact(board.last), "bid": board.symbol.exact(board.bid), "ask": board.symbol.exact(board.ask),
            "mark": board.symbol.exact(board.mark), "index": board.symbol.exact(board.index), "rate": board.rate,
            "next_funding": board.next_funding,
        } for name, board in sim.floor.boards.items()
    }  # fmt: skip


def account(sim: Simulator) -> Json:
    venue = sim.venue
    return {
        "wallet": venue.wallet, "unrealized": venue.unrealized, "available": venue.available, "maint": venue.maint,
        "transfers": venue.transfers, "hedge": venue.hedge, "leverage": {name: pit.leverage for name, pit in venue.pits.items()},
        "countdowns": {name: pit.countdown for name, pit in venue.pits.items() if pit.countdown},
    }  # fmt: skip


SHOWN: dict[str, Callable[[Simulator], Any]] = {
    "urls": lambda sim: sim.urls(),
    "time": lambda sim: sim.now(),
    "account": account,
    "positions": positions,
    "prices": prices,
    "orders": lambda sim: [one.shown() for one in sim.venue.open_orders()],
    "all_orders": lambda sim: [one.shown() for one in sim.venue.orders.values()],
    "algos": lambda sim: [one.shown() for one in sim.venue.open_algos()],
    "all_algos": lambda sim: [one.shown() for one in sim.venue.algos.values()],
    "fills": lambda sim: [{**one.shown(), "clientOrderId": one.order.client_id} for one in sim.venue.executions],
    "income": lambda sim: [one.shown() for one in sim.venue.income],
    "requests": lambda sim: [dataclasses.asdict(one) for one in sim.requests],
    "events": lambda sim: list(sim.events),
    "sockets": lambda sim: sim.streams.shown(),
    "faults": lambda sim: [dataclasses.asdict(one) for one in sim.faults.rules],
}


def _json(value: Any, status: int) -> web.Response:
    return web.json_response(value, status=status)
