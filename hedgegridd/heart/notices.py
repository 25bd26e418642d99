"""The alerts: every text a person may be sent, one builder per rule. One law: a builder states facts it was given, in UTC.

Each is a pure function from facts (USDT, coins, percent, bps) to an `Alert`; `fields` carry the same facts for machines, as
JSON. Those with a threshold in `[alerts]` answer None below it; all comparisons are >=. It does not decide where an alert goes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hedgegridd.heart.breakers import Guard
from hedgegridd.model import Fill, Instrument, Leg, Level, Severity, Side
from hedgegridd.views import Alert, Trip

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL

#: Every rule and how loud it is.
RULES: dict[str, Severity] = {
    "kill_activated": CRITICAL,
    "kill_deactivated": WARNING,
    "breaker_tripped": CRITICAL,
    "breaker_near": WARNING,
    "breaker_unknown": WARNING,
    "breaker_error": WARNING,
    "breaker_would_trip": WARNING,
    "breaker_cleared": INFO,
    "flatten_started": CRITICAL,
    "flatten_done": CRITICAL,
    "flatten_failed": CRITICAL,
    "unprotected": CRITICAL,
    "emergency_stop_placed": CRITICAL,
    "large_loss": WARNING,
    "single_loss": WARNING,
    "high_funding": WARNING,
    "fill": INFO,
    "order_error": WARNING,
    "state_change": INFO,
    "position_size": CRITICAL,
    "day_loss": CRITICAL,
    "dead_man_warning": WARNING,
    "dead_man_acted": CRITICAL,
    "not_durable": CRITICAL,
    "disk_failed": CRITICAL,
    "plugin_quarantined": WARNING,
    "system_error": CRITICAL,
    "started": INFO,
    "stopped": INFO,
    "journal_head": INFO,
    "test": INFO,
}

#: The switch that silences a rule, in `[alerts]`. A rule without one is silenced by `alerts.enabled` only: nobody may switch off
#: by accident that the kill switch was engaged, that a flatten failed or that a leg stands unprotected.
SWITCHES: dict[str, str] = {
    "flatten_started": "alert_on_flatten",
    "flatten_done": "alert_on_flatten",
    "breaker_tripped": "alert_on_circuit_breaker",
    "breaker_near": "alert_on_breaker_near",
    "large_loss": "alert_on_large_loss",
    "single_loss": "alert_on_single_loss",
    "high_funding": "alert_on_high_funding",
    "position_size": "alert_on_position_size",
    "day_loss": "alert_on_day_loss",
    "fill": "alert_on_fills",
    "order_error": "alert_on_errors",
    "state_change": "alert_on_state_changes",
    "started": "alert_on_state_changes",
    "stopped": "alert_on_state_changes",
    "journal_head": "alert_on_journal_head",
}

#: What a trip or verb of each level does, in words.
ACTIONS: dict[Level, str] = {
    Level.WARN: "none, warning only",
    Level.PAUSE: "pause: openers withheld for now, closers and stops stay",
    Level.HALT: "halt: openers cancelled and refused, take-profits and stops stay",
    Level.FLATTEN: "flatten: openers and take-profits cancelled, both legs closed at once",
}


def wanted(alert: Alert, alerts: Any) -> bool:
    """Do the switches of `[alerts]` let this alert through? `alerts` has them as attributes; one it lacks is on."""
    return on(alert.rule, alerts)


def on(rule: str, alerts: Any) -> bool:
    """Is this rule switched on? Asked before a text is made."""
    return bool(getattr(alerts, "enabled", True)) and bool(getattr(alerts, SWITCHES.get(rule, ""), True))


# --- writing ------------------------------------------------------------------------------------------------------------


def utc(time: int) -> str:
    """ms since the epoch as people read it."""
    return datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def amount(value: float | None, unit: str = "") -> str:
    """A number as people read it: two decimals where its unit has cents or hundredths; None is `unknown`, never 0."""
    if value is None:
        return "unknown"
    if unit in ("USDT", "%", "bps"):
        return f"{value:.2f} {unit}"
    return f"{value:.10g} {unit}".rstrip()


def _leg(leg: int) -> str:
    """long or short."""
    return Leg(leg).name.lower()


def _place(symbol: str, leg: int) -> str:
    """A leg in words."""
    return f"{symbol} {_leg(leg)}"


def _share(part: float, whole: float) -> float:
    """Percent; of nothing left, everything."""
    return part / whole * 100 if whole > 0 else math.inf


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None


def _alert(time: int, rule: str, title: str, lines: Mapping[str, str], **fields: Any) -> Alert:
    text = "\n".join((f"Time: {utc(time)}", *(f"{label}: {value}" for label, value in lines.items() if value)))
    return Alert(time, RULES[rule], rule, title, text, fields)


# --- the kill switch and the breakers -----------------------------------------------------------------------------------


def kill_activated(time: int, level: Level, reason: str, source: str, actor: str = "") -> Alert:
    """The kill switch was engaged."""
    name = level.name.lower()
    lines = {"Reason": reason, "Source": source, "By": actor, "Action": ACTIONS[level]}
    return _alert(time, "kill_activated", f"Kill switch engaged: {name}", lines, level=name, reason=reason, source=source, actor=actor)


def kill_deactivated(time: int, reason: str, actor: str, disarmed: Sequence[str] = ()) -> Alert:
    """A person let it go; `disarmed` are the breakers still in breach that `--force` put aside until the next UTC day."""
    lines = {"Reason": reason, "By": actor, "Disarmed until the next UTC day": ", ".join(disarmed), "Action": "openers may leave again"}
    return _alert(time, "kill_deactivated", "Kill switch released", lines, reason=reason, actor=actor, disarmed=list(disarmed))


def breaker_tripped(time: int, breaker: str, trip: Trip, level: Level, unit: str = "") -> Alert:
    """A breaker's line was crossed. `unit` is that of its value and threshold."""
    lines = {
        "Breaker": breaker,
        "Value": amount(trip.value, unit),
        "Threshold": amount(trip.threshold, unit),
        "Action": ACTIONS[level],
        "Reason": trip.reason,
    }
    facts = {"value": trip.value, "threshold": trip.threshold, "unit": unit, "level": level.name.lower(), "reason": trip.reason}
    return _alert(time, "breaker_tripped", f"Breaker tripped: {breaker}", lines, breaker=breaker, **facts)


