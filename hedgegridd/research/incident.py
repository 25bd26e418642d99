"""An incident as the journal tells it: what stopped the account, on which inputs, what was done, and what proves the end.

One law: a pure function from records to plain JSON, and nothing in it that the records do not hold. What they do not tell is
None, never zero. An incident is one activation of the kill switch, or one flatten outside of any; its id is the number of the
act that began it, which never changes. It reads no file, judges nobody, and leaves the findings to a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hedgegridd.journal.segments import CHECKPOINT, INPUT, KILL, Record
from hedgegridd.model import Bar, DiskFailed, Durable, Leg, Level, Mark, Role, Side
from hedgegridd.times import iso

SCHEMA = 1
BEFORE_MS = 600_000  #: how much of what came before the trigger is told
MOST_ALERTS = 200  #: told one by one, the oldest first
MOST_PRICES = 400  #: of one symbol; a thinned series keeps its first and last
HASH_SHOWN = 12  #: digits of a record's hash in the timeline
MARKS = (KILL, "flatten", "flat")  #: kinds of act that begin or end an incident
FINDINGS = ("what_happened", "why_it_happened", "impact", "what_is_changed", "written_by", "reviewed_by")

Document = dict[str, Any]


class Span(NamedTuple):
    """One incident in the journal, by its acts. `last` = the act that ended it, None while it goes on."""

    first: Record
    last: Record | None

    @property
    def id(self) -> int:
        return self.first.seq


def spans(acts: Iterable[Record]) -> list[Span]:
    """Every incident of these acts, oldest first; only those of the kinds in `MARKS` are looked at."""
    found: list[Span] = []
    begun: Record | None = None
    for act in acts:
        if act.kind not in MARKS:
            continue
        if begun is None and _begins(act):
            begun = act
        elif begun is not None and _ends(begun, act):
            found.append(Span(begun, act))
            begun = act if _begins(act) else None
    return [*found, Span(begun, None)] if begun is not None else found


def _begins(act: Record) -> bool:
    return bool(act.data["active"]) if act.kind == KILL else act.kind == "flatten"


def _ends(begun: Record, act: Record) -> bool:
    """A kill switch ends when a person lets it go, a flatten beside it when the exchange says zero, or when the switch takes over."""
    if begun.kind == KILL:
        return bool(act.kind == KILL and not act.data["active"])
    return act.kind == "flat" or (act.kind == KILL and _begins(act))


def row(span: Span) -> Document:
    """One line of the list."""
    first, last = span
    return {"id": span.id, "time": iso(first.time), "ended": iso(last.time) if last else None, **_named(first)}


def _named(act: Record) -> Document:
    """Source, actor, level and reason of the act that began it."""
    if act.kind != KILL:
        return {"source": "flatten", "actor": None, "level": "flatten", "reason": act.data["reason"]}
    data = act.data
    return {
        "source": data["source"] or None,
        "actor": data["actor"] or None,
        "level": Level(data["level"]).name.lower(),
        "reason": data["reason"],
    }


# --- the document ---------------------------------------------------------------------------------------------------------


class Sizes(NamedTuple):
    """Tick and lot of one symbol, in USDT and coins."""

    tick: float
    lot: float


class Beside(NamedTuple):
    """What stands beside the records: `integrity` = what the reader found of their hashes, `breakers` and `next` as the replay tells
    them (`standing`), `mark` = of the sync that covers the first act (None: `why` not), `alerts` = their deliveries (None: not kept).
    """

    integrity: Document
    breakers: list[Document]
    next: Document
    mark: int | None = None
    why: str = ""
    alerts: list[Document] | None = None


def document(span: Span, records: Sequence[Record], beside: Beside) -> Document:
    """The whole incident of these records (acts, inputs decoded, checkpoints; in the order of their numbers)."""
    state = state_of(records)
    sizes = _sizes(state)
    acts = [record for record in records if record.kind not in (INPUT, CHECKPOINT)]
    inputs = [record for record in records if record.kind == INPUT]
    within = [act for act in acts if act.seq >= cause_of(span, acts).seq]
    marks = _prices(inputs, sizes)
    return {
        "schema": SCHEMA,
        **row(span),
        "version": state.get("version"),
        "mode": _mode(state, acts),
        "trigger": _trigger(span, acts, beside.breakers),
        "breakers": beside.breakers,
        "next_breaker": beside.next,
        "timeline": [_line(act) for act in acts],
        "orders": [_order(act, sizes, inputs) for act in within if act.kind == "order"],
        "fills": [_fill(act, sizes, inputs, acts) for act in within if act.kind == "fill"],
        "prices": {symbol: _thinned(found) for symbol, found in marks.items()},
        "certificates": [_certificate(act) for act in within if act.kind == "flat"],
        "other_trips": _other_trips(span, acts),
        "alerts": None if beside.alerts is None else [_alert(one) for one in beside.alerts[:MOST_ALERTS]],
        "alerts_left_out": max(0, len(beside.alerts or ()) - MOST_ALERTS),
        "end": _end(span, within),
        "durable": _durable(span, inputs, beside),
        "integrity": beside.integrity,
        "findings": dict.fromkeys(FINDINGS, ""),
    }


def state_of(records: Sequence[Record]) -> Document:
    """The newest checkpoint's state before anything else; {} where none is kept."""
    return next((dict(one.data["state"]) for one in records if one.kind == CHECKPOINT and one.data.get("state")), {})


