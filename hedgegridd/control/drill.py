"""A drill as a person watches it. One law: its verdict is the daemon's report; what is shown meanwhile only passes the time.

The verb answers when the drill is over, which takes a while; until then `status`, on a line of its own, says how far it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Any

from hedgegridd.control.client import Client, Unreachable
from hedgegridd.control.protocol import VERBS, Fault
from hedgegridd.control.text import clean

LOOK_SECONDS = 0.25


def follow(path: str, ask: Callable[[], dict[str, Any]], tell: Callable[[str], object]) -> dict[str, Any]:
    """The report that `ask` answers; `tell` gets a line for each scenario that is done. Raises what `ask` raises."""
    answers: list[dict[str, Any] | Exception] = []
    thread = Thread(target=lambda: answers.append(_heard(ask)), daemon=True)
    thread.start()
    began, told = time.monotonic(), 0
    with Client(path) as client:
        while thread.is_alive():
            thread.join(LOOK_SECONDS)
            done = _done(client) if thread.is_alive() else []
            for row in done[told:]:
                tell(f"{time.monotonic() - began:7.2f} s  {clean(row['scenario'])}: {clean(row['result'])}")
            told = max(told, len(done))
    if isinstance(answers[0], Exception):
        raise answers[0]
    return answers[0]


def _heard(ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | Exception:
    try:
        return ask()
    except (Fault, Unreachable) as err:
        return err


def _done(client: Client) -> list[dict[str, Any]]:
    """The scenarios that are over, in their order."""
    try:
        running = client.call("status", {}, VERBS["status"].patience).get("drill", {}).get("running") or {}
    except (Fault, Unreachable):  # the verb's own line says what is wrong
        return []
    return list(running.get("done", ()))