_NOTICED = {  # what a guard noticed -> rule, title, what is done about it
    "near": ("breaker_near", "Breaker near its threshold", "none yet"),
    "unknown": ("breaker_unknown", "Breaker is blind", "openers withheld; it trips at halt after its grace time"),
    "error": ("breaker_error", "Breaker is broken", "none: it guards nothing until it is mended"),
    "would_trip": ("breaker_would_trip", "New breaker would trip at once", "held back until `hedgegridctl breakers arm`"),
    "cleared": ("breaker_cleared", "Breaker no longer in breach", "none"),
}


def breaker_noticed(time: int, guard: Guard, kind: str, text: str) -> Alert:
    """A breaker has something to say that is no trip. `kind` is a key of the table above."""
    rule, title, action = _NOTICED[kind]
    measured = guard.value is not None and guard.threshold is not None
    lines = {
        "Breaker": guard.name,
        "Value": amount(guard.value, guard.unit) if measured else "",
        "Threshold": amount(guard.threshold, guard.unit) if measured else "",
        "Said": text,
        "Action": action,
    }
    facts = {"value": guard.value, "threshold": guard.threshold, "unit": guard.unit, "reason": text}
    return _alert(time, rule, f"{title}: {guard.name}", lines, breaker=guard.name, **facts)


# --- flatten and protection ---------------------------------------------------------------------------------------------


def flatten_started(time: int, reason: str, scope: Sequence[tuple[str, int]]) -> Alert:
    """Closing began; nothing is closed yet. `scope` = (symbol, leg) pairs."""
    legs = [_place(symbol, leg) for symbol, leg in scope]
    return _alert(time, "flatten_started", "Flatten started", {"Reason": reason, "Legs": ", ".join(legs)}, reason=reason, legs=legs)


