"""What each verb means. One law: a read looks at the engine and changes nothing; everything else goes through the heart.

A verb is a row of `READS`, or a writing verb of `heart.verbs`, or one of the few the shell does itself (`SHELL`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hedgegridd import __version__, journal
from hedgegridd.control.protocol import did_you_mean
from hedgegridd.errors import Refused
from hedgegridd.heart.breakers import Guard, judge
from hedgegridd.heart.checklist import SOUND
from hedgegridd.heart.desk import LEGS, Desk, rows
from hedgegridd.heart.snapshot import snapshot_of
from hedgegridd.heart.verbs import VERBS
from hedgegridd.live import heads, log, status, units
from hedgegridd.live.preview import preview
from hedgegridd.live.retold import retold
from hedgegridd.model import Leg, Order, Role, Side
from hedgegridd.plugins import shipped
from hedgegridd.times import iso, ms

if TYPE_CHECKING:
    from hedgegridd.live.daemon import Daemon
    from hedgegridd.live.drill import Drills

Params = dict[str, Any]
SCHEMA = status.SCHEMA
DEFAULT_LIMIT = 200
TIMES = frozenset({"timestamp", "since", "begun_at", "heard_at"})  # keys of a writing verb's result that the heart gives in ms


def _dated(result: dict[str, Any]) -> dict[str, Any]:
    """The same with its times in ISO form."""
    return {key: iso(value) if key in TIMES else _dated(value) if isinstance(value, dict) else value for key, value in result.items()}


class Handlers:
    """The daemon's answers, by verb."""

    def __init__(
        self, daemon: Daemon, config_rows: Callable[[], list[dict[str, Any]]], reload: Callable[[str], Awaitable[dict[str, Any]]]
    ) -> None:
        self.daemon, self.config_rows, self.reload = daemon, config_rows, reload
        self.drills: Drills | None = None  # where there is a whole daemon to fork
        self._reading, self._trying, self._telling = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()

    async def handle(self, verb: str, params: Params, actor: str) -> dict[str, Any]:
        """One request of a peer whose right was checked. Raises Refused."""
        if verb in READS:
            return READS[verb](self, params)
        if verb in SHELL:
            return await SHELL[verb](self, params, actor)
        if verb not in VERBS:
            raise Refused(f"{verb!r} is not a verb of this daemon")
        result = await self.daemon.ask(verb, params, actor)
        return {"schema": SCHEMA, **_dated(result)}

    # --- reads ------------------------------------------------------------------------------------------------------

    def status(self, _: Params) -> dict[str, Any]:
        return status.status(self.daemon)

    def ping(self, _: Params) -> dict[str, Any]:
        return {"schema": SCHEMA, "pong": True, "version": __version__, "pid": os.getpid()}

    def breakers(self, _: Params) -> dict[str, Any]:
        guards = self.daemon.engine.panel.guards.values()
        waiting = [{**guard.row(), "since": iso(guard.since), "candidate": True} for guard in self.daemon.engine.panel.candidates.values()]
        return {"schema": SCHEMA, "breakers": [{**guard.row(), "since": iso(guard.since)} for guard in guards] + waiting}

    def orders(self, params: Params) -> dict[str, Any]:
        found = [_order(desk, order) for desk in self.daemon.engine.desks.values() for order in desk.orders.open.values()]
        return {"schema": SCHEMA, "orders": found[: params.get("limit", DEFAULT_LIMIT)]}

    def positions(self, _: Params) -> dict[str, Any]:
        document = status.status(self.daemon)
        found = [
            {"symbol": item["symbol"], "leg": leg.name.lower(), **item[leg.name.lower()]}
            for item in document["instruments"]
            for leg in LEGS
        ]
        return {"schema": SCHEMA, "positions": found}

    def fills(self, params: Params) -> dict[str, Any]:
        since = ms(params["since"]) if params.get("since") else 0
        found = [row for row in self.daemon.recent_fills if row["t"] >= since]
        desks = self.daemon.engine.desks
        return {"schema": SCHEMA, "fills": [_fill(desks[row["symbol"]], row) for row in found[-params.get("limit", DEFAULT_LIMIT) :]]}

    def ladders(self, _: Params) -> dict[str, Any]:
        return {"schema": SCHEMA, "ladders": [row for desk in self.daemon.engine.desks.values() for row in _rungs(desk)]}

    def pnl(self, _: Params) -> dict[str, Any]:
        return {"schema": SCHEMA, **status.account(self.daemon), "session": status.session(self.daemon)}

    def plugins(self, _: Params) -> dict[str, Any]:
        return {"schema": SCHEMA, "plugins": self.daemon.hosts.rows()}

    def alerts(self, _: Params) -> dict[str, Any]:
        daemon = self.daemon
        return {
            "schema": SCHEMA,
            "counts": daemon.alerts.counts(),
            "channels": daemon.alerts.channels(),
            "alerts": list(daemon.recent_alerts),
        }

    def metrics(self, _: Params) -> dict[str, Any]:
        document = status.status(self.daemon)
        return {"schema": SCHEMA, "metrics": status.metrics(document), "text": status.exposition(document)}

    def config(self, _: Params) -> dict[str, Any]:
        return {"schema": SCHEMA, "config": self.config_rows()}

    def why(self, _: Params) -> dict[str, Any]:
        """Why each wished rung has no resting order now."""
        found = []
        for desk in self.daemon.engine.desks.values():
            found += [
                {"symbol": desk.symbol, **_rung(desk, leg, role, price, qty), "reason": why} for leg, role, price, qty, why in desk.withheld
            ]
            if not desk.ready:
                found.append({"symbol": desk.symbol, "reason": desk.guarded or "warming up: the indicators have not seen enough bars"})
        hold = self.daemon.engine.gate.hold()
        return {"schema": SCHEMA, "why": found, "hold": hold or None}

    def explain(self, params: Params) -> dict[str, Any]:
        """The inputs of the last trip, and the breaker asked about them again."""
        guard = _guard(self.daemon, params)
        if guard.inputs is None:
            now = "unknown" if guard.value is None else f"{guard.value:.4g} of {guard.threshold:g} {guard.unit}"
            raise Refused(f"breaker {guard.name} has not tripped since it was armed; now: {now}")
        again = judge(guard.breaker, snapshot_of(guard.inputs)) if guard.breaker is not None else None
        verdict = (
            None if again is None else {"tripped": again.trip is not None, "reason": again.trip.reason if again.trip else again.unknown}
        )
        return {"schema": SCHEMA, **guard.row(), "since": iso(guard.since), "inputs": guard.inputs, "recomputed": verdict}

    # --- done by the shell itself -----------------------------------------------------------------------------------

    async def tail(self, params: Params, _: str) -> dict[str, Any]:
        """Its last acts; to find those of one order it may have to read them all."""
        folder, count, order = self.daemon.disk.journal.folder, params.get("limit", 50), params.get("order")
        records = await self._read(journal.tail, folder, count, order)
        acts = [(one, units.plain(one.kind, one.data, self.daemon.engine.desks)) for one in records]
        found = [{"seq": one.seq, "time": iso(one.time), "kind": one.kind, **log.worded(data)} for one, data in acts]
        return {"schema": SCHEMA, "journal.tail": found}

    async def verify(self, params: Params, _: str) -> dict[str, Any]:
        asked = params.get("head", "")
        found = await self._read(journal.verify, self.daemon.disk.journal.folder, heads.read(asked))
        return {"schema": SCHEMA, **heads.shown(found, asked), "decisions_hash": self.daemon.engine.decisions.hash}

    async def advance(self, params: Params, actor: str) -> dict[str, Any]:
        """The heart decides; what it cannot see itself (the journal on the disk, the line, the hosts) goes with the question."""
        found = await self._read(journal.verify, self.daemon.disk.journal.folder)
        said = SOUND if found.ok else f"record {found.first_bad}"
        asked = {**params, "journal": said, "faults": status.faults(self.daemon)}
        return {"schema": SCHEMA, **await self.daemon.ask("advance", asked, actor)}

    async def _read(self, work: Callable[..., Any], *what: Any) -> Any:
        """Off the loop, and one after the other: no crowd of readers takes the threads that others need."""
        async with self._reading:
            return await asyncio.get_running_loop().run_in_executor(None, work, *what)

    async def preview(self, params: Params, _: str) -> dict[str, Any]:
        """What a breaker says now, and what it would have done lately: one at a time, in a process of its own."""
        guard = self.daemon.engine.panel.candidates.get(params["name"]) or _guard(self.daemon, params)
        if self._trying.locked():
            raise Refused("another preview is being made; ask again in some seconds")
        says = {**guard.row(), "since": iso(guard.since)}
        async with self._trying:  # a shipped file has no path here
            found = await preview(shipped("plugins") / Path(guard.file), guard.name, self.daemon.disk.journal.folder.parent)
        return {"schema": SCHEMA, "now": says, "lately": found}

    async def incident(self, params: Params, _: str) -> dict[str, Any]:
        """What stopped the account, from the journal: one at a time, in a process of its own."""
        if self._telling.locked():
            raise Refused("another incident report is being made; ask again in some seconds")
        async with self._telling:
            return await retold(params.get("id"), self.daemon.disk.journal.folder.parent)

    async def alert_test(self, _: Params, __: str) -> dict[str, Any]:
        outcome = await asyncio.get_running_loop().run_in_executor(None, self.daemon.alerts.test)
        return {"schema": SCHEMA, "channels": outcome}

    async def reload_config(self, _: Params, actor: str) -> dict[str, Any]:
        return {"schema": SCHEMA, **await self.reload(actor)}

    async def drill(self, params: Params, actor: str) -> dict[str, Any]:
        if self.drills is None:
            raise Refused("there is nothing to drill here")
        return await (self.drills.listed() if params.get("list") else self.drills.run(params.get("name", ""), actor))


