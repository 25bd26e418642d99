"""Replay: feed a journal's inputs through a heart again and compare every act. One law: any difference is a failure.

A checkpoint begins a heart; each input after it must make the same acts, in the same order, with the same figures. Where the
journal itself has a later checkpoint, the replayed heart's state must equal it (a restart or reload begins anew there). What a power cut
took, as the start after it told, can be compared with nothing: from the first record lost to that start it is counted instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd.config import parse
from hedgegridd.errors import StateError
from hedgegridd.heart.build import build
from hedgegridd.heart.effects import Write
from hedgegridd.heart.engine import Engine
from hedgegridd.journal import records
from hedgegridd.journal.segments import CHECKPOINT, INPUT, RECOVERED, Record
from hedgegridd.plugins import Registry


class Mismatch(NamedTuple):
    """A record at which the replay made something else."""

    seq: int
    kind: str
    recorded: Any
    replayed: Any


class Replayed(NamedTuple):
    """What a replay found."""

    inputs: int
    acts: int
    decisions_hash: str
    mismatches: list[Mismatch]
    pruned: tuple[int, int] | None
    lost: int = 0  #: records that never reached the disk; what followed in their life is not judged
    damage: str = ""  #: what `verify` finds wrong with a journal replayed as a whole, though every decision may come out the same


MOST_SHOWN = 20


Watch = Callable[[int, Engine], bool]  #: told each input's number and the heart after it; False ends the replay


def replay(folder: Path, registry: Registry, frm: int | None = None, to: int | None = None, watch: Watch | None = None) -> Replayed:
    """Replay the journal in `folder`, the state directory's. JournalDamaged where a hash fails, StateError where there is none."""
    if not folder.is_dir():
        raise StateError(f"{folder}: there is no journal; --state-dir is the folder that holds `journal`")
    run = Run(registry)
    for record in records.replayable(folder, frm, to):
        run.take(record)
        if watch is not None and run.engine is not None and record.kind == INPUT and not watch(record.seq, run.engine):
            break
    damage = _damage(folder) if frm is None and to is None and watch is None else ""
    digest = run.engine.decisions.hash if run.engine else ""
    return Replayed(run.inputs, run.acts, digest, run.mismatches, _missing(folder, frm), run.lost, damage)


def _damage(folder: Path) -> str:
    """What no decision shows: an archive's bits, or acts before the oldest checkpoint of the inputs."""
    segment, record, why = records.verify(folder).first_bad or ("", 0, "")
    return f"journal segment {segment}, record {record}: {why}" if why else ""


def _missing(folder: Path, frm: int | None) -> tuple[int, int] | None:
    """The range asked for that is gone."""
    gone = records.pruned(folder)
    return gone if gone is not None and frm is not None and frm <= gone[1] else None


class Run:
    """One pass over the records; `engine` is the heart after the last of them, None before the first checkpoint."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.engine: Engine | None = None
        self.expected: Iterator[Write] = iter(())
        self.inputs = self.acts = self.lost = 0
        self.mismatches: list[Mismatch] = []

    def take(self, record: Record) -> None:
        """One record of either stream."""
        if record.kind == CHECKPOINT:
            self._begin(record.data["state"])
        elif record.kind == INPUT:
            self._input(record)
        elif record.kind == RECOVERED:
            self._recovered(record.data["lost"])
        else:
            self._act(record)

    def _begin(self, state: dict[str, Any] | None) -> None:
        if state is None:  # a new journal's own first checkpoint: no heart yet
            return
        config = parse(state["config"])
        traits = state["feed"]
        self.engine = build(config, self.registry, carries=frozenset(traits["carries"]), cadence_ms=traits["cadence_ms"])
        self.engine.load(state["engine"])
        self.expected = iter(())

    def _input(self, record: Record) -> None:
        self._close(record.seq)
        if self.engine is None:
            return
        self.inputs += 1
        self.expected = iter([effect for effect in self.engine.handle(record.data) if isinstance(effect, Write)])

    def _recovered(self, lost: list[list[int]]) -> None:
        """A start says what never reached the disk: the heart that lived through it did not know, the one replayed did not see it."""
        if lost:
            self.lost += sum(last - first + 1 for first, last in lost)
            self.mismatches = [one for one in self.mismatches if one.seq < lost[0][0]]
            self.expected = iter(())

    def _differs(self, mismatch: Mismatch) -> None:
        if len(self.mismatches) < MOST_SHOWN:
            self.mismatches.append(mismatch)

    def _act(self, record: Record) -> None:
        if self.engine is None:
            return
        self.acts += 1
        made = next(self.expected, None)
        if made is None or made.kind != record.kind or _json(made.data) != _json(record.data):
            self._differs(Mismatch(record.seq, record.kind, record.data, made and {"kind": made.kind, **made.data}))

    def _close(self, seq: int) -> None:
        """Acts the replay made and the journal does not have. The last input's are not judged: a crash may have cut them."""
        left = next(self.expected, None)
        if left is not None:
            self._differs(Mismatch(seq, left.kind, None, left.data))


def _json(data: Any) -> str:
    import json

    return json.dumps(data, sort_keys=True, default=str)