def flatten_done(time: int, result: Mapping[str, Any], took_ms: int, scope: Sequence[tuple[str, int]] = ()) -> Alert:
    """The exchange reports zero. `result` has the keys of the verb's answer; each of its closing_positions has symbol, side
    (the leg), size (coins) and order_id."""
    closing = [dict(row) for row in result["closing_positions"]]
    closed = dict.fromkeys(f"{row['symbol']} {row['side']}" for row in closing)
    lines = {
        "Reason": result["reason"],
        "Legs": ", ".join(_place(symbol, leg) for symbol, leg in scope) or ", ".join(closed) or "none was held",
        "Orders cancelled": str(result["cancelled_orders"]),
        "Positions closed": str(len(closed)),
        "Details": "; ".join(f"{row['symbol']} {row['side']} {amount(row['size'])} (order {row['order_id']})" for row in closing),
        "Took": f"{took_ms / 1000:.1f} s",
        "Cost": _cost(result.get("certificate", {})),
    }
    facts = {"reason": result["reason"], "cancelled_orders": result["cancelled_orders"], "closing_positions": closing, "took_ms": took_ms}
    facts |= {"certificate": result["certificate"]} if result.get("certificate") else {}
    return _alert(time, "flatten_done", "Flat: the exchange reports zero", lines, **facts)


def _cost(certificate: Mapping[str, Any]) -> str:
    """Against the mark at the decision, and in fees; "" where nothing was closed."""
    if not certificate.get("legs"):
        return ""
    return f"{amount(certificate['slippage_usdt'], 'USDT')} against the mark, {amount(certificate['fees_usdt'], 'USDT')} in fees"


def flatten_failed(time: int, reason: str, phase: str, unresolved: Sequence[str]) -> Alert:
    """Past its deadline and not flat; the caller repeats it until it is. `unresolved`: what stands in the way, in words."""
    lines = {
        "Reason": reason,
        "Phase": phase,
        "Unresolved": "; ".join(unresolved) or "the exchange has not confirmed",
        "Action": "still trying, and paging again; close by hand at the exchange if this goes on",
    }
    return _alert(time, "flatten_failed", "FLATTEN_FAILED: not flat", lines, reason=reason, phase=phase, unresolved=list(unresolved))


def unprotected(time: int, symbol: str, leg: int, action: str = "its price is beyond the stop already: closing it at once") -> Alert:
    """A leg is held with no stop resting at the exchange, and `action` is being done about it."""
    where = _place(symbol, leg)
    return _alert(
        time, "unprotected", f"UNPROTECTED: {where}", {"Leg": where, "Action": action}, symbol=symbol, leg=_leg(leg), action=action
    )


def emergency_stop_placed(time: int, symbol: str, leg: int, stop_price: float) -> Alert:
    """EMERGENCY_SL_PLACED: a leg that lacked a stop is given one at `stop_price` USDT; 0 = too late for a stop, it is closed."""
    if not stop_price:
        return unprotected(time, symbol, leg)
    where = _place(symbol, leg)
    lines = {"Event": "EMERGENCY_SL_PLACED", "Leg": where, "Stop": amount(stop_price), "Why": "the leg was held with no stop"}
    facts = {"event": "EMERGENCY_SL_PLACED", "symbol": symbol, "leg": _leg(leg), "stop_price": stop_price}
    return _alert(time, "emergency_stop_placed", f"Emergency stop placed: {where}", lines, **facts)


# --- losses, size, funding: an alert from the threshold of `[alerts]` on, else None ------------------------------------------


def large_loss(time: int, symbol: str, leg: int, loss_usdt: float, alerts: Any) -> Alert | None:
    """One close lost this much USDT (positive = lost)."""
    threshold = alerts.large_loss_threshold_usdt
    if loss_usdt < threshold:
        return None
    lines = {"Leg": _place(symbol, leg), "Loss": amount(loss_usdt, "USDT"), "Threshold": amount(threshold, "USDT")}
    facts = {"symbol": symbol, "leg": _leg(leg), "loss_usdt": loss_usdt, "threshold_usdt": threshold}
    return _alert(time, "large_loss", f"Large loss: {amount(loss_usdt, 'USDT')}", lines, **facts)


