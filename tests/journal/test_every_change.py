"""Whatever is done to a journal's files, `verify` finds it and names it: every bit, every cut, swap, removal and doubling.

Two files of a real journal are changed in every way this file knows, and each change must be found; how many is printed. A sample of
bits in the ordinary run, every bit with `HEDGEGRIDD_EVERY_BIT=1`. What a chain alone cannot see, whole records cut from the end, is
found by the heads that left the machine with the alerts.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hedgegridd.errors import JournalDamaged, StateError
from hedgegridd.journal import Journal, Verification, verify
from hedgegridd.journal.records import Heads
from hedgegridd.journal.segments import STREAMS, segments
from hedgegridd.model import Mark

SAMPLE = 2_400
EVERY = os.environ.get("HEDGEGRIDD_EVERY_BIT") == "1"
Say = Callable[[str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three segments of each stream, the closed inputs compressed, and a last one that is written to."""
    folder = tmp_path / "journal"
    journal = Journal(folder)
    journal.open()
    for n in range(1, 13):
        journal.input(Mark("BTCUSDT", 1_000 * n, 500_000.0 + n, 500_000.5, 0.0001, 28_800_000))
        if n % 2:
            journal.act("order", 1_000 * n, {"t": 1_000 * n, "client_id": f"hg-BTCUSDT-LE-{n}-1", "price": 500_000 - n, "qty": 2})
        if n in (4, 8):
            journal.rotate({"version": "1", "engine": {"marks": n}})
    journal.close()
    journal = Journal(folder)  # its start waits for the compression, whatever the first life had time for
    journal.open()
    journal.close()
    return folder


@pytest.fixture
def heads(folder: Path) -> Heads:
    """As an alert carries them off the machine."""
    return verify(folder).heads


class Tried:
    """What was changed, and what was not found."""

    def __init__(self, folder: Path, heads: Heads) -> None:
        self.folder, self.heads, self.count, self.missed = folder, heads, 0, list[str]()
        assert verify(folder, heads).ok and not verify(folder, heads).notes

    def look(self, what: str) -> None:
        """Judge the folder as it is now."""
        self.count += 1
        try:
            found = verify(self.folder, self.heads)
        except (JournalDamaged, StateError) as error:
            self._named(what, str(error))
            return
        if found.ok and not found.notes:
            self.missed.append(what)
        else:
            self._named(what, told(found))

    def _named(self, what: str, text: str) -> None:
        if not re.search(r"(acts|inputs)-\d{12}\.jsonl|head\.json", text):
            self.missed.append(f"{what}: found, not named: {text}")

    def changed(self, path: Path, data: bytes, what: str) -> None:
        """Another content for a while."""
        before = path.read_bytes()
        path.write_bytes(data)
        self.look(f"{path.name}: {what}")
        path.write_bytes(before)

    def done(self, say: Say, what: str) -> None:
        say(f"journal verify: {what}: {self.count - len(self.missed)} of {self.count} found and named")
        assert not self.missed, self.missed[:10]


def told(found: Verification) -> str:
    return " ".join([*(str(part) for part in found.first_bad or ()), found.expected, found.found, *found.notes])


@pytest.fixture
def tried(folder: Path, heads: Heads) -> Tried:
    return Tried(folder, heads)


def files(folder: Path) -> list[Path]:
    """All that belongs to the journal; `lock` does not."""
    return sorted(path for path in folder.iterdir() if path.name != "lock")


def plain(folder: Path) -> Iterator[tuple[Path, list[bytes]]]:
    for path in files(folder):
        if path.suffix == ".jsonl":
            yield path, path.read_bytes().splitlines(keepends=True)


def test_the_journal_tried_here_is_a_whole_one(folder: Path) -> None:
    names = [path.name for path in files(folder)]
    assert sum(name.endswith(".jsonl.gz") for name in names) >= 2 and sum(name.endswith(".sum") for name in names) >= 2
    assert all(len(segments(folder, stream)) >= 3 for stream in STREAMS)


def test_every_flipped_bit_is_found(folder: Path, tried: Tried, measured: Say) -> None:
    places = [(path, at, bit) for path in files(folder) for at in range(path.stat().st_size) for bit in range(8)]
    for path, at, bit in places if EVERY else random.Random(7).sample(places, SAMPLE):
        data = bytearray(path.read_bytes())
        data[at] ^= 1 << bit
        tried.changed(path, bytes(data), f"bit {bit} of byte {at}")
    tried.done(measured, "flipped bits")


