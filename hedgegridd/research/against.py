"""A session's journal against a backtest of the same data: where they decided differently, each difference by name (row 100).

One law: decisions are compared by what they say (when, which leg, what for, at which price, how much), not by their ids, so that one
difference is told once and not again in everything after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd.errors import StateError
from hedgegridd.heart.orders import parse
from hedgegridd.journal.segments import ACTS, Chain, follow, segments
from hedgegridd.model import Leg, Role, Side
from hedgegridd.times import iso

MOST_SHOWN = 200
#: What counts as a decision or a fill: it goes into the engine's own hash.
DECISIONS = ("order", "amend", "cancel", "fill", "funding", "trip", "kill")


class Decision(NamedTuple):
    """One act in comparable words."""

    time: int
    what: str


class Difference(NamedTuple):
    """A decision that only one of the two took: `where` is session or backtest."""

    time: str | None
    where: str
    what: str


class Compared(NamedTuple):
    """What a comparison found. `hashes_equal`: every decision and fill, bit for bit; None where the session's hash is not known."""

    session: str
    decisions: int
    differences: list[Difference]
    differing: int
    hashes_equal: bool | None

    def row(self) -> dict[str, Any]:
        """As JSON; the first differences only."""
        shown = [one._asdict() for one in self.differences[:MOST_SHOWN]]
        return {**self._asdict(), "differences": shown}


def decisions(kind: str, time: int, act: dict[str, Any]) -> list[Decision]:
    """The decisions in an act of the journal or of a run: one an order, where it is about several."""
    if kind not in DECISIONS:
        return []
    return [_decision(kind, time, {**act, "client_id": name} if name else act) for name in act.get("client_ids", ("",))]


def _decision(kind: str, time: int, act: dict[str, Any]) -> Decision:
    rung = parse(act.get("client_id", ""))
    words = [kind]
    if rung is not None:
        words += [rung.symbol, Leg(rung.leg).name.lower(), Role(rung.role).name.lower(), f"at {rung.price} ticks"]
    elif "symbol" in act:
        words += [act["symbol"], Leg(act["leg"]).name.lower()] if "leg" in act else [act["symbol"]]
    if kind == "fill":
        words.append(f"{Side(act['side']).name.lower()} at {act['price']} ticks")
    words += [f"{act['qty']} lots"] if "qty" in act else []
    words += [f"{act[name]!r} USDT" for name in ("amount", "realized", "fee") if name in act]
    words += [str(act[name]) for name in ("name", "level", "reason") if kind in ("trip", "kill") and name in act]
    return Decision(int(act.get("t", time)), " ".join(words))


def of_session(state: Path, since: int, until: int) -> Iterator[Decision]:
    """The decisions in a journal within the backtest's span. StateError where there is no journal."""
    folder = state / "journal"
    if not folder.is_dir():
        raise StateError(f"{folder}: there is no journal; expected the state directory of a session")
    for record in follow(segments(folder, ACTS), Chain()):
        if since <= record.time <= until:
            yield from decisions(record.kind, record.time, record.data)


def goes_on(state: Path, until: int) -> bool:
    """Did the session act later than this? False where there is no journal, which `compare` tells."""
    return any(record.time > until for record in follow(segments(state / "journal", ACTS), Chain()))


def compare(state: Path, mine: Iterable[Decision], since: int, until: int, hash_of_run: str) -> Compared:
    """Every decision that one took and the other did not, oldest first."""
    session, backtest = Counter(of_session(state, since, until)), Counter(mine)
    rows = [(one, "session", count) for one, count in (session - backtest).items()]
    rows += [(one, "backtest", count) for one, count in (backtest - session).items()]
    rows.sort(key=lambda row: (row[0].time, row[1], row[0].what))
    differences = [Difference(iso(one.time), where, one.what) for one, where, count in rows for _ in range(count)]
    hashes = None if not hash_of_run else _last_hash(state) == hash_of_run
    return Compared(str(state), sum(session.values()), differences, len(differences), hashes)


def _last_hash(state: Path) -> str:
    """The hash that the session ended with; "" where it did not end."""
    last = ""
    for record in follow(segments(state / "journal", ACTS), Chain()):
        if record.kind == "stop":
            last = record.data["hash"]
    return last