def single_loss(time: int, symbol: str, leg: int, loss_usdt: float, equity_usdt: float, alerts: Any) -> Alert | None:
    """One close lost this share of equity."""
    share, threshold = _share(loss_usdt, equity_usdt), alerts.max_single_loss_pct
    if share < threshold:
        return None
    loss = f"{amount(share, '%')} of equity ({amount(loss_usdt, 'USDT')} of {amount(equity_usdt, 'USDT')})"
    lines = {"Leg": _place(symbol, leg), "Loss": loss, "Threshold": amount(threshold, "%")}
    facts = {"symbol": symbol, "leg": _leg(leg), "loss_usdt": loss_usdt, "loss_pct": _finite(share), "threshold_pct": threshold}
    return _alert(time, "single_loss", f"One close lost {amount(share, '%')} of equity", lines, **facts)


def day_loss(time: int, loss_usdt: float, day_start_equity_usdt: float, alerts: Any) -> Alert | None:
    """Equity fell this far since 00:00 UTC."""
    share, threshold = _share(loss_usdt, day_start_equity_usdt), alerts.max_daily_loss_pct
    if share < threshold:
        return None
    lines = {
        "Loss today": f"{amount(share, '%')} ({amount(loss_usdt, 'USDT')})",
        "Equity at 00:00 UTC": amount(day_start_equity_usdt, "USDT"),
        "Threshold": amount(threshold, "%"),
    }
    facts = {"loss_usdt": loss_usdt, "loss_pct": _finite(share), "threshold_pct": threshold}
    return _alert(time, "day_loss", f"Daily loss: {amount(share, '%')}", lines, **facts)


def position_size(time: int, symbol: str, leg: int, size_usdt: float, alerts: Any) -> Alert | None:
    """A leg is larger than it should be; `size_usdt` counts what is held, resting and in flight."""
    threshold = alerts.max_position_size_usd
    if size_usdt < threshold:
        return None
    where = _place(symbol, leg)
    lines = {"Leg": where, "Size": amount(size_usdt, "USDT"), "Threshold": amount(threshold, "USDT")}
    facts = {"symbol": symbol, "leg": _leg(leg), "size_usdt": size_usdt, "threshold_usdt": threshold}
    return _alert(time, "position_size", f"Position too large: {where}", lines, **facts)


def high_funding(time: int, symbol: str, leg: int, rate_8h_bps: float, cost_8h_usdt: float, alerts: Any) -> Alert | None:
    """Funding, scaled to 8 h, costs the paying leg this much."""
    threshold = alerts.high_funding_threshold_bps
    if rate_8h_bps < threshold:
        return None
    lines = {
        "Instrument": symbol,
        "Paying leg": _leg(leg),
        "Funding": f"{amount(rate_8h_bps, 'bps')} per 8 h",
        "Projected 8 h cost": amount(cost_8h_usdt, "USDT"),
        "Threshold": amount(threshold, "bps"),
    }
    facts = {"symbol": symbol, "leg": _leg(leg), "rate_8h_bps": rate_8h_bps, "cost_8h_usdt": cost_8h_usdt, "threshold_bps": threshold}
    return _alert(time, "high_funding", f"High funding: {amount(rate_8h_bps, 'bps')}", lines, **facts)


# --- trading ------------------------------------------------------------------------------------------------------------


def fill(time: int, instrument: Instrument, fill: Fill, realized: float) -> Alert:
    """An order executed; `realized` USDT. A `reason` of the fill (liquidation, adl) says that the exchange did it by itself."""
    did, qty, price = Side(fill.side).name, fill.qty * instrument.lot_size, fill.price * instrument.tick_size
    where = _place(fill.symbol, fill.leg)
    lines = {
        "Leg": where,
        "Did": f"{did} {amount(qty)} @ {amount(price)}",
        "Fee": amount(fill.fee, "USDT"),
        "Realized": amount(realized, "USDT"),
        "Order": fill.client_id or fill.order_id,
        "By the exchange": fill.reason,
    }
    facts = {"symbol": fill.symbol, "leg": _leg(fill.leg), "side": did, "qty": qty, "price": price, "fee_usdt": fill.fee}
    ids = {
        "realized_usdt": realized,
        "order_id": fill.order_id,
        "client_id": fill.client_id,
        "trade_id": fill.trade_id,
        "reason": fill.reason,
    }
    return _alert(time, "fill", f"Fill: {where} {did} {amount(qty)} @ {amount(price)}", lines, **facts, **ids)


