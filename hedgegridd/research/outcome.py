"""How a run ended: the same document for both engines. One law: it is the account's own figures, recomputed nowhere."""

from __future__ import annotations

from typing import Any, NamedTuple

#: A kill switch that was not engaged.
IDLE: dict[str, Any] = {"active": False, "level": None, "reason": None, "since": None}


class Outcome(NamedTuple):
    """Money USDT; `fees` and `funding` positive = paid."""

    engine: str
    bars: int
    orders: int
    fills: int
    maker_fills: int
    equity: float
    wallet: float
    realized: float
    fees: float
    funding: float
    unrealized: float
    kill: dict[str, Any]  #: active, level, reason, since (ms)
    course: list[float]  #: see kernel.metrics.note


class Mute:
    """A recorder that takes everything and keeps nothing: for a run of which only the outcome counts."""

    def begin(self, *_: Any) -> None: ...
    def ordered(self, *_: Any) -> None: ...
    def accepted(self, *_: Any) -> None: ...
    def amended(self, *_: Any) -> None: ...
    def ended(self, *_: Any) -> None: ...
    def filled(self, *_: Any) -> None: ...
    def paid(self, *_: Any) -> None: ...
    def tripped(self, *_: Any) -> None: ...
    def acted(self, *_: Any) -> None: ...
    def bar(self, *_: Any) -> None: ...
    def bars(self, *_: Any) -> None: ...
