"""What `status` says. One law: every figure is the engine's own, read at one instant; what is not known is null, never zero.

Keys and meanings are fixed by the interface; `metrics` gives the same figures under their Prometheus names.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from hedgegridd import __version__
from hedgegridd.heart.checklist import blocks
from hedgegridd.heart.desk import LEGS, Desk
from hedgegridd.heart.rehearsal import STAGE
from hedgegridd.heart.sights import margins
from hedgegridd.hookspecs import Health
from hedgegridd.model import Leg, Regime, Role
from hedgegridd.times import iso, ms

if TYPE_CHECKING:
    from hedgegridd.live.daemon import Daemon

SCHEMA = 1


def status(daemon: Daemon) -> dict[str, Any]:
    """The whole document."""
    engine = daemon.engine
    return {
        "schema": SCHEMA,
        "version": __version__,
        "pid": os.getpid(),
        "uptime_seconds": round(time.monotonic() - daemon.born, 3),
        "time": iso(engine.now),
        "mode": engine.mode.value,
        "instance": engine.config.daemon.instance,
        "ready": daemon.ready,
        "degraded": degraded(daemon),
        "kill_switch": _kill_switch(daemon),
        "size_factor": engine.recovery.size_factor * engine.panel.size_factor,
        "recovery": _recovery(daemon),
        "dead_mans_switch": {
            "enabled": engine.deadman.enabled,
            "left_ms": engine.deadman.left_ms(engine.wall),
            "confirmed_at": iso(engine.deadman.confirmed_at) if engine.deadman.confirmed_at else None,
        },
        "breakers": [{**guard.row(), "since": iso(guard.since)} for guard in engine.panel.guards.values()],
        "session": session(daemon),
        "account": account(daemon),
        "instruments": [_instrument(daemon, desk) for desk in engine.desks.values()],
        "exchange": _exchange(daemon),
        "plugins": daemon.hosts.rows(),
        "alerts": daemon.alerts.counts(),
        "loop_lag_ms_p99": percentile(sorted(daemon.lags), 0.99),
        "decisions_hash": engine.decisions.hash,
        "counts": dict(engine.counts),
        "hold": engine.gate.hold(),
        "drill": dict(daemon.drill),
    }


def degraded(daemon: Daemon) -> list[str]:
    """Everything that should be put right; warm-up and pauses are not in it."""
    engine = daemon.engine
    found = []
    if engine.gate.storage_failed:
        found.append(f"journal cannot be written: {engine.gate.storage_failed}")
    if daemon.disk.journal.tidy_failure:
        found.append(f"closed parts of the journal could not be compressed or pruned: {daemon.disk.journal.tidy_failure}")
    if engine.kill.active and not engine.kill.durable:
        found.append("kill switch is active, NOT durable")
    found.extend(faults(daemon))
    if engine.gate.busy:
        found.append(f"the exchange takes no openers: {engine.gate.busy}")
    for guard in engine.panel.guards.values():
        if guard.state in ("check_error", "unknown", "would_trip"):
            found.append(f"breaker {guard.name}: {guard.state}: {guard.why}")
        elif guard.state == "disarmed" and guard.why.startswith("disarmed by"):
            found.append(f"breaker {guard.name}: {guard.why}")
    if engine.panel.size_factor < 1.0:
        found.append(f"breakers leave openers x {engine.panel.size_factor:g} of their size")
    for desk in engine.desks.values():
        if desk.guarded:
            found.append(f"{desk.symbol}: {desk.guarded}")
        if desk.halted:
            found.append(f"{desk.symbol} is halted: {desk.halted}")
        for leg, one in zip(LEGS, desk.standing, strict=True):
            if one.shut and one.source.startswith("breaker."):
                found.append(f"{desk.symbol} {leg.name.lower()} is in mode {one.mode.word}: {one.reason}")
        found.extend(f"{desk.symbol} {leg.name.lower()} has no stop" for leg in LEGS if desk.held(leg) and desk.stop(leg) is None)
    if daemon.alerts.counts()["undelivered"]:
        found.append(f"{daemon.alerts.counts()['undelivered']} alerts could not be delivered")
    return found


def faults(daemon: Daemon) -> list[str]:
    """What is wrong with the components that the heart does not see: the line to the exchange, and plugins."""
    dumb = daemon.source is not None and daemon.ready and not daemon.source.health().connected
    bad = [row for row in daemon.hosts.rows() if row["state"] in BAD_PLUGIN]
    return ["the exchange is not connected"] * dumb + [f"plugin {row['file']}: {row['state']}: {row['reason']}" for row in bad]


def _recovery(daemon: Daemon) -> dict[str, Any]:
    """The staged return: where it stands, when the next step may come, what blocks it, and what came of the stage paper."""
    engine = daemon.engine
    back, due = engine.recovery, engine.recovery.due()
    return {
        "stage": back.stage,
        "size_factor": back.size_factor,
        "next_stage_at": iso(due) if due else None,
        "blocked_by": blocks(engine, faults=faults(daemon)) if due else [],
        "paper": engine.rehearsal.summary() if back.stage == STAGE else None,
    }


BAD_PLUGIN = frozenset({"refused", "quarantined", "error", "check_error"})


def _kill_switch(daemon: Daemon) -> dict[str, Any]:
    engine = daemon.engine
    kill = engine.kill
    return {
        "enabled": kill.enabled,
        "monitoring": kill.enabled and any(guard.state != "disarmed" for guard in engine.panel.guards.values()),
        "active": kill.active,
        "durable": kill.durable,
        "level": kill.level.name.lower() if kill.active else None,
        "on_activate": kill.on_activate.name.lower(),
        "phase": kill.phase,
        "flatten_in_progress": any(flatten.phase != "flat" for flatten in engine.flattens),
        "reason": kill.reason or None,
        "later": list(kill.later),
        "source": kill.source or None,
        "actor": kill.actor or None,
        "since": iso(kill.since) if kill.active else None,
        "env_engaged": kill.env_engaged,
    }


def session(daemon: Daemon) -> dict[str, Any]:
    """Baselines of session and day."""
    money = daemon.engine.account
    return {
        "started_at": iso(money.session.since),
        "start_equity_usdt": money.session.start,
        "peak_equity_usdt": money.session.peak,
        "session_pnl_usdt": money.equity - money.session.start,
        "daily_reset_at": iso(money.day.since),
        "daily_start_equity_usdt": money.day.start,
        "daily_peak_equity_usdt": money.day.peak,
        "daily_pnl_usdt": money.equity - money.day.start,
    }


def account(daemon: Daemon) -> dict[str, Any]:
    """Money, margins and inventory."""
    engine = daemon.engine
    money, desks = engine.account, engine.desks.values()
    realized = sum(desk.books.realized for desk in desks)
    unrealized = sum(money.unrealized.values())
    fees, funding = sum(desk.books.fees for desk in desks), sum(desk.books.funding for desk in desks)
    long, short = (sum(desk.held_usdt(leg) for desk in desks) for leg in LEGS)
    maintenance, initial = margins(engine.exposure, money.equity)
    fills = engine.counts["fills"]
    return {
        "equity_usdt": money.equity,
        "wallet_usdt": money.wallet,
        "realized_pnl_usdt": realized,
        "unrealized_pnl_usdt": unrealized,
        "total_pnl_usdt": realized + unrealized - fees - funding,
        "funding_paid_usdt": funding,
        "fees_usdt": fees,
        "margin_ratio": maintenance,
        "initial_margin_use": initial,
        "drawdown_pct": money.drawdown() * 100,
        "long_inventory_usdt": long,
        "short_inventory_usdt": short,
        "net_inventory_usdt": long - short,
        "maker_ratio": engine.counts["maker_fills"] / fills if fills else None,
    }


def _instrument(daemon: Daemon, desk: Desk) -> dict[str, Any]:
    tick = desk.instrument.tick_size
    seen = desk.strategy.describe(desk.params, desk.state)
    entries = [order for order in desk.orders.open.values() if order.role == Role.ENTRY]
    return {
        "symbol": desk.symbol,
        "ready": desk.ready,
        "mark_price": None if desk.mark is None else desk.mark * tick,
        "regime": Regime(int(seen["regime"])).name.lower(),
        "strength": seen["strength"],
        "change_24h_pct": _known(seen["change_24h_pct"]),
        "grid_center": seen["center"] * tick if seen["center"] else None,
        "throttle": min(desk.throttle),
        "throttles": {"long": desk.throttle[0], "short": desk.throttle[1]},
        "paused": all(one.shut for one in desk.standing),
        "paused_legs": [leg.name.lower() for leg in LEGS if desk.standing[leg].shut],
        "halted": desk.halted or None,
        "ladders": {leg.name.lower(): sum(order.leg == leg for order in entries) for leg in LEGS},
        "open_orders": len(desk.orders.open),
        "long": _leg(desk, Leg.LONG),
        "short": _leg(desk, Leg.SHORT),
        "funding_rate": desk.funding_rate,
        "next_funding_at": iso(desk.next_funding),
        "funding_cost_1h_projected_usdt": funding_1h(desk),
        "basis_bps": desk.basis_bps(),
        "last_bar_at": iso(desk.bar.time) if desk.bar else None,
    }


def _known(value: float) -> float | None:
    return None if value != value else value


def funding_1h(desk: Desk) -> float | None:
    """Rate x notional / interval hours, summed over both legs, signed: positive = paid (row 83)."""
    if desk.funding_rate is None:
        return None
    net = desk.held_usdt(Leg.LONG) - desk.held_usdt(Leg.SHORT)
    return desk.funding_rate * net * 3_600_000 / desk.funding_interval_ms


def _leg(desk: Desk, leg: Leg) -> dict[str, Any]:
    view = desk.leg_view(leg)
    standing = desk.standing[leg]
    return {
        "mode": standing.mode.word,
        "mode_reason": standing.reason or None,
        "mode_source": standing.source or None,
        "mode_since": iso(standing.since) if standing.since else None,
        "qty": view.qty,
        "entry_price": view.entry_price if view.qty else None,
        "notional_usdt": view.notional_usdt,
        "unrealized_pnl_usdt": view.unrealized_usdt,
        "openers_usdt": view.openers_usdt,
        "stop_price": view.stop_price,
        "protected": view.protected,
        "funding_paid_usdt": desk.funding_cost[leg],
        "basis_at_entry_bps": desk.basis_at_entry[leg] if view.qty else None,
    }


def _exchange(daemon: Daemon) -> dict[str, Any]:
    engine = daemon.engine
    streams = [{"name": f"{desk.symbol}@{stream}", "age_ms": max(0, engine.now - desk.seen) if desk.seen else None}
               for desk in engine.desks.values() for stream in ("market",)]  # fmt: skip
    health = daemon.source.health() if daemon.source is not None else Health(True, (), 0, 0.0)
    return {
        "name": daemon.exchange.name,
        "connected": health.connected,
        "streams": [stream._asdict() for stream in health.streams] or streams,
        "time_offset_ms": health.time_offset_ms,
        "weight_used_pct": health.weight_used_pct,
        "unknown_orders": sum(desk.orders.unknown() for desk in engine.desks.values()),
        "foreign_orders": len(engine.foreign),
    }


def percentile(ordered: list[float], part: float) -> float | None:
    """The value below which `part` of an ordered list lies; None of nothing."""
    return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3) if ordered else None


# --- Prometheus -----------------------------------------------------------------------------------------------------------

HELP: dict[str, str] = {
    "long_inventory_usdt": "Notional of all long legs at the mark price, USDT",
    "short_inventory_usdt": "Notional of all short legs at the mark price, USDT",
    "net_inventory_usdt": "Long minus short inventory, USDT",
    "active_rungs_long": "Entry orders resting or in flight on long legs",
    "active_rungs_short": "Entry orders resting or in flight on short legs",
    "open_orders": "Own orders resting or in flight",
    "margin_ratio": "Maintenance margin / margin balance; 1.0 is liquidation",
    "maker_ratio": "Fills as maker / all fills",
    "funding_rate_current": "Funding rate per interval, fraction",
    "funding_cost_1h_projected_usdt": "Rate x notional / interval hours, both legs, positive is paid, USDT",
    "realized_pnl_usdt": "Realized profit before fees and funding, USDT",
    "unrealized_pnl_usdt": "Unrealized profit at the mark price, USDT",
    "total_pnl_usdt": "Realized + unrealized - fees - funding, USDT",
    "uptime_seconds": "Seconds since the daemon started",
    "last_bar_timestamp": "Completion of the newest bar, seconds since the epoch",
}


def metrics(document: dict[str, Any]) -> dict[str, float | None]:
    """The fifteen figures of document 003, out of a status document."""
    money, instruments = document["account"], document["instruments"]
    named = {name: money.get(name) for name in HELP}
    named["uptime_seconds"] = document["uptime_seconds"]
    named["active_rungs_long"] = sum(item["ladders"]["long"] for item in instruments)
    named["active_rungs_short"] = sum(item["ladders"]["short"] for item in instruments)
    named["open_orders"] = sum(item["open_orders"] for item in instruments)
    costs = [item["funding_cost_1h_projected_usdt"] for item in instruments]
    named["funding_cost_1h_projected_usdt"] = None if None in costs else sum(costs)
    named["funding_rate_current"] = instruments[0]["funding_rate"] if instruments else None
    bars = [item["last_bar_at"] for item in instruments if item["last_bar_at"]]
    named["last_bar_timestamp"] = ms(max(bars)) / 1000 if bars else None
    return named


def exposition(document: dict[str, Any]) -> str:
    """The same in Prometheus text format; a figure that is unknown is NaN."""
    lines = []
    for name, value in metrics(document).items():
        shown = "NaN" if value is None else f"{float(value):.17g}"
        lines += [f"# HELP hedgegridd_{name} {HELP[name]}", f"# TYPE hedgegridd_{name} gauge", f"hedgegridd_{name} {shown}"]
    return "\n".join(lines) + "\n"
