"""The form of the journal's files. One law: every bit of a record is under its hash, and every hash under the next one.

A folder holds two streams, `acts` and `inputs`, each a row of segments `<stream>-<first seq>.jsonl` (closed inputs: `.gz`).
A line is one record `{"n": seq, "t": data time ms, "w": wall ms, "k": kind, "d": data, "h": hash}`; the hash is the first 32
hex digits of the SHA-256 of the previous hash of the stream and the line without its hash. One counter numbers both streams.
A segment opens with a record of kind `checkpoint`: the format, the segment and the hash it follows, the last kill act, and
the state, so that it can be read and verified without those before it. `head.json` names the newest segments, so that their
loss is seen. This module makes and reads all that; it decides nothing and changes no file.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from hashlib import file_digest, sha256
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd.errors import JournalDamaged, StateError
from hedgegridd.savefile import load, plain

FORMAT = 1
ACTS, INPUTS = "acts", "inputs"
STREAMS = (ACTS, INPUTS)
CHECKPOINT = "checkpoint"  #: kind of the first record of each segment
KILL = "kill"  #: kind of the act that says the kill switch changed; the last one is at hand at each start
INPUT = "input"  #: kind of what went into the heart
RECOVERED = "recovered"  #: kind of the act that a start writes when the last end was not a clean one
HEAD = "head.json"
CHANGED = "the hash does not verify: it, or the record before it, was changed, removed or moved"
GENESIS = "0" * 32  #: the hash before the first record
_TAIL = len(',"h":""}') + 32
_NAME = re.compile(r"(acts|inputs)-(\d{12,})\.jsonl(\.gz)?")
quote = encode_basestring_ascii  #: a text as JSON
_dumps = json.JSONEncoder(separators=(",", ":")).encode


class Record(NamedTuple):
    """One line of the journal. `data` is plain JSON; an input's is decoded to its noun by `replayable` only."""

    seq: int
    time: int  #: data time, ms
    wall: int  #: ms
    kind: str
    data: Any
    hash: str


class Segment(NamedTuple):
    """One file of a stream."""

    stream: str
    first: int
    path: Path

    @property
    def name(self) -> str:
        """Its name while it was written: the same compressed or not."""
        return segment_name(self.stream, self.first)


def segment_name(stream: str, first: int) -> str:
    """The file name of an open segment."""
    return f"{stream}-{first:012d}.jsonl"


def line(previous: str, seq: int, time: int, wall: int, kind: str, data: Any) -> tuple[bytes, str]:
    """A record as written, and its hash. TypeError where `data` is no plain JSON."""
    body = f'{{"n":{seq},"t":{time},"w":{wall},"k":{quote(kind)},"d":{_dumps(data)}'
    digest = sha256(f"{previous}{body}}}".encode()).hexdigest()[:32]
    return f'{body},"h":"{digest}"}}\n'.encode(), digest


def sound(previous: str, text: bytes) -> str:
    """The hash of a whole line (with or without its line end), or "" where the line does not follow `previous`."""
    text = text.rstrip(b"\n")
    digest = sha256(previous.encode() + text[:-_TAIL] + b"}").hexdigest()[:32]
    return digest if text[-_TAIL:] == b',"h":"%s"}' % digest.encode() else ""


