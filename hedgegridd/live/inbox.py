"""What the loop takes next. One law: the order in which things were told is kept; only what was told in one breath is taken in one.

A cancel-all answers with hundreds of ends. The heart looks at risk, orders and a flatten after every event; after each of these ends
it would find what it found after the one before, and the proof of flatness would wait for it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from hedgegridd.model import Cancelled, Ended


def taken(inbox: deque[Any]) -> Any:
    """The oldest event; of a row of ends all that are there already, as one."""
    event = inbox.popleft()
    if type(event) is not Cancelled:
        return event
    ends = [event]
    while inbox and type(inbox[0]) is Cancelled:
        ends.append(inbox.popleft())
    return event if len(ends) == 1 else Ended(max(end.time for end in ends), tuple(ends))
