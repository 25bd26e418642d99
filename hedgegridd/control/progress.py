"""From `activate` to flat, as a person watches it. One law: flat is what the daemon says the exchange reported, nothing less.

It only looks: `status` again and again, and at the end the fills that closed the legs. What else takes long shows that it does (`waiting`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, TextIO

from hedgegridd.control.client import Client, Unreachable
from hedgegridd.control.protocol import LEGS, VERBS, Fault
from hedgegridd.control.text import clean

WAIT_SECONDS = 300.0  # until flat
GONE_SECONDS = 15.0  # a daemon that dies on the way to flat is started again and goes on
LOOK_SECONDS = (0.02, 0.05, 0.1, 0.2)  # between looks; the last one stays
_OVER = ("flat", "failed", "idle")

Held = dict[tuple[str, str], float]  # (symbol, leg) -> coins


def follow(client: Client, result: dict[str, Any], began: float, tell: Callable[[str], object] | None) -> dict[str, Any]:
    """Wait until the work of the kill switch is over; `result` with `flat`, `halted`, `legs_closed` and `seconds` since `began`.

    `tell` gets a line for each new phase. Raises Unreachable where the daemon is gone for too long.
    """
    held: Held = {}
    kill: dict[str, Any] = {}
    shown, looks, heard = "", 0, time.monotonic()
    while True:
        try:
            found = client.call("status", {}, VERBS["status"].patience)
            kill, heard = found.get("kill_switch", {}), time.monotonic()
            _note_held(found, held)
        except Unreachable as err:
            if time.monotonic() - heard > GONE_SECONDS:
                raise Unreachable(f"{err}. The kill switch is engaged, but nobody said that the account is flat") from None
        phase, seconds = str(kill.get("phase", "")), time.monotonic() - began
        if tell is not None and phase != shown:
            tell(f"{seconds:7.2f} s  {clean(phase)}")
            shown = phase
        if phase in _OVER or kill.get("active") is False or seconds > WAIT_SECONDS:
            return _ended(client, result, kill, held, seconds)
        time.sleep(LOOK_SECONDS[min(looks, len(LOOK_SECONDS) - 1)])
        looks += 1


@contextmanager
def waiting(what: str, stream: TextIO) -> Iterator[None]:
    """Tell every second for how long an answer has been waited for, on a line that is gone when it comes."""
    over, began = Event(), time.monotonic()

    def tick() -> None:
        while not over.wait(1.0):
            stream.write(f"\r\x1b[K{what}: {time.monotonic() - began:.0f} s")
            stream.flush()

    thread = Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        stream.write("\r\x1b[K")
        stream.flush()


def verdict(found: dict[str, Any]) -> list[str]:
    """How it ended, in one line."""
    kill, seconds = found["kill_switch"], found["seconds"]
    if found["flat"]:
        count = len(found["legs_closed"])
        legs = ", ".join(f"{clean(leg['symbol'])} {clean(leg['side'])} {leg['size']:.8g}" for leg in found["legs_closed"])
        return [f"flat: {count} leg{'' if count == 1 else 's'} closed{f' ({legs})' if legs else ''} in {seconds:.2f} s"]
    if found["halted"]:
        return [f"halted in {seconds:.2f} s: openers are refused and cancelled, take-profits and stops stay"]
    if kill.get("active") is False:
        return [f"somebody deactivated the kill switch after {seconds:.2f} s; see hedgegridctl status"]
    return [f"NOT FLAT after {seconds:.2f} s (phase {clean(kill.get('phase'))}): see hedgegridctl positions; the daemon goes on trying"]


def _ended(client: Client, result: dict[str, Any], kill: dict[str, Any], held: Held, seconds: float) -> dict[str, Any]:
    flat = kill.get("phase") == "flat"
    halted = kill.get("phase") == "idle" and bool(kill.get("active"))
    closed = _closed(client, kill, held) if flat else []
    if kill.get("durable"):  # by now: what the first answer said of the disk is over
        result = {**{key: said for key, said in result.items() if key != "warning"}, "durable": True}
    elif "durable" in kill:
        result = {**result, "durable": False}
    return {**result, "kill_switch": kill, "flat": flat, "halted": halted, "legs_closed": closed, "seconds": round(seconds, 3)}


def _note_held(found: dict[str, Any], held: Held) -> None:
    """Remember the most that was seen of each leg."""
    for row in found.get("instruments", ()):
        for leg in LEGS:
            size, key = (row.get(leg) or {}).get("qty") or 0, (str(row.get("symbol")), leg)
            if size > held.get(key, 0):
                held[key] = size


def _closed(client: Client, kill: dict[str, Any], held: Held) -> list[dict[str, Any]]:
    """The legs that were closed, by the fills since the switch was engaged; what was seen held, where those are not to be had."""
    sums: Held = {}
    since = {"since": kill["since"]} if kill.get("since") else {}
    try:
        fills = client.call("fills", since, VERBS["fills"].patience).get("fills", ())
    except (Fault, Unreachable):
        fills = ()
    for fill in fills:
        if fill.get("role") == "close":
            key = (str(fill.get("symbol")), str(fill.get("leg")))
            sums[key] = sums.get(key, 0) + fill.get("qty", 0)
    return [{"symbol": symbol, "side": leg, "size": size} for (symbol, leg), size in {**held, **sums}.items()]
