"""The answers of reading verbs as text: the columns that a person looks for. One law: `--json` has everything, a line fits a terminal.

Pure functions from a result to lines; an answer of another shape raises, and `text.render` then shows it by its shape. What there is
none of is '-'; what is not known stays '?'.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from hedgegridd.control import incident
from hedgegridd.control.text import UNKNOWN, Ink, account_lines, breaker_lines, cell, clean, duration, number, shape, table

Row = dict[str, Any]

NONE = "-"
#: Columns whose null says that there is none, not that it is unknown.
_ABSENT = frozenset({"reason", "client_id", "order_id", "stop_price", "entry_price", "value", "origin", "error", "mode"})
_ORDER = ("time", "symbol", "leg", "role", "side", "qty", "price", "filled", "state", "client_id")
_FILL = ("time", "symbol", "leg", "role", "side", "qty", "price", "fee", "realized", "maker", "reason", "client_id")
_RUNG = ("symbol", "leg", "role", "price", "qty", "client_id", "reason")
_LEG = ("symbol", "leg", "mode", "qty", "entry_price", "notional_usdt", "unrealized_pnl_usdt", "openers_usdt", "funding_paid_usdt",
        "stop_price", "protected")  # fmt: skip
_SETTING = ("path", "value", "origin")
_DRILL = ("id", "at", "mode", "result", "seconds", "failed", "actor")
_CHANNEL = ("name", "sent", "queued", "undelivered", "error")
_ALERT = ("time", "severity", "rule", "title")
_TEST = ("channel", "ok", "seconds", "error")
#: What is told of an act, in this order; its size and price come between.
_WHO, _REST = ("symbol", "leg", "role", "side"), ("name", "what", "level", "phase", "client_id", "actor", "reason", "text")
_OWN = frozenset({"seq", "time", "kind", "t", "qty", "price", *_WHO, *_REST})


def columns(rows: Iterable[Row], keys: Iterable[str], ink: Ink) -> list[str]:
    """A table of these keys, less those that no row says anything of."""
    rows = list(rows)
    said = [key for key in keys if any(row.get(key) not in (None, "", []) for row in rows)]
    return table([[_cell(key, row.get(key)) for key in said] for row in rows], [key.removesuffix("_usdt") for key in said], ink)


def _cell(key: str, value: Any) -> str:
    return NONE if value in ("", []) or (value is None and key in _ABSENT) else cell(key, value)


def _listed(verb: str, keys: tuple[str, ...], none: str, result: Row, ink: Ink) -> list[str]:
    rows = result[verb]
    return [ink(verb, "bold"), *columns(rows, keys, ink)] if rows else [none]


def _why(result: Row, ink: Ink) -> list[str]:
    hold, rows = result["hold"], result["why"]
    held = [f"{ink('openers are withheld', 'yellow')}: {clean(hold)}"] if hold else []
    return held + (columns(rows, _RUNG, ink) or ([] if held else ["every wished rung has its resting order"]))


def _pnl(result: Row, ink: Ink) -> list[str]:
    return account_lines({"account": result, "session": result["session"]})


def _alerts(result: Row, ink: Ink) -> list[str]:
    lines = [ink("channels", "bold"), *columns(result["channels"], _CHANNEL, ink), ink("alerts", "bold")]
    return [*lines, *(columns(result["alerts"], _ALERT, ink) or ["  none yet"])]


def _tested(result: Row, ink: Ink) -> list[str]:
    rows = [{"channel": name, **found} for name, found in result["channels"].items()]
    return columns(rows, _TEST, ink) or ["no alert channel: give one a table [alert.NAME]"]


def _armed(result: Row, ink: Ink) -> list[str]:
    """A breaker after a verb: its row, and its file where that is a stranger's."""
    file = clean(result.get("file") or "")
    return [*breaker_lines([{"state": UNKNOWN, **result, "name": result["name"]}], ink), *([f"  {file}"] if "/" in file else [])]


def _confirmed(result: Row, ink: Ink) -> list[str]:
    due = f"the next is due within {duration(result['left_seconds'])}" if result["enabled"] else "the dead man's switch is off"
    return [f"confirmed; {due}"]


def _reloaded(result: Row, ink: Ink) -> list[str]:
    return shape(result, ink) if result["changed"] else ["read again; nothing changed"]


def _ping(result: Row, ink: Ink) -> list[str]:
    return [f"pong: hedgegridd {clean(result['version'])}, pid {clean(result['pid'])}"]


# --- the journal ----------------------------------------------------------------------------------------------------------


def _tail(result: Row, ink: Ink) -> list[str]:
    rows = [[str(row["seq"]), cell("time", row["time"]), clean(row["kind"]), act(row)] for row in result["journal.tail"]]
    return table(rows, ("number", "time", "act", ""), ink) or ["no act of this kind in the journal"]


def act(row: Row) -> str:
    """An act in one line: who, how much at which price, and what else its kind says."""
    said = [clean(row[key]) for key in _WHO if row.get(key) not in (None, "")]
    if row.get("qty") is not None:
        said.append(number(row["qty"]))
    if row.get("price"):
        said.append(f"@ {number(row['price'])}")
    said += [clean(row[key]) for key in _REST if row.get(key) not in (None, "")]
    if not said:
        plain = {key: value for key, value in row.items() if key not in _OWN and isinstance(value, str | int | float)}
        said = [f"{clean(key)} {cell(key, value)}" for key, value in plain.items()]
    return " ".join(said)[:150]


# --- plugins --------------------------------------------------------------------------------------------------------------


def plugins(result: Row, ink: Ink) -> list[str]:
    """Folder by folder: in a path nobody finds the name."""
    folders: dict[str, list[Row]] = {}
    for row in result["plugins"]:
        folder, file = os.path.split(str(row["file"] or UNKNOWN))
        folders.setdefault(folder or "inside the daemon", []).append({**row, "file": file})
    lines = []
    for folder, rows in folders.items():
        lines += [ink(clean(folder), "bold"), *columns(rows, ("kind", "name", "state", "file", "reason"), ink)]
    return lines or ["no plugins"]


_list = partial(partial, _listed)
SCREENS: dict[str, Callable[[Row, Ink], list[str]]] = {
    "orders": _list("orders", _ORDER, "no order rests"),
    "fills": _list("fills", _FILL, "no fill yet"),
    "ladders": _list("ladders", _RUNG, "no rung is wished"),
    "positions": _list("positions", _LEG, "no instrument"),
    "drill": _list("drill", _DRILL, "no drill yet; hedgegridctl drill makes one"),
    "why": _why,
    "pnl": _pnl,
    "config": _list("config", _SETTING, "no settings"),
    "alerts": _alerts,
    "alert.test": _tested,
    "breakers.arm": _armed,
    "breakers.disarm": _armed,
    "confirm": _confirmed,
    "reload": _reloaded,
    "ping": _ping,
    "plugins": plugins,
    "journal.tail": _tail,
    "incident": incident.shown,
}
