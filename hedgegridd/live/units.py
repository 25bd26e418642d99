"""An act as people read it. One law: prices and coins, never ticks and lots; what belongs to no known instrument stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hedgegridd.heart.desk import Desk
from hedgegridd.heart.orders import parse

#: Which figures of an act are ticks, and which are lots, by kind; of "reconciled" they may be either.
TICKS = {"order": ("price",), "fill": ("price",), "paper_fill": ("price",), "emergency_stop": ("trigger",), "signal": ("center",)}
LOTS = {"order": ("qty",), "fill": ("qty",), "paper_fill": ("qty",), "amend": ("qty",), "closing": ("qty", "shown")}
BELIEFS = ("believed", "reported")
DIGITS = 10  # decimals of a price or a quantity; no tick and no lot is finer


def plain(kind: str, data: Mapping[str, Any], desks: Mapping[str, Desk]) -> dict[str, Any]:
    """The act's data in USDT and coins; what is named by an order's id alone is of that id's symbol."""
    shown = {key: round(value, 8) if isinstance(value, float) else value for key, value in data.items()}
    if shown.get("actor") == "":
        shown["actor"] = "the daemon"
    if kind == "closing" and "lots" in shown:
        shown["qty"] = shown.pop("lots")
    desk = desks.get(_symbol(data))
    if desk is None:
        return shown
    tick, lot = desk.instrument.tick_size, desk.instrument.lot_size
    entry = kind == "reconciled" and data.get("what") == "entry"
    drift = kind == "reconciled" and not entry
    for keys, step in ((BELIEFS if entry else TICKS.get(kind, ()), tick), (BELIEFS if drift else LOTS.get(kind, ()), lot)):
        shown |= {key: round(data.get(key, shown[key]) * step, DIGITS) for key in keys if isinstance(shown.get(key), int | float)}
    if kind == "signal":
        shown["rungs"] = [[leg, role, round(price * tick, DIGITS), round(qty * lot, DIGITS)] for leg, role, price, qty in data["rungs"]]
    return shown


def _symbol(data: Mapping[str, Any]) -> str:
    rung = parse(str(data.get("client_id", "")))
    return str(data.get("symbol") or (rung.symbol if rung else ""))
