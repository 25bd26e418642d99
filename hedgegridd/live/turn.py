"""Waiting for one's turn. One law: under a service manager a start waits for whoever has the account, it does not fail again and again.

Break-glass kills a daemon that hangs and closes the account itself; meanwhile that daemon is started again. A manager counts starts
that fail, and after some starts no more: where break-glass could not close everything, nobody would look after the rest.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from hedgegridd.errors import AlreadyRunning
from hedgegridd.live import log
from hedgegridd.live.notify import Notifier

Held = TypeVar("Held")
AGAIN_SECONDS, MORE_SECONDS = 0.1, 30.0
OVER_SECONDS = 60.0  # beyond a flatten's deadline: its end is written, and its process goes


async def in_turn(take: Callable[[], Held], env: Mapping[str, str], seconds: float) -> Held:
    """What `take` answers. Without a service manager, or after so many seconds, AlreadyRunning where another process has it."""
    notifier, begun, said = Notifier(env), time.monotonic(), -math.inf
    try:
        while True:
            try:
                return take()
            except AlreadyRunning as held:
                if not env.get("NOTIFY_SOCKET") or time.monotonic() - begun > seconds:
                    raise
                if time.monotonic() - said > MORE_SECONDS / 2:
                    log.event("WARNING", f"waiting for it to end: {held}")
                    notifier.status(f"waiting: {held}")
                    notifier.extend_timeout(MORE_SECONDS)
                    said = time.monotonic()
            await asyncio.sleep(AGAIN_SECONDS)
    finally:
        notifier.close()
