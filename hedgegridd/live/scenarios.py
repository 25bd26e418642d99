"""What a drill tries, and what must hold: a table of faults, and a judge. One law: the judge believes the tape and nothing else.

A tape is what happened in one twin, row by row: what was held, the order to stop and its acknowledgement, every order that reached
the twin's exchange, every fill, and how it ended. No row, no proof: what is not on the tape did not hold. Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hedgegridd.heart.desk import LEGS
from hedgegridd.model import Role, entry_side

Row = dict[str, Any]  #: {"t": seconds UTC, "what": ..., ...}
BAN_SECONDS, DISK_SECONDS, JUMP_PCT = 3.0, 2.0, 5.0


class Fault(NamedTuple):
    """What goes wrong in one twin as the order to stop comes. With none of these nothing does."""

    mutes: bool = False  #: market data end as the first close leaves
    ban_seconds: float = 0.0  #: the exchange refuses everything
    jump_pct: float = 0.0  #: the market jumps so far, or just beyond the stops where they lie farther
    disk_seconds: float = 0.0  #: the disk refuses journal and kill switch file
    refusals: int = 0  #: so many closes of each leg are refused
    halves: int = 0  #: so many closes of each leg, after those, are filled by half and then expire
    crash: bool = False  #: closes do not arrive, the process is killed with SIGKILL, the market goes on, another one takes up its state


class Scenario(NamedTuple):
    """One row of the table. Each of its faults is tried in a twin of its own."""

    name: str
    happens: str
    faults: tuple[Fault, ...]


SCENARIOS: dict[str, Scenario] = {
    row.name: row
    for row in (
        Scenario("kill", "the order to stop, and nothing goes wrong", (Fault(),)),
        Scenario("stream-loss", "market data end as the first close leaves, and do not come back", (Fault(mutes=True),)),
        Scenario("ban", f"the exchange refuses everything for {BAN_SECONDS:g} s", (Fault(ban_seconds=BAN_SECONDS),)),
        Scenario(
            "gap",
            f"the market jumps by -{JUMP_PCT:g} %, then in another twin by +{JUMP_PCT:g} %, through the stops",
            (Fault(jump_pct=-JUMP_PCT), Fault(jump_pct=JUMP_PCT)),
        ),
        Scenario(
            "crash",
            f"the process is killed with SIGKILL in mid-flatten and started again; meanwhile the market falls by {JUMP_PCT:g} %",
            (Fault(crash=True),),
        ),
        Scenario("disk", f"the disk refuses journal and kill switch file for {DISK_SECONDS:g} s", (Fault(disk_seconds=DISK_SECONDS),)),
        Scenario("thin", "closes are refused twice, then filled by half", (Fault(refusals=2, halves=1),)),
    )
}


class Finding(NamedTuple):
    """One thing that must hold, and whether it did. `seconds` from the order to stop, where it has a moment."""

    rule: str
    held: bool
    text: str
    seconds: float | None = None


def judge(tape: list[Row], deadline: float) -> list[Finding]:
    """Every rule, in the order of the table. `deadline`: seconds from the acknowledgement to flat."""
    return [rule(tape, deadline) for rule in RULES]


def _first(tape: list[Row], what: str) -> Row:
    """The first such row; {} where there is none."""
    return next((row for row in tape if row["what"] == what), {})


def _since(tape: list[Row], row: Row) -> float | None:
    begun = _first(tape, "begin")
    return round(row["t"] - begun["t"], 4) if begun and row else None


def _once_ordered(tape: list[Row]) -> list[Row]:
    """Everything since the order to stop."""
    at = next((i for i, row in enumerate(tape) if row["what"] == "begin"), None)
    return [] if at is None else tape[at:]


def _latched(tape: list[Row], _: float) -> Finding:
    """A durable acknowledgement finds the file written; one that says NOT durable is honest while the disk refuses, and made good."""
    rule, ack, end = "acknowledged = latched", _first(tape, "ack"), _first(tape, "end")
    if not ack:
        return Finding(rule, False, "the order to stop was never acknowledged")
    said = "durable" if ack["durable"] else "NOT durable"
    honest = ack["latched"] if ack["durable"] else ack["disk_refuses"]
    held = bool(honest and end.get("latched"))
    file = "active" if ack["latched"] else "not active"
    later = "active" if end.get("latched") else "not active"
    return Finding(rule, held, f"acknowledged as {said}, the twin's file then {file}, at the end {later}", _since(tape, ack))


def _flat_in_time(tape: list[Row], deadline: float) -> Finding:
    rule, ack, flat, end = "flat in time", _first(tape, "ack"), _first(tape, "flat"), _first(tape, "end")
    left = [f"{symbol} {LEGS[leg].name.lower()} {qty} lots" for symbol, leg, qty in end.get("held", ())]
    if not (ack and flat and end) or left or end["orders"]:
        rest = ", ".join(left) or f"{end.get('orders', 'an unknown number of')} own orders"
        return Finding(rule, False, f"not flat within {deadline:g} s: the twin's exchange still shows {rest}")
    took = flat["t"] - ack["t"]
    text = f"{took:.3f} s after the acknowledgement, of {deadline:g} s; the twin's exchange shows nothing held and nothing ordered"
    return Finding(rule, took <= deadline, text, _since(tape, flat))


def _never_more_than_held(tape: list[Row], _: float) -> Finding:
    held = {(symbol, leg): qty for symbol, leg, qty, _ in _first(tape, "held").get("legs", ())}
    fills = [row for row in tape if row["what"] == "fill"]
    for row in fills:
        key = (row["symbol"], row["leg"])
        opens = row["side"] == entry_side(row["leg"])
        held[key] = held.get(key, 0) + (row["qty"] if opens else -row["qty"])
        if held[key] < 0:
            text = f"{row['symbol']} {LEGS[row['leg']].name.lower()}: {-held[key]} lots more closed than held"
            return Finding("never more closed than held", False, text, _since(tape, row))
    return Finding("never more closed than held", bool(held), f"{len(fills)} fills, each within what its leg held")


def _no_opener(tape: list[Row], _: float) -> Finding:
    """None after the acknowledgement, and none between the order and it either: the gate is shut in memory first."""
    rule, rows = "no opener once ordered to stop", _once_ordered(tape)
    openers = [row for row in rows if row["what"] == "ask" and row["role"] == Role.ENTRY]
    asked = sum(row["what"] == "ask" for row in rows)
    if openers:
        return Finding(rule, False, f"{len(openers)} openers reached the twin's exchange", _since(tape, openers[0]))
    return Finding(rule, bool(rows) and bool(_first(tape, "ack")), f"{asked} orders reached the twin's exchange, none of them opens")


def _both_legs(tape: list[Row], _: float) -> Finding:
    """Every leg was held, and every leg was closed by fills."""
    legs = {(symbol, leg): bool(made) for symbol, leg, _, made in _first(tape, "held").get("legs", ())}
    closed = {(row["symbol"], row["leg"]) for row in tape if row["what"] == "fill" and row["side"] != entry_side(row["leg"])}
    symbols = {symbol for symbol, _ in legs}
    bare = [f"{symbol} {leg.name.lower()}" for symbol in sorted(symbols) for leg in LEGS if (symbol, int(leg)) not in closed & legs.keys()]
    made = sum(legs.values())
    text = f"{len(legs)} legs held and closed" + (f", {made} of them opened for the drill" if made else "")
    return Finding("both legs covered", bool(legs) and not bare, f"not closed: {', '.join(bare)}" if bare else text)


def certificate(tape: list[Row]) -> dict[str, Any] | None:
    """What the flatten's result certifies; None where it does not."""
    found: dict[str, Any] | None = (_first(tape, "end").get("result") or {}).get("certificate")
    return found


