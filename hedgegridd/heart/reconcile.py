"""Reconciliation: put our books right by the exchange's own picture. One law: the exchange is the truth.

Pure: a report and a desk in, findings out; the engine applies and journals them. An order is called gone only when a report
taken after it was sent does not list it.
"""

from __future__ import annotations

from typing import NamedTuple

from hedgegridd.heart.desk import LEGS, Desk
from hedgegridd.heart.orders import parse
from hedgegridd.model import Held, Order, OrderState, Report, Role

ENTRY_TICKS = 1e-3  # less is how an exchange rounds an average


class Finding(NamedTuple):
    """One difference: kind found|resized|gone|orphan|foreign|drift|entry."""

    kind: str
    order: Order | None = None
    held: Held | None = None


def compare(desk: Desk, report: Report) -> list[Finding]:
    """Every difference between what we believe of one symbol and what the exchange reports."""
    theirs = {order.client_id: order for order in report.orders if order.symbol == desk.symbol}
    return [*_ours(desk, report, theirs), *_theirs(desk, theirs), *_legs(desk, report)]


def _ours(desk: Desk, report: Report, theirs: dict[str, Order]) -> list[Finding]:
    """Orders we believe in: UNKNOWN ones that rest after all, those of another size (an answer was lost), and those that rest no more."""
    findings = []
    for name, mine in desk.orders.open.items():
        listed = theirs.get(name)
        if listed is not None and mine.state in (OrderState.UNKNOWN, OrderState.SENT):
            findings.append(Finding("found", listed))
        elif listed is not None and listed.qty != mine.qty and mine.role != Role.STOP and name not in desk.orders.ending:
            findings.append(Finding("resized", listed))
        elif listed is None and mine.state in (OrderState.UNKNOWN, OrderState.LIVE) and (report.since or report.time) >= mine.time:
            findings.append(Finding("gone", mine))
    return findings


def _theirs(desk: Desk, theirs: dict[str, Order]) -> list[Finding]:
    """Orders that rest and that we do not know: ours by their id, or another hand's."""
    strange = [order for name, order in theirs.items() if name not in desk.orders.open]
    return [Finding("orphan" if parse(order.client_id) else "foreign", order) for order in strange]


def _legs(desk: Desk, report: Report) -> list[Finding]:
    """Legs whose quantity the books cannot explain; or whose average entry is another, where fills were heard in another order."""
    reported = {held.leg: held for held in report.held if held.symbol == desk.symbol}
    findings = []
    for leg in LEGS:
        held = reported.get(leg) or Held(desk.symbol, leg, 0, 0.0)
        if held.qty != desk.held(leg):
            findings.append(Finding("drift", held=held))
        elif held.qty and abs(held.entry - desk.entry(leg)) > ENTRY_TICKS:
            findings.append(Finding("entry", held=held))
    return findings
