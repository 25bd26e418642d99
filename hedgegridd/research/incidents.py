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
from hedgegridd.journal.segments import ACTS, CHECKPOINT, INPUT, Record, lines, parse, segments
from hedgegridd.model import Bar, Durable, Mark
from hedgegridd.research import incident, incidentpage
from hedgegridd.savefile import save
from hedgegridd.times import iso

_NEEDLES = tuple(f'"k":"{kind}"'.encode() for kind in incident.MARKS)
OUT = Path("artifacts/incidents")

Document = dict[str, Any]


def listed(folder: Path) -> list[incident.Span]:
    """Every incident of the journal in this folder, oldest first. StateError where there is no journal."""
    if not folder.is_dir():
        raise StateError(f"{folder}: there is no journal; --state-dir is the folder that holds `journal`")
    return incident.spans(_acts(folder, _NEEDLES))


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
    return incident.document(span, *_read(folder, span, first))


def _read(folder: Path, span: incident.Span, first: int) -> tuple[list[Record], Document]:
    """What the document is made of, and how sound it is."""
    last = span.last.seq if span.last else None
    kept = _Kept(span, first)
    gone = reading.pruned(folder)
    why = "" if gone is None or gone[1] < first else f"inputs of records {gone[0]} to {gone[1]} were pruned"
    try:
        if why:
            raise StateError(why)
        kept.take(reading.replayable(folder, first, last))
    except (JournalDamaged, StateError) as error:
        kept = _Kept(span, first)
        kept.take(record for record in _acts(folder) if last is None or record.seq <= last)
        return kept.rows, {"verified": False, "why": str(error), **kept.range()}
    return kept.rows, {"verified": True, "why": None, **kept.range()}


class _Kept:
    """What a document needs of a range of records: a long halt does not keep its whole market in memory."""

    def __init__(self, span: incident.Span, first: int) -> None:
        self.first, self.until = first, span.first.time + incident.BEFORE_MS
        self.rows: list[Record] = []
        self.ends: list[Record] = []
        self.count = 0

    def take(self, records: Iterable[Record]) -> None:
        for record in records:
            self.count += 1
            self.ends = [*self.ends[:1], record]
            if record.kind == INPUT:
                if isinstance(record.data, Bar | Mark | Durable) and record.seq >= self.first and record.time <= self.until:
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


def table(spans: Iterable[incident.Span]) -> list[str]:
    """The list as text."""
    rows = [incident.row(span) for span in spans]
    said = [f"{row['id']:>9}  {row['time']}  {row['level']:<7} {row['source']:<24} {_plain(row['reason'])}" for row in rows]
    return said or ["no incident in this journal"]


def summary(found: Document) -> list[str]:
    """An incident in ten lines."""
    trigger, end, sound = found["trigger"], found["end"], found["integrity"]
    costs = [f"fees {one['fees_usdt']:g}, slippage {one['slippage_usdt']:g} USDT" for one in found["certificates"] if "legs" in one]
    measured = f"{trigger['value']:g} of {trigger['threshold']:g}" if trigger.get("breaker") else "not by a breaker"
    until = f"over since {end['time']}, by {end['deactivated_by'] or '-'}" if end["over"] else "not over"
    return [
        f"incident {found['id']}  {found['time']}  mode {found['mode'] or '-'}",
        f"trigger      {trigger['source']}, level {trigger['level']}, actor {trigger['actor'] or '-'}",
        f"reason       {_plain(trigger['reason'])}",
        f"measured     {measured}",
        f"done         {len(found['orders'])} orders, {len(found['fills'])} fills",
        f"flat         {end['flat_at'] or 'never'}" + (f", {end['seconds_to_flat']:g} s" if end["flat_at"] else ""),
        f"cost         {'; '.join(costs) or '-'}",
        f"end          {until}",
        f"journal      {'hashes hold' if sound['verified'] else 'NOT verified: ' + _plain(sound['why'])},"
        f" records {sound['first_seq']} to {sound['last_seq']}",
    ]


def _plain(value: object) -> str:
    """A stranger's text without what moves a terminal."""
    return "".join(one if one.isprintable() else "?" for one in str(value))[:200]
