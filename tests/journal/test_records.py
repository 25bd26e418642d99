"""The readers: what `verify` finds and names, what `tail` shows, what a replay gets."""

from __future__ import annotations

import gzip
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hedgegridd.errors import JournalDamaged, StateError
from hedgegridd.journal import Journal
from hedgegridd.journal.records import Verification, pruned, replayable, span, tail, verify
from hedgegridd.journal.segments import ACTS, CHECKPOINT, INPUT, INPUTS, STREAMS, Segment, fingerprint, segments, sum_of
from hedgegridd.model import Bar


def bar(n: int) -> Bar:
    return Bar("BTCUSDT", 60_000 * n, n, n, n, n, 1, 60_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three segments of each stream; all plain, so that a test can change single bytes."""
    folder = tmp_path / "journal"
    journal = Journal(folder)
    journal.open()
    for n in range(1, 10):
        journal.input(bar(n))
        journal.act("intent", 60_000 * n, {"client_id": f"hg-{n}", "order_id": str(n)})
        if n % 3 == 0 and n < 9:
            journal.rotate({"bars": n})
    journal.close()
    for packed in folder.glob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
        sum_of(packed).unlink()
    return folder


def edit(path: Path, change: Callable[[list[bytes]], object]) -> None:
    texts = path.read_bytes().splitlines(keepends=True)
    change(texts)
    path.write_bytes(b"".join(texts))


def every_segment(folder: Path) -> list[Segment]:
    return [segment for stream in STREAMS for segment in segments(folder, stream)]


# --- verify ------------------------------------------------------------------------------------------------------------


def test_a_sound_journal_verifies_compressed_or_not(folder: Path) -> None:
    found = verify(folder)
    assert found == Verification(True, 24, None, heads=found.heads) and [number for number, _ in found.heads] == [23, 24]
    Journal(folder).open()
    assert verify(folder).ok


def test_a_flipped_bit_in_any_earlier_record_is_found_and_named(folder: Path) -> None:
    for segment in every_segment(folder):
        whole = segment.path.read_bytes()
        texts = whole.splitlines(keepends=True)
        newest = segment == segments(folder, segment.stream)[-1]
        at = 0
        for number, text in enumerate(texts[:-1] if newest else texts, 1):
            for offset in range(at, at + len(text)):
                data = bytearray(whole)
                data[offset] ^= 1 << (offset % 8)
                segment.path.write_bytes(data)
                found = verify(folder)
                assert found.first_bad is not None and found.first_bad[:2] == (segment.name, number), (offset, found)
            at += len(text)
        segment.path.write_bytes(whole)
    assert verify(folder).ok


def test_a_removed_doubled_or_moved_record_is_found(folder: Path) -> None:
    changes: list[Callable[[list[bytes]], object]] = [
        lambda texts: texts.pop(1),
        lambda texts: texts.insert(1, texts[1]),
        lambda texts: texts.insert(1, texts.pop(2)),
        lambda texts: texts.pop(0),
    ]
    for segment in every_segment(folder):
        whole = segment.path.read_bytes()
        for change in changes:
            edit(segment.path, change)
            found = verify(folder)
            assert found.first_bad and found.first_bad[0] == segment.name
            segment.path.write_bytes(whole)


def test_records_cut_from_the_end_of_a_closed_segment_are_found(folder: Path) -> None:
    for stream in STREAMS:
        first, second, _ = segments(folder, stream)
        whole = first.path.read_bytes()
        edit(first.path, lambda texts: texts.pop())
        found = verify(folder)
        assert found.first_bad and found.first_bad[0] == second.name and first.name in found.first_bad[2]
        first.path.write_bytes(whole)


def test_records_cut_from_the_end_of_one_stream_are_found(folder: Path) -> None:
    path = segments(folder, INPUTS)[-1].path
    edit(path, lambda texts: texts.pop())
    found = verify(folder)
    assert found.first_bad and found.first_bad[0] == path.name and "neither stream" in found.first_bad[2]


def test_a_segment_removed_anywhere_is_found(folder: Path) -> None:
    for segment in every_segment(folder):
        if segment == segments(folder, INPUTS)[0]:
            continue  # that is pruning
        whole = segment.path.read_bytes()
        segment.path.unlink()
        assert not verify(folder).ok, segment
        segment.path.write_bytes(whole)
    assert verify(folder).ok


def test_removed_newest_segments_of_both_streams_are_found(folder: Path) -> None:
    gone = [segments(folder, stream)[-1] for stream in STREAMS]
    for segment in gone:
        segment.path.unlink()
    found = verify(folder)
    assert found.first_bad and found.first_bad[0] == "head.json" and all(segment.name in found.first_bad[2] for segment in gone)
    (folder / "head.json").unlink()
    assert not verify(folder).ok


def test_pruned_inputs_are_no_fault(folder: Path) -> None:
    assert pruned(folder) is None
    first, second, _ = segments(folder, INPUTS)
    first.path.unlink()
    assert verify(folder).ok
    assert pruned(folder) == (1, second.first - 1)


def test_a_broken_archive_is_named(folder: Path) -> None:
    segment = segments(folder, INPUTS)[0]
    packed = bytearray(gzip.compress(segment.path.read_bytes(), mtime=0))
    segment.path.unlink()
    path = segment.path.with_name(segment.name + ".gz")
    path.write_bytes(packed)
    sum_of(path).write_text(f"{fingerprint(path)}\n")
    for at in range(0, len(packed), 3):
        packed[at] ^= 1
        path.write_bytes(packed)
        found = verify(folder)
        assert not found.ok and (found.first_bad and found.first_bad[0] in (segment.name, segments(folder, INPUTS)[1].name))
        packed[at] ^= 1
    path.write_bytes(packed[:-20])
    assert not verify(folder).ok
    path.write_bytes(packed)
    assert verify(folder).ok


def test_a_journal_that_is_being_written_verifies(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open()
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            journal.input(bar(n))
            journal.act("intent", n, {})
            if n % 500 == 0:
                journal.rotate({"n": n})
            if n % 10 == 0:
                stop.wait(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(15):
            assert verify(tmp_path).ok
            assert tail(tmp_path, 5) is not None
    finally:
        stop.set()
        writer.join()
        journal.close()
    assert verify(tmp_path).ok


def test_no_journal_is_not_a_sound_one(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no such folder"):
        verify(tmp_path / "none")


# --- tail --------------------------------------------------------------------------------------------------------------


def test_tail_shows_the_last_acts_over_segments_oldest_first(folder: Path) -> None:
    assert [record.data["order_id"] for record in tail(folder, 5)] == ["5", "6", "7", "8", "9"]
    assert [record.kind for record in tail(folder, 100)] == ["intent"] * 9
    assert tail(folder, 0) == []


def test_tail_of_one_order_by_either_id(folder: Path) -> None:
    assert [record.time for record in tail(folder, 10, "hg-2")] == [120_000]
    assert [record.time for record in tail(folder, 10, "2")] == [120_000]
    assert tail(folder, 10, "hg") == []


def test_tail_passes_over_what_is_torn(folder: Path) -> None:
    path = segments(folder, ACTS)[-1].path
    path.write_bytes(path.read_bytes()[:-9])
    assert [record.data["order_id"] for record in tail(folder, 2)] == ["7", "8"]


# --- replay ------------------------------------------------------------------------------------------------------------


def test_a_replay_gets_everything_in_order_and_each_checkpoint_once(folder: Path) -> None:
    records = list(replayable(folder))
    numbers = [record.seq for record in records]
    assert numbers == sorted(numbers)
    assert [record.data for record in records if record.kind == INPUT] == [bar(n) for n in range(1, 10)]
    assert len([record for record in records if record.kind == "intent"]) == 9
    assert [record.data["state"] for record in records if record.kind == CHECKPOINT] == [None, {"bars": 3}, {"bars": 6}]


def test_a_replay_begins_with_the_checkpoint_before_the_number_asked_for(folder: Path) -> None:
    second, third = segments(folder, INPUTS)[1:]
    records = list(replayable(folder, third.first - 1, third.first - 1))
    assert records[0].data["state"] == {"bars": 3} and records[0].seq == second.first
    assert [record.data for record in records if record.kind == INPUT] == [bar(4), bar(5), bar(6)]
    assert next(replayable(folder, third.first)).data["state"] == {"bars": 6}


def test_a_replay_of_pruned_inputs_begins_where_they_do(folder: Path) -> None:
    segments(folder, INPUTS)[0].path.unlink()
    assert next(replayable(folder, 1)).data["state"] == {"bars": 3}


def test_a_replay_stops_at_damage(folder: Path) -> None:
    edit(segments(folder, INPUTS)[1].path, lambda texts: texts.pop(2))
    with pytest.raises(JournalDamaged):
        list(replayable(folder))


def test_nothing_to_replay(tmp_path: Path) -> None:
    assert list(replayable(tmp_path)) == [] and pruned(tmp_path) is None and span(tmp_path) is None


def test_the_span_of_a_replay_is_known_beforehand(folder: Path) -> None:
    assert span(folder) == (60_000, 540_000)
    assert span(folder, segments(folder, INPUTS)[2].first) == (360_000, 540_000)  # its checkpoint
    newest = segments(folder, INPUTS)[-1].path
    newest.write_bytes(newest.read_bytes()[:-5])
    assert span(folder) == (60_000, 480_000)


def test_copies_are_as_good(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    assert verify(tmp_path / "copy") == verify(folder)
