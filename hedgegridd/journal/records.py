"""Readers of a journal, the daemon running or not. One law: they change nothing and answer only what the hashes vouch for.

`verify` reads every record there is; `tail` shows the last acts; `replayable` gives a replay what it needs, in order.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from hedgegridd.codec import decode
from hedgegridd.errors import JournalDamaged, StateError
from hedgegridd.journal.segments import (
    ACTS,
    CHECKPOINT,
    HEAD,
    INPUT,
    INPUTS,
    RECOVERED,
    STREAMS,
    Chain,
    Record,
    Segment,
    fingerprint,
    follow,
    header,
    holes,
    lines,
    missing_head,
    parse,
    quote,
    segments,
    size_of,
    stale_head,
    sum_of,
)
from hedgegridd.savefile import load

_RETRIES = 5  # a running daemon may open, compress or prune segments while they are read
_Run = tuple[int, int]
Heads = tuple[tuple[int, str], ...]  #: (number, hash) of records that must be there
_by_seq = attrgetter("seq")


class Verification(NamedTuple):
    """What `verify` found. `first_bad` = (segment, record in it, why); `records` = how many verified before it.

    `after`, `expected`, `found`: where it stands and what it is, in words; `notes`: what a crash or pruning explains, but a cut may be
    as well; `heads`: number and hash of each stream's last record, to be kept elsewhere.
    """

    ok: bool
    records: int
    first_bad: tuple[str, int, str] | None
    after: int = 0
    expected: str = ""
    found: str = ""
    notes: tuple[str, ...] = ()
    heads: Heads = ()


def verify(folder: Path, heads: Heads = ()) -> Verification:
    """Check every hash, every link between segments, that no number is missing, that the newest segments are there, and `heads` in them.

    StateError where there is no journal, or one of a newer version.
    Pruned inputs are no fault. What only `heads` can show: whole records cut from the end of both streams since the last rotation.
    """
    if not folder.is_dir():
        raise StateError(f"{folder} is no journal: there is no such folder")
    found, bad = Verification(True, 0, None), None
    for _ in range(_RETRIES):
        found, moving = _Reading(folder, heads).run()
        if not moving and found.first_bad == bad:  # damage is there again: what a running daemon was just about to move is not
            break
        bad = found.first_bad
    return found


class _Reading:
    """One reading of the whole journal."""

    def __init__(self, folder: Path, heads: Heads) -> None:
        self.folder, self.heads = folder, dict(heads)
        self.ends: dict[str, tuple[int, str]] = {}
        self.before = self._shape()
        self.rows = {stream: segments(folder, stream) for stream in STREAMS}
        self.wrong = missing_head(folder, self.rows)  # now, not after the reading: a running daemon goes on to new segments
        self.stale = stale_head(folder, self.rows)  # likewise
        self.chains = {stream: Chain() for stream in STREAMS}
        self.records = 0
        self.lost: set[_Run] = set()
        self.explained: set[_Run] = set()

    def run(self) -> tuple[Verification, bool]:
        """What is found, and whether the journal was written to meanwhile."""
        try:
            self._read()
            self._judge()
        except JournalDamaged as error:
            bad, told = (error.segment, error.record, error.why), (error.after, error.expected, error.found)
            return Verification(False, self.records, bad, *told, self.notes(), tuple(self.ends.values())), self._moving()
        half = bool(self.stale) or any(chain.unfinished for chain in self.chains.values())
        return Verification(True, self.records, None, notes=self.notes(), heads=tuple(self.ends.values())), half and self._moving()

    def notes(self) -> tuple[str, ...]:
        """What a crash or pruning explains. It is told, for a cut tail can look the same."""
        found = [chain.unfinished for chain in self.chains.values() if chain.unfinished]
        inputs = self.rows[INPUTS]
        if inputs and inputs[0].first > 1:
            found.append(f"{inputs[0].name} is the first of inputs: those before were pruned by age or size, or removed")
        if self.stale:
            found.append(f"{HEAD}: {self.stale}")
        return tuple(found)

    def _shape(self) -> list[tuple[str, int]]:
        return sorted((path.name, size_of(path)) for path in self.folder.glob("*.jsonl"))

    def _moving(self) -> bool:
        return self._shape() != self.before

    def _read(self) -> None:
        acts, inputs = self.rows[ACTS], self.rows[INPUTS]
        if acts and header(acts[0])[1].previous:
            raise JournalDamaged(acts[0].name, 1, f"follows {header(acts[0])[1].previous}, which is missing")
        first = inputs[0].first if inputs and header(inputs[0])[1].previous else 1
        numbers = (record.seq for record in self._merged() if record.seq >= first)
        self.lost.update(holes(numbers, first))

    def _merged(self) -> Iterator[Record]:
        last, wanted = 0, dict(self.heads)
        for record in heapq.merge(*(follow(self.rows[stream], self.chains[stream]) for stream in STREAMS), key=_by_seq):
            if record.seq == last:
                raise JournalDamaged(self.chains[INPUTS].name, self.chains[INPUTS].number, f"number {last} is in both streams")
            self.records, last = self.records + 1, record.seq
            stream = INPUTS if record.kind == INPUT or (record.kind == CHECKPOINT and record.data["stream"] == INPUTS) else ACTS
            self.ends[stream] = (record.seq, record.hash)
            if self.heads.pop(record.seq, record.hash) != record.hash:
                self._not_the_same(stream, record, wanted)
            if record.kind == RECOVERED:
                self._note(record)
            yield record

    def _note(self, record: Record) -> None:
        """A start after a crash says what never reached the disk, and what it found wrong."""
        if record.data["damage"]:
            raise JournalDamaged(self.chains[ACTS].name, self.chains[ACTS].number, f"a start found damage: {record.data['damage']}")
        self.explained.update((first, last) for first, last in record.data["lost"])

    def _not_the_same(self, stream: str, record: Record, wanted: dict[int, str]) -> None:
        raise JournalDamaged(
            self.chains[stream].name,
            self.chains[stream].number,
            f"record number {record.seq} is not the one that the head vouches for: the journal was written anew",
            after=record.seq - 1,
            expected=f"hash {wanted[record.seq]}",
            found=f"hash {record.hash}",
        )

    def _judge(self) -> None:
        self._judge_gaps()
        self._judge_archives()
        self._judge_heads()

    def _judge_archives(self) -> None:
        """Bits of a compressed file that unpacking passes over."""
        for segment in self.rows[INPUTS]:
            if segment.path.suffix != ".gz":
                continue
            with suppress(FileNotFoundError):  # pruned meanwhile
                is_now, beside = fingerprint(segment.path), sum_of(segment.path)
                noted = load(beside) if beside.exists() or not segment.path.exists() else b"none: its file is missing"
                if noted != f"{is_now}\n".encode():
                    why = "the archive, or the sum beside it, was changed; its records are sound"
                    was = noted[:64].decode(errors="replace")
                    raise JournalDamaged(segment.name, 0, why, expected=f"sha256 {was}", found=f"sha256 {is_now}")

    def _judge_heads(self) -> None:
        last = max((seq for seq, _ in self.ends.values()), default=0)
        for seq, digest in sorted(self.heads.items()):
            if seq < (self.rows[INPUTS][0].first if self.rows[INPUTS] else 1):
                raise JournalDamaged(INPUTS, 0, f"number {seq} was an input that is pruned: this head proves nothing any more")
            where = max(self.chains.values(), key=_by_seq)
            why = f"the head {seq} is not in the journal: " + ("records were cut from its end" if seq > last else "it was lost or removed")
            expected, found = f"record number {seq} with hash {digest}", f"an end at record number {last}"
            raise JournalDamaged(where.name, where.number + 1, why, after=last, expected=expected, found=found)

    def _judge_gaps(self) -> None:
        if self.wrong:
            raise JournalDamaged(HEAD, 1, self.wrong)
        short = min(self.chains.values(), key=_by_seq)
        for first, last in sorted(self.lost - self.explained):
            if first > short.seq and self._moving():
                return  # that stream was read before the other one went on
            why, expected = f"records {first} to {last} are in neither stream", f"record number {first}"
            raise JournalDamaged(short.name, short.number + 1, why, after=first - 1, expected=expected, found=f"none before {last + 1}")


def tail(folder: Path, count: int, order: str | None = None) -> list[Record]:
    """The last `count` acts, oldest first; with `order` only those that name this client or exchange order id."""
    needle = quote(order).encode() if order is not None else b""
    found: list[Record] = []
    for segment in reversed(segments(folder, ACTS)):
        if len(found) >= count:
            break
        found += _newest(segment, needle, count - len(found))
    return found[::-1]


def _newest(segment: Segment, needle: bytes, count: int) -> list[Record]:
    """The last acts of one segment that hold the needle, newest first. A line that is none is passed over: `verify` names it."""
    found: list[Record] = []
    for text in reversed(list(lines(segment))):
        if len(found) == count:
            break
        try:
            record = parse(text) if needle in text else None
        except ValueError:
            continue
        if record and record.kind != CHECKPOINT:
            found.append(record)
    return found


def replayable(folder: Path, frm: int | None = None, to: int | None = None) -> Iterator[Record]:
    """All records up to number `to`, from the newest checkpoint at or before number `frm` on (else the oldest there is).

    In the order of their numbers; an input's `data` is its noun, a checkpoint's the header with the `state`. Each checkpoint
    comes once. JournalDamaged where a hash fails. See `pruned` for what is gone.
    """
    inputs, acts = segments(folder, INPUTS), segments(folder, ACTS)
    inputs = _since(inputs, frm or 0)
    if not inputs:
        return
    begin = inputs[0].first
    for record in heapq.merge(follow(inputs, Chain()), follow(_since(acts, begin), Chain()), key=_by_seq):
        if to is not None and record.seq > to:
            return
        if record.kind == INPUT:
            yield record._replace(data=decode(record.data))
        elif record.seq == begin or (record.seq > begin and not _twin(record)):
            yield record


def span(folder: Path, frm: int | None = None) -> tuple[int, int] | None:
    """The data's time from the checkpoint at or before number `frm` (else the oldest) to the newest input, ms; for a bar that shows how
    far a reading is. None where there is none to tell."""
    rows = _since(segments(folder, INPUTS), frm or 0)
    try:
        first = next((time for segment in rows for time in _times(lines(segment)) if time), 0)
        last = next(_times(reversed(list(lines(rows[-1])))), 0) if rows else 0
    except (OSError, EOFError):  # the reading itself will name it
        return None
    return (first, last) if 0 < first < last else None


def _times(texts: Iterable[bytes]) -> Iterator[int]:
    """The data's time of each line that is a record."""
    for text in texts:
        with suppress(ValueError):
            yield parse(text).time


def pruned(folder: Path) -> tuple[int, int] | None:
    """The first and last number of which the inputs are gone by age or size; None where all are there."""
    inputs = segments(folder, INPUTS)
    return (1, inputs[0].first - 1) if inputs and header(inputs[0])[1].previous else None


def _since(row: list[Segment], seq: int) -> list[Segment]:
    """The segment that holds number `seq`, or the first there is, and those after it."""
    before = [at for at, segment in enumerate(row) if segment.first <= seq]
    return row[before[-1] :] if before else row


def _twin(record: Record) -> bool:
    """The acts' copy of a checkpoint: the inputs carry the same one."""
    return bool(record.kind == CHECKPOINT and record.data["stream"] == ACTS)
