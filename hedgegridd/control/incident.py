"""An incident, or the list of all, as text for people. One law: it says what the document says; what that leaves open is shown as '?'.

Pure functions from the document that `hedgegridd report incident --json` and the verb `incident` answer. Whatever text comes from
outside loses its control characters.
"""

from __future__ import annotations

from typing import Any

from hedgegridd.control.text import PLAIN, UNKNOWN, Ink, breaker_lines, cell, clean, duration, moment, money, number, table

Document = dict[str, Any]

MOST_ACTS, MOST_ROWS, MOST_BREAKERS = 40, 20, 8  #: shown on a terminal; the page and --json have all


def shown(doc: Document, ink: Ink = PLAIN) -> list[str]:
    """One incident, or the list where no id was given."""
    return _listed(doc["incident"], ink) if "incident" in doc else _whole(doc, ink)


def _listed(rows: list[Document], ink: Ink) -> list[str]:
    found = [
        [number(row["id"]).replace(",", ""), moment(row["time"]), clean(row["level"]), clean(row["source"]),
         f"until {moment(row['ended'])}" if row["ended"] else ink("not over", "yellow"), clean(row["reason"])[:200]]
        for row in rows
    ]  # fmt: skip
    return table(found, ink=ink) or ["no incident in this journal"]


def _whole(doc: Document, ink: Ink) -> list[str]:
    sound = doc["integrity"]
    return [
        f"{ink('incident', 'bold')} {doc['id']}  {moment(doc['time'])}  mode {clean(doc['mode'] or UNKNOWN)}",
        *_trigger(doc["trigger"]),
        "",
        ink("breakers at that moment", "bold"),
        *(breaker_lines(doc["breakers"][:MOST_BREAKERS], ink) or ["  not known"]),
        f"  {clean(doc['next_breaker']['said'])}",
        "",
        ink("closed", "bold"),
        *_fills(doc, ink),
        *(line for one in doc["certificates"] for line in _certificate(one)),
        *([] if doc["certificates"] else ["certificate  none: the account was not proven flat"]),
        "",
        ink("timeline", "bold"),
        *_timeline(doc["timeline"], doc["id"], ink),
        "",
        ink("alerts", "bold"),
        *_alerts(doc, ink),
        "",
        *_end(doc),
        f"journal      {'hashes hold' if sound['verified'] else ink('NOT verified', 'red') + ': ' + clean(sound['why'])}, "
        f"records {sound['first_seq']} to {sound['last_seq']}",
        *(f"left out     {count} of {clean(name)}" for name, count in (doc.get("left_out") or {}).items()),
        *([f"page         {clean(doc['page'])}"] if doc.get("page") else []),
    ]


def _trigger(found: Document) -> list[str]:
    lines = [
        f"trigger      {clean(found['source'] or UNKNOWN)}, level {clean(found['level'])}, actor {clean(found['actor'] or '-')}",
        f"reason       {clean(found['reason'])[:400]}",
    ]
    if found.get("breaker"):
        unit = clean(found["unit"] or "(unit not known)")
        lines.append(f"measured     {number(found['value'])} of {number(found['threshold'])} {unit}")
    return [*lines, f"inputs       {_inputs(found['inputs'])}"]


def _inputs(inputs: Any) -> str:
    """The figures of the account, or what was asked; what is nested is in the page and the JSON."""
    flat = {key: value for key, value in inputs.items() if value is not None and key != "time" and not isinstance(value, dict | list)}
    return ", ".join(f"{clean(key)} {cell(key, value)}" for key, value in flat.items()) or "-"


