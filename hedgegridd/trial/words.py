"""A trial in words. One law: no claim beyond the document's figures; an estimate is called one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Ink = Callable[[str, str], str]  #: (text, colour) -> text

MOST_SHOWN = 5


def plain(text: str, _colour: str) -> str:
    """No colours."""
    return text


def moment(text: str | None) -> str:
    """`2025-01-01 04:05:06`."""
    return f"{text[:10]} {text[11:19]}" if text else "?"


def span(seconds: float) -> str:
    """`14 days`, `3 hours`, `5 minutes`, `8 s`."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.3g} {name}s"
    return f"{seconds:.3g} s"


def times(count: int) -> str:
    """`once`, `3 times`."""
    return "once" if count == 1 else f"{count:,} times"


def figure(value: float | None) -> str:
    """A measured figure."""
    return "?" if value is None else f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"


def share(fraction: float) -> str:
    """How much of the threshold, never rounded up to it."""
    return f"{math.floor(fraction * 1000) / 10:g} %"


def verdict(found: dict[str, Any]) -> str:
    """One line: what would have come of it."""
    if found["failed"]:
        return f"cannot be asked: {found['failed']}"
    if not found["asks"]:
        return next(iter(found["notes"]), "never asked")
    long = f"in {span(found['seconds'])}"
    if found["errors"] == found["asks"]:
        return f"fails whenever it is asked: {found['last_error']}"
    if found["trips"]:
        first = found["told"][0]
        reached = "" if first["value"] is None else f" at {figure(first['value'])} of {figure(first['threshold'])} {first['unit']}".rstrip()
        when = f"{moment(first['time'])} UTC{reached}, {first['level']}: {first['reason']}"
        return f"would have tripped {times(found['trips'])} {long}; the first {when}"
    if found["unknowns"] == found["asks"]:
        return f"knew nothing {long}: {found['last_unknown']}"
    failed = f"; it failed {times(found['errors'])}: {found['last_error']}" if found["errors"] else ""
    peak = found["peak"]
    near = f"; at its nearest {share(peak['fraction'])} of the threshold, {moment(peak['time'])} UTC" if peak else ""
    return f"would not have tripped {long}{near}{failed}"


def worth(effect: dict[str, Any]) -> str:
    """What the first trip that stops something would have brought."""
    saved = effect["saved_usdt"]
    if effect["kind"] == "none":
        return f"nothing: {effect['basis']}"
    if saved is None:
        return f"not known: {effect['basis']}"
    did = "saved" if saved >= 0 else "cost"
    guess = ", an estimate" if effect["kind"] == "estimate" else ""
    return f"would have {did} {abs(saved):,.2f} USDT{guess} ({effect['basis']})"


def text(document: dict[str, Any], ink: Ink = plain) -> list[str]:
    """The whole trial for a person."""
    lines = [ink(document["file"], "bold") + ("  shipped" if document.get("shipped") else "")]
    if document["failed"] and not document["runs"]:
        return [*lines, ink(f"does not load: {document['failed']}", "red")]
    for found in document["runs"]:
        lines += ["", *_run(found, ink)]
    return lines


def _run(found: dict[str, Any], ink: Ink) -> list[str]:
    colour = "red" if found["failed"] or found["errors"] else "yellow" if found["trips"] or found["unknowns"] else "green"
    rows = [
        (
            found["over"],
            f"{found['where']}, {found['mode']}" + (f", {moment(found['from'])} to {moment(found['to'])} UTC" * bool(found["asks"])),
        ),
        ("asked", f"{found['asks']:,} times, {found['unknowns']:,} unknown, {found['errors']:,} failed{_price(found)}"),
    ]
    for told in found["told"][:MOST_SHOWN]:
        rows += [("trip", ink(f"{moment(told['time'])} {told['level']}: {told['reason']}", "yellow")), ("", _inputs(told))]
    more = found["trips"] - min(len(found["told"]), MOST_SHOWN)
    rows += [("", f"and {more:,} more")] if more else []
    if found["near_misses"]:
        nearest = found["nearest"][0]
        rows.append(("near", f"{times(found['near_misses'])} without a trip, at most {share(nearest['fraction'])} of the threshold, "
                             f"{moment(nearest['time'])}"))  # fmt: skip
    rows += _now(found["now"])
    rows += _money(found)
    rows += [("note", note) for note in found["notes"]]
    return [ink(f"{found['name']}: {found['verdict']}", colour), *(f"  {name:<8}{value}" for name, value in rows)]


def _price(found: dict[str, Any]) -> str:
    if found["ask_ms_p50"] is None:
        return ""
    return f"; an ask takes {found['ask_ms_p50']:.3g} ms p50, {found['ask_ms_p99']:.3g} ms p99"


def _inputs(told: dict[str, Any]) -> str:
    """The figures that matter, on one line."""
    held = ", ".join(
        f"{one['symbol']} mark {figure(one['mark_price'])}, long {one['long_qty']:g}, short {one['short_qty']:g}" for one in told["held"]
    )
    line = "" if told["value"] is None else f"{figure(told['value'])} of {figure(told['threshold'])} {told['unit']}, "
    return f"{line}equity {told['equity_usdt']:,.2f} USDT; {held}"


def _now(now: dict[str, Any]) -> list[tuple[str, str]]:
    if now["state"] == "not asked":
        return []
    value = "" if now["value"] is None else f", {figure(now['value'])} of {figure(now['threshold'])} {now['unit']}".rstrip()
    return [("at end", f"{now['state']}{value}{': ' + now['reason'] if now['reason'] else ''}")]


def _money(found: dict[str, Any]) -> list[tuple[str, str]]:
    effect = found["effect"]
    if not found["asks"]:
        return []
    as_was = f"{found['equity_start_usdt']:,.2f} -> {found['equity_end_usdt']:,.2f} USDT, drawdown {found['max_drawdown_pct']:.2f} %"
    rows = [("equity", as_was), ("effect", worth(effect))]
    if effect["kind"] == "rerun":
        rows.insert(1, ("with it", f"-> {effect['equity_end_usdt']:,.2f} USDT, drawdown {effect['max_drawdown_pct']:.2f} %"))
    return rows