def order_error(time: int, symbol: str, client_id: str, code: int, reason: str) -> Alert:
    """The exchange refused an order; `code` is its own."""
    lines = {"Instrument": symbol, "Order": client_id, "Code": str(code), "Reason": reason}
    return _alert(
        time, "order_error", f"Order refused: {symbol} {code}", lines, symbol=symbol, client_id=client_id, code=code, reason=reason
    )


def state_change(time: int, what: str, why: str = "") -> Alert:
    """Something people watch changed: a pause, a regime, a stage, a connection."""
    return _alert(time, "state_change", f"Changed: {what}", {"Why": why}, what=what, reason=why)


# --- people and machinery -----------------------------------------------------------------------------------------------


def dead_man_warning(time: int, left_ms: int) -> Alert:
    """Nobody confirmed for long: the dead man's switch will act."""
    left = f"{left_ms / 60_000:.0f} min"
    lines = {"Acts in": left, "To prevent it": "hedgegridctl confirm"}
    return _alert(time, "dead_man_warning", f"Dead man's switch: confirm within {left}", lines, left_ms=left_ms)


def dead_man_acted(time: int, action: str) -> Alert:
    """Nobody confirmed in time. `action` is halt or flatten."""
    lines = {"Why": "no sign of the operator", "Action": ACTIONS[Level[action.upper()]]}
    return _alert(time, "dead_man_acted", f"Dead man's switch acted: {action}", lines, action=action)


def not_durable(time: int, why: str) -> Alert:
    """The kill switch holds in memory but could not be written: a restart might not know of it."""
    lines = {"Why": why, "Action": "active, NOT durable: do not restart before the disk is sound"}
    return _alert(time, "not_durable", "Kill switch active, NOT durable", lines, reason=why)


def disk_failed(time: int, why: str) -> Alert:
    """The journal cannot be written."""
    lines = {"Why": why, "Action": "openers withheld until a write succeeds; cancels, stops and closes go on"}
    return _alert(time, "disk_failed", "Disk failed: openers withheld", lines, reason=why)


def plugin_quarantined(time: int, file: str, why: str) -> Alert:
    """A foreign file died too often and is asked no more."""
    lines = {"File": file, "Why": why, "Action": "asked no more; what it guarded counts as unknown"}
    return _alert(time, "plugin_quarantined", f"Plugin quarantined: {file}", lines, file=file, reason=why)


def system_error(time: int, error: str) -> Alert:
    """Something is as it should never be, and a person must look."""
    return _alert(time, "system_error", "System error", {"Error": error, "Action": "a person must look"}, error=error)


def started(time: int, mode: str, version: str, instance: str = "", kill_reason: str = "") -> Alert:
    """The daemon took up the account; `kill_reason` where it starts with the kill switch engaged."""
    lines = {"Mode": mode, "Version": version, "Instance": instance, "Kill switch": kill_reason and f"ENGAGED ({kill_reason})"}
    return _alert(time, "started", f"Started: {mode}", lines, mode=mode, version=version, instance=instance, kill_reason=kill_reason)


def stopped(time: int, reason: str, kept: Sequence[str] = ()) -> Alert:
    """A clean stop; `kept`: positions and orders that stay, in words."""
    lines = {"Reason": reason, "Kept": "; ".join(kept) or "nothing"}
    return _alert(time, "stopped", "Stopped", lines, reason=reason, kept=list(kept))


def journal_head(time: int) -> Alert:
    """Once a day: the shell writes the journal's head under it, so that what is cut off later can be told."""
    return _alert(time, "journal_head", "The journal's head", {"Keep it": "hedgegridctl journal verify --head HEAD proves it later"})


def test(time: int) -> Alert:
    """Proof that a channel delivers."""
    return _alert(time, "test", "Test alert", {"Action": "none: this only proves that this channel delivers"})