def _fills(doc: Document, ink: Ink) -> list[str]:
    closes = [row for row in doc["fills"] if row["role"] != "entry"]
    rows = [
        [moment(row["time"]), clean(row["symbol"]), clean(row["leg"]), clean(row["role"]), number(row["qty_coins"]),
         f"at {number(row['price_usdt'])}", f"market {number(row['market_usdt'])}", f"slippage {money(row['slippage_usdt'])}",
         f"fee {money(row['fee_usdt'])}", f"realised {money(row['realized_pnl_usdt'])} USDT"]
        for row in closes[:MOST_ROWS]
    ]  # fmt: skip
    return [*(table(rows, ink=ink) or ["  nothing"]), *_more(closes, MOST_ROWS)]


def _more(rows: list[Any], most: int) -> list[str]:
    return [f"  and {len(rows) - most} more: see the page or --json"] if len(rows) > most else []


def _certificate(one: Document) -> list[str]:
    proof = one.get("proof") or {}
    costs = (
        f"fees {money(one.get('fees_usdt'))}, slippage {money(one.get('slippage_usdt'))}, realised {money(one.get('realized_pnl_usdt'))}"
    )
    reads = proof.get("reads", UNKNOWN)
    by = f"proven by {reads} read{'' if reads == 1 else 's'} of the exchange, heard {moment(proof.get('heard_at'))}"
    return [f"certificate  flat {moment(one['time'])}, {duration(one.get('seconds'))}; {costs} USDT", f"             {by}"]


def _timeline(acts: list[Document], own: int, ink: Ink) -> list[str]:
    """The newest acts from just before the trigger on; the trigger's own stands out."""
    at = next((at for at, act in enumerate(acts) if act["seq"] == own), 0)
    first = max(0, at - MOST_ACTS // 4)
    part = acts[first : first + MOST_ACTS]
    lines = [f"  {clean(act['time'])[11:23]}  {act['seq']:>8}  {clean(act['kind']):<12} {_told(act['data'])}" for act in part]
    before = [f"  {first} acts before: see the page or --json"] if first else []
    shown = [ink(line, "bold") if act["seq"] == own else line for act, line in zip(part, lines, strict=True)]
    return [*before, *shown, *_more(acts[first:], MOST_ACTS)]


def _told(data: Document) -> str:
    keys = ("name", "what", "level", "symbol", "client_id", "phase", "actor", "reason", "text")
    return " ".join(clean(data[key]) for key in keys if data.get(key) not in (None, ""))[:110]


def _alerts(doc: Document, ink: Ink) -> list[str]:
    if doc["alerts"] is None:
        return ["  not known: no record of deliveries is kept"]
    rows = [
        [moment(row["time"]), clean(row["severity"]), clean(row["title"])[:60], clean(row["channel"]), _fate(row)]
        for row in doc["alerts"][:MOST_ROWS]
    ]
    return [*(table(rows, ink=ink) or ["  none in this time"]), *_more(doc["alerts"], MOST_ROWS)]


def _fate(row: Document) -> str:
    """What became of an alert in a channel."""
    if row["delivered_at"]:
        return f"delivered {moment(row['delivered_at'])}"
    if row["given_up_at"]:
        return f"NOT delivered, given up {moment(row['given_up_at'])}: {clean(row['error'])}"
    return "not delivered yet" + (f": {clean(row['error'])}" if row["error"] else "")


def _end(doc: Document) -> list[str]:
    end, disk = doc["end"], doc["durable"]
    after = f", {duration(end['seconds_to_flat'])} after the trigger" if end["flat_at"] else ""
    let_go = f"over since {moment(end['time'])}, by {clean(end['deactivated_by'] or '-')}: {clean(end['reason'] or '-')}"
    kept = {None: f"not known: {clean(disk['why'])}", False: clean(disk["why"]),
            True: f"act {disk['act']} was on the disk {duration(disk['after_seconds'])} after it was written (sync {disk['answered_mark']} "
                  f"covers {disk['mark']})"}  # fmt: skip
    return [
        f"flat         {moment(end['flat_at']) if end['flat_at'] else 'never'}{after}",
        f"end          {let_go if end['over'] else 'not over'}",
        f"durable      {kept[disk['confirmed']]}",
    ]
