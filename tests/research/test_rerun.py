"""A journaled session once more: the very decisions where nothing is changed, whatever the account and the market were like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from research.cases import Case
from rig import REGISTRY

from hedgegridd.errors import ConfigError
from hedgegridd.heart.engine import Engine
from hedgegridd.journal.segments import CHECKPOINT, INPUT, Record
from hedgegridd.live.memory import account_of, last_seen
from hedgegridd.model import Durable, Fill, Report
from hedgegridd.research.full import FullRun
from hedgegridd.research.outcome import Mute
from hedgegridd.research.rerun import Rerun, rerun


class Session(FullRun):
    """A full run that keeps what its heart is told, as a journal does."""

    def __init__(self, case: Case) -> None:
        super().__init__(case.config, REGISTRY, case.feed, Mute())
        self.records: list[Record] = []
        self.checkpoint()

    def checkpoint(self) -> None:
        """The heart as it stands."""
        feed = {"carries": sorted(self.feed.carries), "cadence_ms": self.feed.cadence_ms}
        state = {"config": self.config.raw, "feed": feed, "engine": json.loads(json.dumps(self.engine.dump()))}
        self.records.append(Record(len(self.records) + 1, 0, 0, CHECKPOINT, {"state": state}, ""))

    def _take(self, event: Any) -> None:
        if event.time < self.engine.now:
            event = event._replace(time=self.engine.now)
        self.records.append(Record(len(self.records) + 1, event.time, 0, INPUT, event, ""))
        super()._take(event)


def memory(engine: Engine) -> tuple[Report, list[Any]]:
    return account_of(engine), last_seen(engine)


def again(records: list[Record], **out: Any) -> Rerun:
    run = rerun(records, REGISTRY, memory, lambda _seq, _engine: True, **out)
    assert run is not None
    return run


def played(seed: int) -> Session:
    try:
        session = Session(Case(seed))
        session.run(lambda _: None)
    except ConfigError as error:  # drawn so that the strategy refuses it
        pytest.skip(str(error)[:80])
    return session


@pytest.mark.parametrize("seed", range(30))
def test_nothing_changed_is_the_same_to_the_last_bit(seed: int) -> None:
    session = played(seed)
    run = again(session.records)
    assert run.engine.decisions.hash == session.engine.decisions.hash
    assert run.engine.account.equity == session.engine.account.equity
    assert run.engine.counts == session.engine.counts


def test_the_journals_own_answers_are_not_believed() -> None:
    session = played(3)
    answers = [record for record in session.records if isinstance(record.data, Fill | Durable)]
    assert answers
    without = [record for record in session.records if record not in answers]
    assert again(without).engine.decisions.hash == session.engine.decisions.hash


def test_a_later_checkpoint_is_another_runs_state() -> None:
    session = played(3)
    stray = session.records[0]._replace(seq=len(session.records))
    half = len(session.records) // 2
    assert again([*session.records[:half], stray, *session.records[half:]]).engine.decisions.hash == session.engine.decisions.hash


def test_what_is_kept_out_trips_no_more() -> None:
    for seed in range(60):
        session = Session(Case(seed))
        session.run(lambda _: None)
        source = session.engine.kill.source
        if session.engine.kill.active and source.startswith("breaker."):
            break
    name = source.removeprefix("breaker.")
    run = again(session.records, out=frozenset({name}))
    assert run.engine.panel.guards[name].state == "disarmed"
    assert run.engine.kill.source != source


def test_without_a_checkpoint_there_is_nothing() -> None:
    assert rerun([], REGISTRY, memory, lambda _seq, _engine: True) is None