def parse(text: bytes) -> Record:
    """A line as a record, its hash not looked at. ValueError where it is none."""
    try:
        row = json.loads(text)
        return Record(int(row["n"]), row["t"], row["w"], row["k"], row["d"], row["h"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no journal record: {error}") from error


def segments(folder: Path, stream: str) -> list[Segment]:
    """The segments of a stream in their order; a segment that is there plain and compressed counts once, as the plain one."""
    found: dict[int, Segment] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and match[1] == stream:
            first = int(match[2])
            if first not in found or not match[3]:
                found[first] = Segment(stream, first, path)
    return [found[first] for first in sorted(found)]


def lines(segment: Segment) -> Iterator[bytes]:
    """The lines of a segment, the last perhaps without its end. OSError or EOFError where it cannot be read to its end."""
    try:
        with plain(segment.path) as raw, gzip.open(raw) if segment.path.suffix == ".gz" else raw as file:
            yield from file
    except zlib.error as error:
        raise OSError(str(error)) from error
    except FileNotFoundError:  # compressed since it was listed
        if segment.path.suffix == ".gz":
            raise
        yield from lines(segment._replace(path=segment.path.with_name(segment.path.name + ".gz")))


class Header(NamedTuple):
    """What a segment's first record says."""

    format: int
    stream: str
    previous: str  #: name of the segment before, "" for the first
    prev: str  #: the hash it goes on from
    last_kill: dict[str, Any] | None  #: data of the last act of kind "kill" before this segment
    state: dict[str, Any] | None  #: the checkpoint, None before the first


def header(segment: Segment) -> tuple[Record, Header]:
    """The first record of a segment and what it says. JournalDamaged where it is none; StateError where it is too new."""
    text = b""
    try:
        text = next(lines(segment), b"")
        if not text:
            raise ValueError("the file is empty")
        record = parse(text)
        if record.kind != CHECKPOINT:
            raise ValueError(f"the first record is a {record.kind!r}, expected a checkpoint")
        if not sound(str(record.data["prev"]), text):
            raise ValueError(CHANGED)
        refuse_newer(segment.path, record.data["format"])
        return record, Header(**record.data)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        why = str(error) or type(error).__name__
        raise JournalDamaged(segment.name, 1, why, expected="a checkpoint", found=repr(text[:60])) from error


def sum_of(packed: Path) -> Path:
    """The file beside a compressed segment that holds its fingerprint: an archive has bits that unpacking does not look at."""
    return packed.with_name(packed.name + ".sum")


def fingerprint(path: Path) -> str:
    """sha256 of a whole file."""
    with plain(path) as file:
        return file_digest(file, "sha256").hexdigest()


def size_of(path: Path) -> int:
    """Bytes; 0 for what was renamed or removed meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def refuse_newer(path: Path, given: object) -> None:
    """StateError where a file was written in a format that this program does not know; ValueError for one that never was."""
    if isinstance(given, int) and given < 1:
        raise ValueError(f"format {given}, expected 1 to {FORMAT}")
    if isinstance(given, int) and given > FORMAT:
        raise StateError(
            f"{path} has format {given}, this program reads up to {FORMAT}: it was written by a newer hedgegridd, run that one"
        )


def head(folder: Path) -> dict[str, str] | None:
    """The newest segment of each stream by name, as noted when they were opened; None where nothing was noted yet."""
    path = folder / HEAD
    try:
        text = load(path)
        noted = json.loads(text)
        if not text.endswith(b"}\n"):
            raise ValueError("its end is missing")
        refuse_newer(path, noted["format"])
        return {stream: str(noted[stream]) for stream in STREAMS}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise JournalDamaged(HEAD, 1, f"{type(error).__name__}: {error}") from error


def noted_firsts(folder: Path) -> list[int]:
    """The numbers in the names that `head.json` notes; none where it cannot be read."""
    try:
        names = (head(folder) or {}).values()
    except JournalDamaged:
        return []
    return [int(match[2]) for name in names if (match := _NAME.fullmatch(name))]


def missing_head(folder: Path, rows: dict[str, list[Segment]]) -> str:
    """The text of what is wrong between `head.json` and the segments that are there; "" = nothing."""
    try:
        noted = head(folder)
    except JournalDamaged as error:
        return str(error)
    if noted is None:
        return f"{HEAD} is missing" if any(len(row) > 1 for row in rows.values()) else ""
    names = {segment.name for row in rows.values() for segment in row}
    gone = [name for name in noted.values() if name not in names]
    return f"newest segment missing: {', '.join(gone)}" if gone else ""


def stale_head(folder: Path, rows: dict[str, list[Segment]]) -> str:
    """Where `head.json` names older segments than the newest: a rotation that a crash cut short leaves that."""
    try:
        noted = head(folder) or {}
    except JournalDamaged:
        return ""  # told as damage
    newest = {stream: row[-1].name for stream, row in rows.items() if row}
    behind = [f"notes {noted[stream]} where {name} is the newest" for stream, name in newest.items() if noted.get(stream, name) != name]
    return ", ".join(behind)


class Chain:
    """Follows one stream, record by record, and raises JournalDamaged at the first that is not as it was written."""

    def __init__(self) -> None:
        self.hash, self.seq, self.name, self.number = "", 0, "", 0
        self.unfinished = ""  #: what a torn end of the last segment looks like

    def enter(self, segment: Segment) -> Header:
        """Go on to the next segment; the first one is believed about what it follows."""
        record, says = header(segment)
        if self.name and (says.previous, says.prev) != (self.name, self.hash):
            why = f"does not follow the end of {self.name}: what lay between is missing or was changed"
            ends = f"to go on from {self.name}, hash {self.hash}"
            says_so = f"that it follows {says.previous or 'nothing'}, hash {says.prev}"
            raise JournalDamaged(segment.name, 1, why, after=self.seq, expected=ends, found=says_so)
        if record.seq != segment.first:
            raise JournalDamaged(segment.name, 1, f"begins with record {record.seq}, its name says {segment.first}")
        self.hash, self.name, self.number = says.prev, segment.name, 0
        return says

    def step(self, text: bytes) -> Record:
        """The next line of the segment entered."""
        self.number += 1
        digest = sound(self.hash, text) if text.endswith(b"\n") else ""
        if not digest:
            raise JournalDamaged(self.name, self.number, CHANGED, after=self.seq, **self._odd(text))
        try:
            record = parse(text)
        except ValueError as error:
            raise JournalDamaged(self.name, self.number, str(error)) from error
        if record.seq <= self.seq:
            raise JournalDamaged(self.name, self.number, f"has number {record.seq}, after {self.seq}")
        self.hash, self.seq = digest, record.seq
        return record

    def _odd(self, text: bytes) -> dict[str, str]:
        """What should stand here and what does, in words."""
        expected = f"a record whose hash goes on from {self.hash}"
        try:
            record = parse(text)
        except ValueError:
            return {"expected": expected, "found": f"{len(text)} bytes that are no record: {text[:60]!r}"}
        if not text.endswith(b"\n"):
            return {"expected": f"{expected}, with its line end", "found": f"record number {record.seq} ({record.kind}) without one"}
        return {"expected": expected, "found": f"record number {record.seq} ({record.kind}) with hash {str(record.hash)[:40]}"}


def torn(text: bytes) -> bool:
    """A last line that a crash in the middle of its writing explains: without an end, or with blocks that were never written."""
    return not text.endswith(b"\n") or b"\0" in text


def follow(row: list[Segment], chain: Chain) -> Iterator[Record]:
    """Every record of consecutive segments, each verified; a torn last line of the last segment is left out."""
    for segment in row:
        chain.enter(segment)
        try:
            for text, more in _with_more(lines(segment)):
                if not more and segment is row[-1] and torn(text):
                    chain.unfinished = (
                        f"{segment.name}: {len(text)} bytes after record number {chain.seq} are not finished: expected a whole record"
                        f" with its line end, found {text[:60]!r}"
                    )
                    return
                yield chain.step(text)
        except (OSError, EOFError) as error:
            raise JournalDamaged(segment.name, chain.number + 1, f"cannot be read: {error}") from error


def _with_more(texts: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each line, and whether another one comes after it."""
    held = next(texts, None)
    while held is not None:
        following = next(texts, None)
        yield held, following is not None
        held = following


def holes(numbers: Iterable[int], first: int) -> Iterator[tuple[int, int]]:
    """The runs (from, to) missing in ascending numbers that should begin with `first`: [1, 2, 5] -> (3, 4)."""
    for number in numbers:
        if number > first:
            yield first, number - 1
        first = number + 1
