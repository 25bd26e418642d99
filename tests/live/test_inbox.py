"""What the loop takes next: the order is kept, and only ends that stand in a row become one."""

from __future__ import annotations

from collections import deque
from typing import Any

from hedgegridd.live.inbox import taken
from hedgegridd.model import Accepted, Cancelled, Ended


def end(name: str, time: int) -> Cancelled:
    return Cancelled(name, time, "cancelled")


def all_taken(*events: Any) -> list[Any]:
    inbox = deque(events)
    found = []
    while inbox:
        found.append(taken(inbox))
    return found


def test_ends_in_a_row_are_one_event_of_the_latest_time() -> None:
    assert all_taken(end("a", 5), end("b", 7), end("c", 6)) == [Ended(7, (end("a", 5), end("b", 7), end("c", 6)))]


def test_an_end_alone_is_itself() -> None:
    assert all_taken(end("a", 5)) == [end("a", 5)]


def test_nothing_overtakes_anything() -> None:
    accepted = Accepted("x", "1", 6)
    assert all_taken(end("a", 5), end("b", 5), accepted, end("c", 6), accepted) == [
        Ended(5, (end("a", 5), end("b", 5))), accepted, end("c", 6), accepted,
    ]  # fmt: skip
