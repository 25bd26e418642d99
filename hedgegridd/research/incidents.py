"""Incidents read from the journal of a state directory, the daemon running or not. One law: it changes nothing in there.

The list goes through the acts alone; a document reads its own range, hashes checked. Where the inputs are pruned or damaged the
acts still tell the story, and `integrity` says what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hedgegridd.errors import JournalDamaged, StateError
from hedgegridd.journal import records as reading
from hedgegridd.journal.segments import ACTS, CHECKPOINT, INPUT, Record, header, lines, parse, segments
from hedgegridd.live import deliveries
from hedgegridd.model import Bar, DiskFailed, Durable, Mark
from hedgegridd.plugins import load_shipped
from hedgegridd.progress import passing, watched
from hedgegridd.research import incident, incidentpage
from hedgegridd.research.standing import stood
from hedgegridd.savefile import save
from hedgegridd.times import iso

_NEEDLES = tuple(f'"k":"{kind}"'.encode() for kind in incident.MARKS)
OUT = Path("artifacts/incidents")
KEPT = (Bar, Mark, Durable, DiskFailed)  #: inputs that a document is made of

Document = dict[str, Any]


def listed(folder: Path) -> list[incident.Span]:
    """Every incident of the journal in this folder, oldest first. StateError where there is no journal."""
    if not folder.is_dir():
        raise StateError(f"{folder}: there is no journal; --state-dir is the folder that holds `journal`")
    return incident.spans(_acts(folder, _NEEDLES))


def rows(folder: Path) -> Document:
    """The list as JSON."""
    return {"schema": incident.SCHEMA, "incident": [incident.row(span) for span in listed(folder)]}


def _acts(folder: Path, needles: tuple[bytes, ...] = ()) -> Iterator[Record]:
    """Acts as they stand, hashes not checked; a line that is no record is passed over."""
    for segment in segments(folder, ACTS):
        for line in lines(segment):
            if needles and not any(needle in line for needle in needles):
                continue
            try:
                record = parse(line)
            except ValueError:
                continue
            if record.kind != CHECKPOINT:
                yield record


def made(folder: Path, number: int) -> Document:
    """The document of one incident. StateError where there is none of this number."""
    spans = listed(folder)
    span = next((one for one in spans if one.id == number), None)
    if span is None:
        there = ", ".join(str(one.id) for one in spans[-10:]) or "none"
        raise StateError(f"incident {number}: expected the id of one in {folder} (the newest: {there})")
    first = next((act.seq for act in _acts(folder) if act.time >= span.first.time - incident.BEFORE_MS), span.id)
    rows, integrity, until = _read(folder, span, first)
    acts = [one for one in rows if one.kind not in (INPUT, CHECKPOINT)]
    found = stood(folder, load_shipped(), span.first, incident.cause_of(span, acts), incident.state_of(rows))
    alerts = deliveries.told(folder.parent / "alerts", span.first.time - incident.BEFORE_MS, until)
    return incident.document(span, rows, incident.Beside(integrity, *found, alerts))


def _read(folder: Path, span: incident.Span, first: int) -> tuple[list[Record], Document, int | None]:
    """What the document is made of, how sound it is, and until when alerts belong to it (None = it goes on)."""
    last = span.last.seq if span.last else None
    kept = _Kept(span, first)
    gone = reading.pruned(folder)
    why = "" if gone is None or gone[1] < first else f"inputs of records {gone[0]} to {gone[1]} were pruned"
    try:
        if why:
            raise StateError(why)
        with watched(lambda: _span(folder, span, first)) as show:
            kept.take(passing(reading.replayable(folder, first, last), show))
    except (JournalDamaged, StateError) as error:
        kept, why = _Kept(span, first), str(error)
        kept.take(_before(folder, span.id))
        kept.take(record for record in _acts(folder) if last is None or record.seq <= last)
    until = None if span.last is None else max(kept.until, span.last.time)
    return kept.rows, {"verified": not why, "why": why or None, **kept.range()}, until


def _span(folder: Path, span: incident.Span, first: int) -> tuple[int, int] | None:
    """The time that is read, for a bar: a long halt is read to its end."""
    whole = reading.span(folder, first)
    return whole if whole is None or span.last is None else (whole[0], span.last.time)


def _before(folder: Path, seq: int) -> list[Record]:
    """The newest checkpoint that the acts keep before this record: of which sizes and settings it was."""
    for segment in reversed([one for one in segments(folder, ACTS) if one.first <= seq]):
        try:
            return [header(segment)[0]]
        except (JournalDamaged, StateError):
            continue
    return []


class _Kept:
    """What a document needs of a range of records: a long halt does not keep its whole market in memory."""

    def __init__(self, span: incident.Span, first: int) -> None:
        self.first, self.since, self.until = first, span.first.time - incident.BEFORE_MS, span.first.time + incident.BEFORE_MS
        self.rows: list[Record] = []
        self.ends: list[Record] = []
        self.count = 0

    def take(self, records: Iterable[Record]) -> None:
        for record in records:
            self.count += 1
            self.ends = [*self.ends[:1], record]
            if record.kind == INPUT:
                if isinstance(record.data, KEPT) and self.since <= record.time <= self.until:  # no act need be as old as the market
                    self.rows.append(record)
            elif record.seq >= self.first or record.kind == CHECKPOINT:
                self.until = max(self.until, record.time) if record.kind == "flat" else self.until
                self.rows.append(record)

    def range(self) -> Document:
        """Numbers and hashes of what was read, the first and the last."""
        first, last = (self.ends[0], self.ends[-1]) if self.ends else (None, None)
        return {
            "records": self.count,
            "first_seq": first.seq if first else None,
            "first_hash": first.hash if first else None,
            "last_seq": last.seq if last else None,
            "last_hash": last.hash if last else None,
            "last_time": iso(last.time) if last else None,
        }


def write(document: Document, out: Path) -> list[Path]:
    """The JSON and the page beside it; where they are."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"incident-{document['id']}.{kind}" for kind in ("json", "html")]
    save(paths[0], json.dumps(document, indent=1) + "\n", 0o640)
    save(paths[1], incidentpage.page(document), 0o640)
    return paths
