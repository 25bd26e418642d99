"""A journaled session told once more to a recorder, as a backtest tells of itself. One law: it adds nothing but what was held before.

Acts are told as they stand in the journal; rows of bars are the account of the heart that takes the inputs in again. Transfers, and a
live wallet that was read anew, are no profit: they are left out of every equity.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd.errors import StateError
from hedgegridd.heart.engine import Engine
from hedgegridd.journal.segments import CHECKPOINT, INPUT, Record
from hedgegridd.kernel.metrics import new_course, note
from hedgegridd.live.replay import Run
from hedgegridd.model import Bar, FundingPaid, Instrument, Mode, Role
from hedgegridd.plugins import Registry
from hedgegridd.research.outcome import IDLE, Outcome
from hedgegridd.research.recorder import Recorder
from hedgegridd.research.rerun import MARKET
from hedgegridd.research.telling import Teller, bar_row
from hedgegridd.times import iso

NEXT = MARKET | {FundingPaid}  #: inputs with which all that came of a bar is over


class Did(NamedTuple):
    """What a leg did. Money USDT, fees and funding positive = paid."""

    fills: int = 0
    maker_fills: int = 0
    realized_usdt: float = 0.0
    fees_usdt: float = 0.0
    funding_usdt: float = 0.0


class SessionRecorder(Recorder):
    """A recorder that begins in the middle: what it did not see opened was held before."""

    def __init__(self, folder: Path | None, instruments: dict[str, Instrument], start_equity: float) -> None:
        super().__init__(folder, instruments, start_equity)
        self._did: dict[tuple[str, int], Did] = {}
        self.unseen: dict[str, int] = {}  #: lots that were closed and never seen opened, by symbol

    def did(self, symbol: str, leg: int) -> Did:
        """What a leg did in this time."""
        return self._did.get((symbol, leg), Did())

    def held(self, time: int, symbol: str, leg: int, lots: int, entry: float) -> None:
        """What a leg holds at the beginning, at its average entry in ticks."""
        self.legs[symbol, leg].entry(time, round(entry), lots, 0.0, "held before")

    def filled(self, fill: dict[str, Any]) -> None:
        symbol, leg = fill["symbol"], int(fill["leg"])
        short = fill["qty"] - self.legs[symbol, leg].qty
        if fill["role"] != Role.ENTRY and short > 0:  # adopted, or changed by another hand
            self.unseen[symbol] = self.unseen.get(symbol, 0) + short
            self.held(fill["t"], symbol, leg, short, fill["price"])
        was = self.did(symbol, leg)
        self._did[symbol, leg] = Did(was.fills + 1, was.maker_fills + bool(fill["maker"]), was.realized_usdt + fill["realized"],
                                     was.fees_usdt + fill["fee"], was.funding_usdt)  # fmt: skip
        super().filled(fill)

    def paid(self, time: int, symbol: str, leg: int, amount: float) -> None:
        was = self.did(symbol, leg)
        self._did[symbol, leg] = was._replace(funding_usdt=was.funding_usdt + amount)
        super().paid(time, symbol, leg, amount)


class Retelling(Teller):
    """A session from one of its checkpoints on; what lies before `since` is only taken in. Times ms of the data's clock."""

    recorder: SessionRecorder

    def __init__(self, registry: Registry, since: int | None, until: int | None, folder: Path | None) -> None:
        self.since, self.until, self.folder = since, until, folder
        self.run = Run(registry)
        self.course = new_course()
        self.begun = self.last = 0
        self.bars = self.orders = 0
        self.base = 0.0  #: what the account was given until the beginning
        self._due: list[Bar] = []  #: bars of which not all that came has been told

    @property
    def engine(self) -> Engine:  # type: ignore[override]
        """The heart after the last record."""
        assert self.run.engine is not None
        return self.run.engine

    def play(self, rows: Iterable[Record]) -> None:
        """Tell what these records say of the period."""
        for record in rows:
            if record.kind == INPUT and self.until is not None and record.time > self.until:
                return
            if self.begun and self._due and (record.time > self._due[0].time or type(record.data) in NEXT):
                self._tell_bars()
            if record.kind == INPUT and not self.begun and self._begins(record.time):
                self._begin(max(record.time, 1))
            self.run.take(record)
            if record.kind == INPUT:
                self._heard(record)
            elif record.kind == CHECKPOINT:
                self._learn()
            elif self.begun:
                self.orders += record.kind == "order"
                self.tell(record.kind, record.time, record.data)

    def _heard(self, record: Record) -> None:
        if self.begun:
            self.last = self.engine.now
            if isinstance(record.data, Bar):
                self.bars += 1
                self._due.append(record.data)

    def _begins(self, time: int) -> bool:
        """In the period, and in live not before the exchange has said what there is."""
        if self.run.engine is None or (self.since is not None and time < self.since):
            return False
        return self.engine.mode != Mode.LIVE or self.engine.truth.based

    def _begin(self, time: int) -> None:
        engine = self.engine
        self.base = given(engine)
        self.recorder = SessionRecorder(self.folder, {name: desk.instrument for name, desk in engine.desks.items()}, engine.account.equity)
        self.recorder.begin(time)
        self.begun = self.last = time
        note(self.course, time, engine.account.equity)
        for symbol, desk in engine.desks.items():
            for leg in (0, 1):
                if desk.held(leg):
                    self.recorder.held(time, symbol, leg, desk.held(leg), desk.entry(leg))

    def _learn(self) -> None:
        if self.begun and self.run.engine is not None:
            self.recorder.learn({name: desk.instrument for name, desk in self.engine.desks.items()})

    def _tell_bars(self) -> None:
        """The account after all that came of these bars."""
        for bar in self._due:
            if bar.symbol in self.engine.desks:
                row = bar_row(self.engine, self.engine.desks[bar.symbol], bar)
                self.recorder.bar(bar.symbol, (*row[:-2], row[-2] - self.transfers, row[-1] - self.transfers))
                note(self.course, bar.time, self.equity)
        self._due.clear()

    @property
    def transfers(self) -> float:
        """What the account was given since the beginning, USDT."""
        return given(self.engine) - self.base

    @property
    def equity(self) -> float:
        """USDT, less what it was given."""
        return self.engine.account.equity - self.transfers

    def end(self) -> None:
        """All records are told. A period without a record begins and ends where the journal stands. StateError without a heart."""
        if self.run.engine is None:
            raise StateError("the journal has no checkpoint from which the session could be told")
        if not self.begun:
            self._begin(max(self.engine.now, 1))
        self._tell_bars()
        if not self.recorder.course.told:
            self.recorder.course.path = None  # no row, no file of rows

    def outcome(self) -> Outcome:
        """As a run's."""
        did = [self.recorder.did(symbol, leg) for symbol in self.engine.desks for leg in (0, 1)]
        return Outcome(
            "journal", self.bars, self.orders, self.recorder.fill_count, self.recorder.maker_count, self.equity,
            self.engine.account.wallet - self.transfers, sum(one.realized_usdt for one in did), sum(one.fees_usdt for one in did),
            sum(one.funding_usdt for one in did), sum(self.engine.account.unrealized.values(), 0.0), dict(IDLE), self.course,
        )  # fmt: skip

    def notes(self) -> list[str]:
        """What a reader must know."""
        unseen = self.recorder.unseen.items()
        said = [f"{symbol}: {lots} lots were closed that were not opened in this time" for symbol, lots in unseen]
        if self.since is not None and self.since > self.last:
            said.append(f"the journal ends at {iso(self.last)}, before the time asked for")
        if not self.recorder.fill_count:
            said.append("nothing was filled in this time")
        if self.run.mismatches:
            first = self.run.mismatches[0].seq
            said.append(f"from record {first} on this version decides otherwise than the journal: fills are the journal's, equity is not")
        return said


def given(engine: Engine) -> float:
    """What the account began with and was given, less what was taken: no profit, no loss."""
    return engine.account.start + engine.account.transfers
