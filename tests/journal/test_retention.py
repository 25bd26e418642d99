"""Closed inputs: compressed without loss, pruned by age and size, the newest two and the acts never."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import pytest

from hedgegridd.journal.retention import compress, prune, tidy
from hedgegridd.journal.segments import INPUTS, Segment, segments

DAY = 86_400_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five closed segments, one to five days old, 1000 bytes each, and acts beside them."""
    for n in range(1, 6):
        for stream in ("inputs", "acts"):
            path = tmp_path / f"{stream}-{n:012d}.jsonl"
            path.write_bytes(b"%d" % n * 1000)
            then = time.time() - (6 - n) * 86400
            os.utime(path, (then, then))
    return tmp_path


def firsts(folder: Path) -> list[int]:
    return [segment.first for segment in segments(folder, INPUTS)]


def now() -> float:
    return time.time() * 1000


def test_by_age(folder: Path) -> None:
    prune(folder, now() - 3.5 * DAY, 1e9)
    assert firsts(folder) == [3, 4, 5]


def test_by_size_counting_the_acts(folder: Path) -> None:
    prune(folder, 0, 8000)
    assert firsts(folder) == [3, 4, 5] and len(list(folder.glob("acts-*"))) == 5


def test_the_newest_two_stay(folder: Path) -> None:
    prune(folder, now() + DAY, 0)
    assert firsts(folder) == [4, 5] and len(list(folder.glob("acts-*"))) == 5


def test_compressed_without_loss_and_with_its_time(folder: Path) -> None:
    segment = segments(folder, INPUTS)[0]
    before = segment.path.stat().st_mtime
    compress(segment)
    packed = segments(folder, INPUTS)[0]
    assert packed.path.suffix == ".gz" and packed.name == segment.name and not segment.path.exists()
    assert gzip.decompress(packed.path.read_bytes()) == b"1" * 1000
    assert packed.path.stat().st_mtime == pytest.approx(before, abs=0.01)


def test_a_crash_between_is_done_again(folder: Path) -> None:
    plain = segments(folder, INPUTS)[0].path
    plain.with_name(plain.name + ".gz").write_bytes(b"half")
    assert segments(folder, INPUTS)[0].path == plain  # the plain one counts
    tidy(folder, 0, 1e9)
    assert [segment.path.suffix for segment in segments(folder, INPUTS)] == [".gz"] * 4 + [".jsonl"]
    assert gzip.decompress(segments(folder, INPUTS)[0].path.read_bytes()) == b"1" * 1000
    tidy(folder, 0, 1e9)  # nothing left to do


def test_both_forms_are_removed(folder: Path) -> None:
    plain = segments(folder, INPUTS)[0].path
    plain.with_name(plain.name + ".gz").write_bytes(b"half")
    prune(folder, now() - 4.5 * DAY, 1e9)
    assert not list(folder.glob(f"{plain.name}*"))


def test_a_refusal_leaves_the_plain_one(folder: Path) -> None:
    gone = Segment(INPUTS, 99, folder / "inputs-000000000099.jsonl")
    with pytest.raises(FileNotFoundError):
        compress(gone)
    assert not list(folder.glob(".*"))
