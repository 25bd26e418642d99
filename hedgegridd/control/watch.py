"""`hedgegridctl watch`: a live terminal screen. One law: it shows when its picture is old, and leaves the terminal as it was.

`screen` is pure: documents in, lines out. `run` asks each second and draws with plain ANSI; `q` or Ctrl-C leaves. It only
reads, so leaving it open hurts nobody.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import time
import tty
from typing import Any

from hedgegridd.control import text
from hedgegridd.control.client import Client, Unreachable
from hedgegridd.control.protocol import VERBS, Fault
from hedgegridd.control.text import Ink, clean, measure, money, number

REFRESH_SECONDS = 1.0
RUNGS = 5  # on each side of the price
_ENTER, _LEAVE, _HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l", "\x1b[H", "\x1b[K", "\x1b[J"

Docs = dict[str, dict[str, Any]]  # verb -> its last answer
_READS: tuple[tuple[str, dict[str, Any]], ...] = (("status", {}), ("ladders", {}), ("fills", {"limit": 8}), ("alerts", {"limit": 5}))


def run(client: Client, ink: Ink) -> int:
    """Draw until the user leaves. 2 where there is no terminal to draw on."""
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        sys.stderr.write("hedgegridctl: watch needs a terminal; for scripts there is: hedgegridctl status --json\n")
        return 2
    before = termios.tcgetattr(0)
    sys.stdout.write(_ENTER)
    try:
        tty.setcbreak(0)
        _loop(client, ink)
    except KeyboardInterrupt:  # one way of leaving
        pass
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
    return 0


def _loop(client: Client, ink: Ink) -> None:
    docs: Docs = {}
    heard = 0.0
    while True:
        trouble = ask(client, docs)
        heard = heard if trouble else time.monotonic()
        age = f"{trouble}; what you see is {text.duration(time.monotonic() - heard)} old" if trouble and heard else trouble
        size = shutil.get_terminal_size()
        lines = screen(docs, age, ink)[: size.lines - 1]
        drawn = [fit(line, size.columns) + _CLEAR_LINE for line in lines]
        sys.stdout.write(_HOME + "\r\n".join(drawn) + _CLEAR_BELOW)
        sys.stdout.flush()
        if select.select([0], [], [], REFRESH_SECONDS)[0] and os.read(0, 64)[:1] in (b"q", b"Q", b"\x04", b""):
            return


def ask(client: Client, docs: Docs) -> str:
    """Put the newest answers into `docs`; what went wrong, '' = nothing. A verb refused leaves its old answer out."""
    for verb, params in _READS:
        try:
            docs[verb] = client.call(verb, params, VERBS["status"].patience)
        except Unreachable as err:
            return f"daemon not reachable: {err}"
        except Fault as err:
            docs.pop(verb, None)
            if verb == "status":
                return str(err)
    return ""


def screen(docs: Docs, trouble: str, ink: Ink) -> list[str]:
    """The whole screen as lines: what is wrong, kill switch, money, breakers, each symbol with its ladder, fills, alerts."""
    doc = docs.get("status")
    warning = [ink(f" {clean(trouble)} ", "alarm")] if trouble else []
    if doc is None:
        return [*warning, "waiting for the daemon", "", ink("q leaves", "dim")]
    lines = [*warning, text.headline(doc, ink), *text.kill_lines(doc.get("kill_switch", {}), ink)]
    lines += [f"{ink('degraded', 'yellow')}     {clean(reason)}" for reason in doc.get("degraded", ())]
    have, day = doc.get("account", {}), doc.get("session", {})
    lines += [
        f"equity {money(have.get('equity_usdt'))} USDT  total pnl {money(have.get('total_pnl_usdt'))}  "
        f"today {money(day.get('daily_pnl_usdt'))}  drawdown {measure(have.get('drawdown_pct'))} %",
        "",
        *text.guard_lines(doc.get("breakers", ()), ink),
    ]
    rungs = docs.get("ladders", {}).get("ladders", [])
    for row in doc.get("instruments", ()):
        mine = [rung for rung in rungs if rung.get("symbol") == row.get("symbol")]
        lines += ["", *text.instrument(row, ink), *ladder(row.get("mark_price"), mine, ink)]
    lines += _recent("last fills", docs.get("fills", {}).get("fills", [])[-8:], _FILL, ink)
    lines += _recent("alerts", docs.get("alerts", {}).get("alerts", [])[-5:], _ALERT, ink)
    return [*lines, "", ink("q leaves", "dim")]


_FILL = ("time", "symbol", "leg", "role", "side", "qty", "price", "fee", "realized")
_ALERT = ("time", "severity", "title")


def ladder(price: Any, rungs: list[dict[str, Any]], ink: Ink) -> list[str]:
    """The rungs next to the price, highest first, the price between them; a rung that does not rest yet is marked."""
    if not rungs or not isinstance(price, (int, float)):
        return []
    ordered = sorted((rung for rung in rungs if isinstance(rung.get("price"), (int, float))), key=lambda rung: -rung["price"])
    above = [rung for rung in ordered if rung["price"] > price]
    below = [rung for rung in ordered if rung["price"] <= price]
    rows = [_rung(rung) for rung in above[-RUNGS:]]
    rows.append([f"{price:,.8g}", "<- mark", "", "", ""])
    rows += [_rung(rung) for rung in below[:RUNGS]]
    return text.table(rows, ink=ink, indent="    ")


def _rung(rung: dict[str, Any]) -> list[str]:
    resting = "" if rung.get("client_id") else "not resting"
    return [number(rung["price"]), clean(rung.get("leg", "")), clean(rung.get("role", "")), number(rung.get("qty")), resting]


def _recent(title: str, rows: list[dict[str, Any]], keys: tuple[str, ...], ink: Ink) -> list[str]:
    if not rows:
        return []
    return ["", ink(title, "bold"), *text.table([[text.cell(key, row.get(key, "")) for key in keys] for row in reversed(rows)], ink=ink)]


def fit(line: str, columns: int) -> str:
    """Cut to the terminal's width; colours take no room and are always ended."""
    out, room, i = [], columns, 0
    while i < len(line) and room:
        end = line.find("m", i) + 1 if line[i] == "\x1b" else i + 1
        out.append(line[i:end])
        room -= line[i] != "\x1b"
        i = end
    return "".join(out) + ("\x1b[0m" if i < len(line) and "\x1b" in line else "")