def _order(desk: Desk, order: Order) -> dict[str, Any]:
    sizes = desk.instrument
    return {
        "client_id": order.client_id,
        "order_id": order.order_id or None,
        "symbol": order.symbol,
        "leg": Leg(order.leg).name.lower(),
        "role": Role(order.role).name.lower(),
        "side": Side(order.side).name.lower(),
        "price": order.price * sizes.tick_size if order.price else None,
        "qty": order.qty * sizes.lot_size,
        "filled": order.filled * sizes.lot_size,
        "state": order.state.name.lower() if hasattr(order.state, "name") else str(order.state),
        "time": iso(order.time),
    }


def _fill(desk: Desk, row: dict[str, Any]) -> dict[str, Any]:
    sizes = desk.instrument
    return {
        "time": iso(row["t"]),
        "trade_id": row["trade_id"],
        "order_id": row["order_id"],
        "client_id": row["client_id"],
        "symbol": row["symbol"],
        "leg": Leg(row["leg"]).name.lower(),
        "role": Role(row["role"]).name.lower(),
        "side": Side(row["side"]).name.lower(),
        "price": row["price"] * sizes.tick_size,
        "qty": row["qty"] * sizes.lot_size,
        "fee": row["fee"],
        "realized": row["realized"],
        "maker": row["maker"],
        "reason": row["reason"] or None,
    }