def _certified(tape: list[Row], _: float) -> Finding:
    """The flatten's result is journaled, and its certificate names the report that proves it flat."""
    rule, result, paper = "flatten certified", _first(tape, "end").get("result") or {}, certificate(tape) or {}
    good = result.get("status") == "flat" and bool(paper.get("proof", {}).get("reads"))
    if not good:
        return Finding(rule, False, "the journal has no certificate of it")
    cost = f"slippage {paper['slippage_usdt']:.2f} USDT, fees {paper['fees_usdt']:.2f} USDT"
    text = f"{len(result['closing_positions'])} closes, {result['cancelled_orders']} orders cancelled, {cost}"
    return Finding(rule, True, f"{text}, proven by {paper['proof']['reads']} reports")


def _booked(tape: list[Row], _: float) -> Finding:
    """Also those that nobody heard, for they came while the twin was dead."""
    unbooked = _first(tape, "end").get("unbooked")
    fills = sum(row["what"] == "fill" for row in tape)
    text = f"{fills} fills, all in its journal" if unbooked == [] else f"its journal does not know of {unbooked}"
    return Finding("every fill booked", unbooked == [], text)


def _replayed(tape: list[Row], _: float) -> Finding:
    end = _first(tape, "end")
    acts, wrong = end.get("acts", 0), end.get("mismatches")
    return Finding("its journal replays", bool(acts) and wrong == 0, f"{acts} acts compared, {wrong} differ")


def _kept_in(tape: list[Row], _: float) -> Finding:
    tries = _first(tape, "end").get("tries")
    text = "no connection and no file outside the twin's folder was tried" if tries == [] else f"tried: {tries}"
    return Finding("twin kept to itself", tries == [], text)


RULES: tuple[Callable[[list[Row], float], Finding], ...] = (
    _latched,
    _flat_in_time,
    _never_more_than_held,
    _no_opener,
    _both_legs,
    _certified,
    _booked,
    _replayed,
    _kept_in,
)


# --- told to people ---------------------------------------------------------------------------------------------------------


def text_of(report: dict[str, Any]) -> str:
    """A report as a person reads it."""
    lines = [f"drill {report['id']}  {report['result'].upper()}  mode {report['mode']}, by {report['actor']}, {report['seconds']:.1f} s"]
    for row in report["scenarios"]:
        lines += ["", f"{row['result'].upper():<4}  {row['scenario']}: {row['happens']}"]
        lines += _told(row["findings"])
    lines += ["", f"{report['live']['result'].upper():<4}  live", *_told(report["live"]["findings"])]
    return "\n".join(lines) + "\n"


def _told(findings: list[dict[str, Any]]) -> list[str]:
    def line(row: dict[str, Any]) -> str:
        moment = "" if row["seconds"] is None else f"{row['seconds']:8.3f} s"
        return f"      {'ok' if row['held'] else 'FAIL':<4}  {moment:<10}  {row['rule']}: {row['text']}"

    return [line(row) for row in findings]
