"""The pulse: on a terminal, now and then one line that says what the daemon is doing.

One law: every figure is `status`'s own. A daemon of the system has its journal and `hedgegridctl watch`, and gets none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hedgegridd.heart.desk import LEGS
from hedgegridd.live import log, status

if TYPE_CHECKING:
    from hedgegridd.live.daemon import Daemon

EVERY_SECONDS = 10.0
FIRST_SECONDS = 2.0


class Pulse:
    """Call `show` as often as you like."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon, self.due = daemon, time.monotonic() + FIRST_SECONDS

    def show(self, _now: int) -> None:
        """A line per symbol, every ten seconds."""
        if time.monotonic() >= self.due and self.daemon.ready:
            self.due = time.monotonic() + EVERY_SECONDS
            for text in lines(status.status(self.daemon)):
                log.event("INFO", text)


def lines(document: dict[str, Any]) -> list[str]:
    """What is going on, one line per symbol, out of a status document."""
    money = f"equity {document['account']['equity_usdt']:,.2f} ({document['session']['daily_pnl_usdt']:+,.2f} today)"
    kill = document["kill_switch"]
    ends = f"kill switch ACTIVE: {kill['reason']}" if kill["active"] else money
    return [f"{_market(item)} | {', '.join(_leg(item, leg.name.lower()) for leg in LEGS)} | {ends}" for item in document["instruments"]]


def _market(item: dict[str, Any]) -> str:
    price = "no price yet" if item["mark_price"] is None else f"{item['mark_price']:,.10g}"
    when = f" {item['last_bar_at'][:16].replace('T', ' ')}" if item["last_bar_at"] else ""
    return f"{item['symbol']}{when} {price} {item['regime'] if item['ready'] else 'warming up'}"


def _leg(item: dict[str, Any], name: str) -> str:
    leg = item[name]
    held = f"{leg['qty']:.10g} @ {leg['entry_price']:,.1f}" if leg["qty"] else "flat"
    return f"{name} {held} ({item['ladders'][name]} rungs)"