def _rung(desk: Desk, leg: int, role: int, price: int, qty: int) -> dict[str, Any]:
    sizes = desk.instrument
    return {"leg": Leg(leg).name.lower(), "role": Role(role).name.lower(), "price": price * sizes.tick_size, "qty": qty * sizes.lot_size}


def _rungs(desk: Desk) -> list[dict[str, Any]]:
    """Every wished rung, and the order that serves it."""
    serving = {(order.leg, order.role, order.price): order.client_id for order in desk.orders.open.values()}
    return [
        {"symbol": desk.symbol, **_rung(desk, leg, role, price, qty), "client_id": serving.get((leg, role, price))}
        for leg, role, price, qty in rows(desk.wish)
    ]


def _guard(daemon: Daemon, params: Params) -> Guard:
    guard = daemon.engine.panel.guards.get(params["name"])
    if guard is None:
        known = daemon.engine.panel.guards
        raise Refused(f"no breaker {params['name']!r}{did_you_mean(params['name'], known)}; there are {', '.join(known)}")
    return guard


READS: dict[str, Callable[[Handlers, Params], dict[str, Any]]] = {
    "status": Handlers.status,
    "ping": Handlers.ping,
    "breakers": Handlers.breakers,
    "breakers.explain": Handlers.explain,
    "orders": Handlers.orders,
    "positions": Handlers.positions,
    "fills": Handlers.fills,
    "ladders": Handlers.ladders,
    "pnl": Handlers.pnl,
    "plugins": Handlers.plugins,
    "alerts": Handlers.alerts,
    "metrics": Handlers.metrics,
    "config": Handlers.config,
    "why": Handlers.why,
}
SHELL: dict[str, Callable[[Handlers, Params, str], Awaitable[dict[str, Any]]]] = {
    "journal.tail": Handlers.tail,
    "journal.verify": Handlers.verify,
    "breakers.preview": Handlers.preview,
    "incident": Handlers.incident,
    "alert.test": Handlers.alert_test,
    "reload": Handlers.reload_config,
    "drill": Handlers.drill,
    "advance": Handlers.advance,
}