def _sizes(state: Document) -> dict[str, Sizes]:
    rows = [(one["symbol"], one.get("filters") or {}) for one in state.get("config", {}).get("instrument", [])]
    return {symbol: Sizes(of["tick_size"], of["lot_size"]) for symbol, of in rows if of.get("tick_size") and of.get("lot_size")}


def _mode(state: Document, acts: Sequence[Record]) -> str | None:
    told = [str(act.data["mode"]) for act in acts if act.kind == "start"]
    return told[0] if told else state.get("config", {}).get("mode")


# --- the trigger ----------------------------------------------------------------------------------------------------------


def cause_of(span: Span, acts: Sequence[Record]) -> Record:
    """The trip or verb that the activation followed from, else the activation itself. Acts of one decision share their moment."""
    before: list[Record] = [act for act in acts if act.seq < span.first.seq and act.time == span.first.time]
    for act in before[::-1]:
        if act.kind == "trip" and _source(span) == f"breaker.{act.data['name']}":
            return act
        if act.kind == "verb" and act.data["name"] in ("activate", "flatten") and _asked(span, act):
            return act
    return span.first


def _asked(span: Span, verb: Record) -> bool:
    """Did this verb's own actor begin it? A breaker, a file or a signal of the same moment has another, or none."""
    return span.first.kind != KILL or span.first.data["actor"] == verb.data["actor"]


def _source(span: Span) -> str:
    return str(_named(span.first)["source"])


def _trigger(span: Span, acts: Sequence[Record], breakers: Sequence[Document]) -> Document:
    """What began it, with the figures it went by; the unit is the breaker's own, an act has none."""
    cause = cause_of(span, acts)
    said = {**_named(span.first), "seq": cause.seq, "time": iso(cause.time), "kind": cause.kind}
    if cause.kind == "trip":
        data = cause.data
        unit = next((one["unit"] for one in breakers if one["name"] == data["name"]), None) or None
        figures = {"value": data["value"], "threshold": data["threshold"], "unit": unit}
        return {**said, "breaker": data["name"], **figures, "inputs": data["inputs"]}
    if cause.kind == "verb":
        return {**said, "actor": cause.data["actor"] or None, "inputs": cause.data["params"]}
    return {**said, "inputs": cause.data}


def _other_trips(span: Span, acts: Sequence[Record]) -> list[Document]:
    """Breakers that tripped before or after, by the journal's own acts."""
    cause = cause_of(span, acts)
    keys = ("name", "level", "reason", "value", "threshold")
    trips = [act for act in acts if act.kind == "trip" and act.seq != cause.seq]
    return [{"seq": act.seq, "time": iso(act.time), "after": act.seq > cause.seq, **{key: act.data[key] for key in keys}} for act in trips]


# --- what was done --------------------------------------------------------------------------------------------------------


def _line(act: Record) -> Document:
    """An act in the timeline. A trip's inputs stand under the trigger and are not told twice."""
    data = {key: value for key, value in act.data.items() if key not in ("inputs", "certificate")}
    if act.kind == KILL:
        data["level"] = Level(data["level"]).name.lower()
    return {"seq": act.seq, "time": iso(act.time), "written": iso(act.wall), "kind": act.kind, "data": data, "hash": act.hash[:HASH_SHOWN]}


def _order(act: Record, sizes: dict[str, Sizes], inputs: Sequence[Record]) -> Document:
    data, size = act.data, sizes.get(act.data["symbol"])
    return {
        "seq": act.seq,
        "time": iso(act.time),
        "client_id": data["client_id"],
        "symbol": data["symbol"],
        "leg": Leg(data["leg"]).name.lower(),
        "role": Role(data["role"]).name.lower(),
        "side": Side(data["side"]).name.lower(),
        "price_usdt": data["price"] * size.tick if size and data["price"] else None,
        "qty_coins": data["qty"] * size.lot if size else None,
        "market_usdt": _market(act, data["symbol"], inputs, size),
    }


