"""What the exchange's reports are worth where they come over a network. One law: absence and difference are believed when two agree.

Such a report is read in several requests while orders fill, and lists lag. So what it lacks, or has otherwise than our books, is a
suspicion first: it is asked about again, by name, and believed when it stands for SETTLE_MS. What a report shows is believed at once.
A paper exchange reports from one memory in one moment: there everything is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hedgegridd.heart.account import Account
from hedgegridd.heart.desk import LEGS, Desk
from hedgegridd.heart.reconcile import Finding
from hedgegridd.model import Order, OrderState, Report

SETTLE_MS = 1_000  # how long a difference must stand
SENT_MS = 2_000  # an order sent later than this before a report may still be on its way
EVERY_MS = 5_000  # the exchange is asked at least so often
WALLET_MS = 90_000  # a difference of money: longer than income takes to be told
ROUNDING_USDT = 1e-5  # less than this is how the exchange rounds, not money that moved
NOTICED_USDT = 0.01


class Truth:
    """Suspicions, and what is settled of this life: `reported` = the first report was taken in, `based` = equity is the exchange's."""

    def __init__(self, network: bool) -> None:
        self.network = network
        self.suspects: dict[str, int] = {}  # finding -> when the first of the reports in a row that have it was begun
        self.deaf_since = 0
        self.reported = False
        self.based = not network

    def begin(self) -> None:
        """A new life: nothing is suspected, nothing is settled."""
        self.suspects.clear()
        self.deaf_since, self.reported = 0, False

    def sift(self, found: Iterable[tuple[Desk, Finding]], report: Report) -> list[tuple[Desk, Finding]]:
        """The findings to act on now; the others are suspected from here on."""
        if not self.network:
            return list(found)
        begun, kept, believed = report.since or report.time, dict[str, int](), []
        for desk, finding in found:
            if finding.kind in ("found", "foreign"):
                believed.append((desk, finding))
                continue
            name = _name(desk, finding)
            first = self.suspects.get(name, begun)
            if begun - first >= SETTLE_MS and _proven(finding, report, begun):
                believed.append((desk, finding))
            else:
                kept[name] = first
        self.suspects = {name: first for name, first in self.suspects.items() if name.startswith("wallet")} | kept
        return believed

    def stands(self, name: str, begun: int, wait_ms: int) -> bool:
        """Has this been suspected, report after report, for so long? Suspects it where it was not."""
        first = self.suspects.setdefault(name, begun)
        if begun - first < wait_ms:
            return False
        del self.suspects[name]
        return True

    def vouched(self, client_id: str) -> None:
        """The exchange has just spoken of this order: a report that was begun earlier does not prove it gone."""
        self.suspects.pop(f"gone {client_id}", None)

    def clear(self, prefix: str, but: str = "") -> None:
        """No longer suspected: everything whose name begins so."""
        for name in [name for name in self.suspects if name.startswith(prefix) and name != but]:
            del self.suspects[name]

    def doubted(self, desks: Iterable[Desk]) -> tuple[Order, ...]:
        """The orders to be asked for by name: nobody knows their state, or a list did not show them."""
        return tuple(
            order
            for desk in desks
            for order in desk.orders.open.values()
            if order.state == OrderState.UNKNOWN or f"gone {order.client_id}" in self.suspects
        )

    def hasty(self) -> bool:
        """Is something to be asked again soon?"""
        return any(not name.startswith(("wallet", "entry")) for name in self.suspects)

    def settled(self, report: Report, desks: Sequence[Desk]) -> bool:
        """May openers leave: nothing is unknown or suspected, and this report was begun after we could hear again?"""
        heard = (report.since or report.time) >= self.deaf_since
        return self.based and heard and not self.hasty() and not any(desk.orders.unknown() for desk in desks)

    def base(self, account: Account, report: Report, desks: Sequence[Desk], now: int) -> None:
        """Take the exchange's wallet for what the account began with. Not before every leg held has a mark: equity needs one."""
        if self.based or any(desk.mark is None and any(desk.held(leg) for leg in LEGS) for desk in desks):
            return
        account.begin(report.wallet, now)
        self.based = True

    def missing_money(self, account: Account, report: Report) -> float:
        """USDT by which the exchange's wallet differs from ours, once that has stood long enough to be believed; else 0."""
        difference = report.wallet - account.wallet
        name = f"wallet {difference:.6f}"
        self.clear("wallet", name)
        if not self.based or abs(difference) <= 1e-9 or self.hasty():
            return 0.0
        wait = SETTLE_MS if abs(difference) < ROUNDING_USDT else WALLET_MS
        return difference if self.stands(name, report.since or report.time, wait) else 0.0

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        return {"suspects": dict(self.suspects), "deaf_since": self.deaf_since, "reported": self.reported, "based": self.based}

    def load(self, data: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.suspects, self.deaf_since = dict(data["suspects"]), data["deaf_since"]
        self.reported, self.based = data["reported"], data["based"] or not self.network


def _name(desk: Desk, finding: Finding) -> str:
    """A finding's name: equal in two reports when nothing that it tells of has moved between them."""
    if finding.order is not None:
        size = f" {finding.order.qty}" if finding.kind == "resized" else ""
        return f"{finding.kind} {finding.order.client_id}{size}"
    assert finding.held is not None
    leg = finding.held.leg
    if finding.kind == "entry":
        return f"entry {desk.symbol} {leg} {finding.held.qty} {finding.held.entry:.3f} {desk.entry(leg):.3f}"
    return f"drift {desk.symbol} {leg} {desk.held(leg)} {finding.held.qty}"


def _proven(finding: Finding, report: Report, begun: int) -> bool:
    """An order is gone when the exchange, asked for it by name, does not know it, and it had time to arrive."""
    if finding.kind != "gone" or finding.order is None:
        return True
    return finding.order.client_id in report.absent and begun - finding.order.time >= SENT_MS