def test_a_sum_that_is_gone_is_missed(folder: Path) -> None:
    gone = next(path for path in files(folder) if path.suffix == ".sum")
    gone.unlink()
    found = verify(folder)
    assert not found.ok and gone.name.removesuffix(".gz.sum") in str(found) and "missing" in str(found)


def test_a_tail_cut_at_any_length_is_found(folder: Path, tried: Tried, measured: Say) -> None:
    for path in files(folder):
        data = path.read_bytes()
        for length in range(len(data)):
            tried.changed(path, data[:length], f"cut to {length} bytes")
    tried.done(measured, "tails cut at every length")


def test_every_record_removed_doubled_or_swapped_with_its_neighbour_is_found(folder: Path, tried: Tried, measured: Say) -> None:
    for path, lines in plain(folder):
        for at in range(len(lines)):
            tried.changed(path, b"".join([*lines[:at], *lines[at + 1 :]]), f"record {at} removed")
            tried.changed(path, b"".join([*lines[: at + 1], *lines[at:]]), f"record {at} doubled")
        for at in range(len(lines) - 1):
            tried.changed(path, b"".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]), f"records {at}, {at + 1} swapped")
    tried.done(measured, "records removed, doubled, swapped")


def test_whole_records_cut_from_the_end_of_both_streams_are_found_by_a_head(folder: Path, tried: Tried, measured: Say) -> None:
    """What the chain cannot see: it ends a few records sooner, and every link of it is sound."""
    kept = {stream: segments(folder, stream)[-1].path for stream in STREAMS}
    lines = {stream: path.read_bytes().splitlines(keepends=True) for stream, path in kept.items()}
    numbers = sorted((int(line[5 : line.index(b",")]), stream) for stream, rows in lines.items() for line in rows[1:])
    for length in range(1, len(numbers) + 1):
        gone = [stream for _, stream in numbers[-length:]]
        for stream, path in kept.items():
            path.write_bytes(b"".join(lines[stream][: len(lines[stream]) - gone.count(stream)]))
        assert verify(folder).ok, "the chain alone sees nothing"
        tried.look(f"{length} last records cut")
    tried.done(measured, "whole records cut from the end of both streams, with the head of an alert")


def test_every_segment_removed_or_exchanged_is_found(folder: Path, tried: Tried, measured: Say) -> None:
    paths = [path for path in files(folder) if path.suffix in (".jsonl", ".gz")]
    for path in paths:
        data = path.read_bytes()
        path.unlink()
        tried.look(f"{path.name} removed")
        path.write_bytes(data)
    for one in paths:
        for other in paths:
            if one < other and one.suffix == other.suffix:
                first, second = one.read_bytes(), other.read_bytes()
                one.write_bytes(second)
                tried.changed(other, first, f"exchanged with {one.name}")
                one.write_bytes(first)
    tried.done(measured, "segments removed or exchanged")


def test_a_journal_written_anew_is_not_the_one_a_head_vouches_for(folder: Path, heads: Heads, tmp_path: Path) -> None:
    """Sound in every link, with as many records: only the head tells."""
    forged = tmp_path / "forged"
    shutil.copytree(folder, forged)
    (number, digest), other = heads[0], heads[1]
    assert verify(forged, ((number, digest), other)).ok
    found = verify(forged, ((number, "0" * 32), other))
    assert not found.ok and found.expected == f"hash {'0' * 32}" and found.found == f"hash {digest}"


def test_a_head_of_pruned_inputs_proves_nothing_and_says_so(folder: Path) -> None:
    first = segments(folder, "inputs")[0].path
    first.unlink()
    found = verify(folder, ((1, "0" * 32),))
    assert not found.ok and found.first_bad and "pruned" in found.first_bad[2]
    assert "pruned by age or size, or removed" in verify(folder).notes[0]


def test_what_is_found_is_told_with_what_was_expected(folder: Path) -> None:
    path, lines = next((path, lines) for path, lines in plain(folder) if path.name.startswith("acts") and len(lines) > 2)
    path.write_bytes(b"".join([*lines[:1], lines[1].replace(b"qty", b"quy"), *lines[2:]]))
    found = verify(folder)
    assert found.first_bad and found.first_bad[:2] == (path.name, 2)
    assert "hash goes on from" in found.expected and "(order) with hash" in found.found and found.after