def _fill(act: Record, sizes: dict[str, Sizes], inputs: Sequence[Record], acts: Sequence[Record]) -> Document:
    """An execution, and what it cost against the market at the moment its order was decided; positive slippage is a loss."""
    data, size = act.data, sizes.get(act.data["symbol"])
    ordered = next((one for one in acts if one.kind == "order" and one.data["client_id"] == data["client_id"]), None)
    market = _market(ordered, data["symbol"], inputs, size) if ordered else None
    price = data["price"] * size.tick if size else None
    qty = data["qty"] * size.lot if size else None
    return {
        "seq": act.seq,
        "time": iso(act.time),
        "client_id": data["client_id"],
        "trade_id": data["trade_id"],
        "symbol": data["symbol"],
        "leg": Leg(data["leg"]).name.lower(),
        "role": Role(data["role"]).name.lower(),
        "side": Side(data["side"]).name.lower(),
        "price_usdt": price,
        "qty_coins": qty,
        "fee_usdt": data["fee"],
        "realized_pnl_usdt": data["realized"],
        "market_usdt": market,
        "slippage_usdt": None if price is None or qty is None or market is None else round((price - market) * data["side"] * qty, 8),
    }


def _certificate(act: Record) -> Document:
    """The proof of flat, times in ISO form."""
    made = dict(act.data.get("certificate") or {})
    proof = made.get("proof")
    if isinstance(proof, dict):
        made["proof"] = {key: iso(value) if key.endswith("_at") else value for key, value in proof.items()}
    return {"seq": act.seq, "time": iso(act.time), "reason": act.data.get("reason"), **made}


# --- the market -----------------------------------------------------------------------------------------------------------


def _market(act: Record, symbol: str, inputs: Sequence[Record], size: Sizes | None) -> float | None:
    """The newest mark, or close of a bar, that was known when this was decided."""
    for record in reversed(inputs):
        if record.seq < act.seq and isinstance(record.data, Bar | Mark) and record.data.symbol == symbol:
            return _price(record.data, size)
    return None


def _price(event: Bar | Mark, size: Sizes | None) -> float | None:
    if size is None:
        return None
    return round((event.close if isinstance(event, Bar) else event.price) * size.tick, 10)


def _prices(inputs: Sequence[Record], sizes: dict[str, Sizes]) -> dict[str, list[Document]]:
    """By symbol: each mark and each bar's close."""
    found: dict[str, list[Document]] = {}
    for record in inputs:
        if isinstance(record.data, Bar | Mark):
            symbol = record.data.symbol
            price = _price(record.data, sizes.get(symbol))
            if price is not None:
                of = "bar" if isinstance(record.data, Bar) else "mark"
                found.setdefault(symbol, []).append({"time": iso(record.data.time), "price_usdt": price, "of": of})
    return found


def _thinned(rows: list[Document]) -> list[Document]:
    if len(rows) <= MOST_PRICES:
        return rows
    last = len(rows) - 1
    return [rows[at * last // (MOST_PRICES - 1)] for at in range(MOST_PRICES)]


# --- the end --------------------------------------------------------------------------------------------------------------


def _end(span: Span, within: Sequence[Record]) -> Document:
    """Is it over, since when, by whom, and by which steps the account came back."""
    let_go = [act for act in within if act.kind == "verb" and act.data["name"] == "deactivate"]
    flat = next((act for act in within if act.kind == "flat"), None)
    stages = [{"seq": act.seq, "time": iso(act.time), **act.data} for act in within if act.kind == "stage"]
    last = span.last
    return {
        "over": last is not None,
        "time": iso(last.time) if last else None,
        "flat_at": iso(flat.time) if flat else None,
        "seconds_to_flat": round((flat.time - span.first.time) / 1000, 3) if flat else None,
        "deactivated_by": let_go[-1].data["actor"] or None if let_go and last else None,
        "reason": let_go[-1].data["params"].get("reason") if let_go and last else None,
        "stages": stages,
    }


def _durable(span: Span, inputs: Sequence[Record], beside: Beside) -> Document:
    """Did the disk confirm the act that began it? Its answer to a sync that covers the act, by the marks; None = not known."""
    mark = beside.mark
    asked = [] if mark is None else [one for one in inputs if one.seq > span.id and isinstance(one.data, Durable | DiskFailed)]
    answers = [one for one in asked if one.data.mark >= (mark or 0)]
    sure = next((one for one in answers if isinstance(one.data, Durable)), None)
    refused = next((one for one in answers if isinstance(one.data, DiskFailed)), None)
    silent = "no answer of the disk to a sync that covers this act is in the journal"
    return {
        "confirmed": True if sure else False if refused else None,
        "why": None if sure else f"the disk refused it: {refused.data.why}" if refused else beside.why or silent,
        "act": span.id,
        "mark": mark,
        "answered_mark": sure.data.mark if sure else None,
        "seq": sure.seq if sure else None,
        "time": iso(sure.time) if sure else None,
        "after_seconds": round((sure.wall - span.first.wall) / 1000, 3) if sure else None,
    }


def _alert(one: Document) -> Document:
    """An alert's way through one channel, times in ISO form."""
    return {key: iso(value) if key == "time" or key.endswith("_at") else value for key, value in one.items()}
