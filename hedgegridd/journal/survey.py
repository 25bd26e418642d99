"""How a start reads the ends of a journal. One law: what a crash explains is cut and told, what it cannot explain is damage.

Only the newest segment of each stream is read, so a start takes as long with a thousand segments as with one. Nothing is
changed here, and nothing raised but for a format of a newer version: a daemon must start, if only to hold what it has.
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple

from hedgegridd.codec import decode
from hedgegridd.errors import JournalDamaged, StateError
from hedgegridd.journal.segments import ACTS, GENESIS, INPUT, KILL, RECOVERED, Chain, Header, Record, Segment, holes, lines, parse, torn


class End(NamedTuple):
    """The newest segment of a stream as a start found it."""

    segment: Segment | None = None
    says: Header | None = None  #: None where the header is not sound
    records: list[Record] = []  # noqa: RUF012 (never written to)
    strays: list[Record] = []  # noqa: RUF012  #: readable after the damage, vouched for by nothing
    unread: int = 0  #: lines that are no records
    size: int = 0  #: bytes without what was torn
    hash: str = GENESIS
    cut: str = ""
    damage: str = ""


def survey(row: list[Segment]) -> End:
    """Read the newest segment of a stream to its end, whatever it is like. StateError where it is too new."""
    if not row:
        return End()
    segment = row[-1]
    try:
        texts = io.BytesIO(b"".join(lines(segment))).readlines()
    except (OSError, EOFError) as error:
        return End(segment, damage=f"journal segment {segment.name} cannot be read: {error}")
    half = texts.pop() if texts and torn(texts[-1]) else b""
    says, records, chain, damage = None, [], Chain(), ""
    try:
        says = _enter(chain, row)
        for text in texts:
            records.append(chain.step(text))
    except JournalDamaged as error:
        damage = str(error)
    strays = [record for text in texts[len(records) :] if (record := _stray(text))]
    return End(
        segment,
        says if records else None,
        records,
        strays,
        unread=len(texts) - len(records) - len(strays),
        size=0 if segment.path.suffix == ".gz" else sum(map(len, texts)),
        hash=str(strays[-1].hash) if strays else chain.hash or GENESIS,
        cut=f"{segment.name}: {len(half)} bytes after record {chain.number} were not finished: {half[:120]!r}" if half else "",
        damage=damage,
    )


def _enter(chain: Chain, row: list[Segment]) -> Header:
    says = chain.enter(row[-1])
    if row[-1].path.suffix == ".gz":
        raise JournalDamaged(row[-1].name, 1, "was closed, and the segment after it is missing")
    if says.previous and says.previous not in [segment.name for segment in row]:
        raise JournalDamaged(row[-1].name, 1, f"follows {says.previous}, which is missing")
    return says


def _stray(text: bytes) -> Record | None:
    try:
        return parse(text)
    except ValueError:
        return None


def inputs_after(end: End, start: End) -> tuple[list[tuple[int, Any]], str]:
    """The inputs since the checkpoint, up to one that cannot be understood, and why it cannot."""
    since = start.records[0].seq if start.records else 0
    inputs: list[tuple[int, Any]] = []
    for record in end.records:
        if record.kind == INPUT and record.seq > since:
            try:
                inputs.append((record.seq, decode(record.data)))
            except StateError as error:
                return inputs, f"input {record.seq}: {error}"
    return inputs, ""


def last_kill(acts: End, start: End) -> dict[str, Any] | None:
    since = start.records[0].seq if start.records else 0
    kills = [record.data for record in (*acts.records, *acts.strays) if record.kind == KILL and record.seq > since]
    return kills[-1] if kills else start.says.last_kill if start.says else None


def lost_runs(ends: dict[str, End]) -> list[tuple[int, int]]:
    """Numbers that a loss of power took from the end of one stream while the other kept later ones, and no start has said so."""
    if not all(end.records for end in ends.values()):
        return []
    since = max(end.records[0].seq for end in ends.values())
    numbers = sorted(record.seq for end in ends.values() for record in end.records if record.seq > since)
    told = {(a, b) for record in ends[ACTS].records if record.kind == RECOVERED for a, b in record.data["lost"]}
    return [run for run in holes(numbers, since + 1) if run not in told]
