"""The journal as its writer and its next start know it: crashes, full disks, kill -9, damage, rotation."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.errors import AlreadyRunning, StateError
from hedgegridd.journal import Journal, Record, Recovered, replayable, verify
from hedgegridd.journal.segments import ACTS, INPUTS, Segment, line, lines, parse, segments
from hedgegridd.model import Bar, Mark


def bar(n: int) -> Bar:
    return Bar("BTCUSDT", 60_000 * n, n, n, n, n, 1, 60_000)


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[tuple[Journal, Recovered]]:
    journal = Journal(folder, **settings)
    found = journal.open()
    try:
        yield journal, found
    finally:
        journal.close()


def fill(journal: Journal, count: int, first: int = 1) -> None:
    for n in range(first, first + count):
        journal.input(bar(n))
        journal.act("intent", 60_000 * n, {"client_id": f"hg-{n}", "price": n})


def start(folder: Path) -> Recovered:
    with opened(folder) as (_, found):
        return found


def newest(folder: Path, stream: str) -> Path:
    return segments(folder, stream)[-1].path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A journal with a rotation behind it and a few records after."""
    with opened(tmp_path / "journal") as (journal, _):
        fill(journal, 3)
        journal.act("kill", 1, {"active": True, "level": "halt"})
        journal.rotate({"bars": 3})
        fill(journal, 3, 4)
    return tmp_path / "journal"


# --- as on any day -----------------------------------------------------------------------------------------------------


def test_a_first_start_finds_nothing(tmp_path: Path) -> None:
    assert start(tmp_path / "a" / "journal") == Recovered(None, [], None, 2, [], None)
    assert verify(tmp_path / "a" / "journal").ok


def test_inputs_before_the_first_checkpoint_come_back(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, _):
        numbers = [journal.input(bar(1)), journal.act("intent", 1, {}), journal.input(Mark("BTCUSDT", 2, 0.1))]
    assert numbers == [3, 4, 5]
    assert start(tmp_path) == Recovered(None, [(3, bar(1)), (5, Mark("BTCUSDT", 2, 0.1))], None, 5, [], None)


def test_a_start_reads_from_the_checkpoint_on(folder: Path) -> None:
    found = start(folder)
    assert found.checkpoint == {"bars": 3}
    assert [event for _, event in found.inputs] == [bar(4), bar(5), bar(6)]
    assert found.last_kill == {"active": True, "level": "halt"}
    assert (found.cut, found.damage) == ([], None)


def test_the_last_kill_is_the_newest(folder: Path) -> None:
    with opened(folder) as (journal, _):
        journal.act("kill", 9, {"active": False})
        for n in range(3):
            journal.rotate({"n": n})
    assert start(folder).last_kill == {"active": False}


def test_numbers_and_chain_go_on_over_starts_and_segments(folder: Path) -> None:
    for n in range(3):
        with opened(folder) as (journal, found):
            assert journal.seq == found.seq
            assert journal.input(bar(10 + n)) == found.seq + 1
            if n:
                journal.rotate({"n": n})
    found = verify(folder)
    assert found.ok and found.records == start(folder).seq


def test_a_record_has_the_documented_form(folder: Path) -> None:
    row = json.loads(newest(folder, INPUTS).read_bytes().splitlines()[-1])
    assert list(row) == ["n", "t", "w", "k", "d", "h"] and len(row["h"]) == 32
    assert row["k"] == "input" and row["d"][0] == "Bar" and row["t"] == bar(6).time
    assert abs(row["w"] - time.time() * 1000) < 600_000


def test_strange_text_stays_one_line(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, _):
        journal.act('k"\n', 1, {"x": "\n\r\u2028\ud800\0", "nan": float("inf")})
    assert verify(tmp_path).ok
    assert parse(newest(tmp_path, ACTS).read_bytes().splitlines()[-1]).kind == 'k"\n'


def test_what_is_no_json_is_refused_before_anything_is_written(folder: Path) -> None:
    with opened(folder) as (journal, _):
        seq = journal.seq
        with pytest.raises(TypeError):
            journal.act("intent", 1, {"x": {1, 2}})
        assert journal.act("intent", 1, {}) == seq + 1
    assert verify(folder).ok


def test_sync_says_how_far_and_costs_nothing_without_news(folder: Path) -> None:
    with opened(folder) as (journal, _):
        seq = journal.input(bar(9))
        assert journal.sync() == seq == journal.sync()
        began = time.perf_counter()
        for _ in range(1000):
            journal.sync()
        assert time.perf_counter() - began < 1  # a thousand fsyncs of two files would hardly be


def test_bytes_that_a_failed_fsync_may_have_dropped_are_written_again(folder: Path) -> None:
    with opened(folder) as (journal, _):
        fill(journal, 3, 7)
        before = newest(folder, ACTS).read_bytes()
        journal._acts.suspect = True  # as a failed fsync leaves it
        journal.sync()
        assert newest(folder, ACTS).read_bytes() == before and not journal._acts.suspect
        fill(journal, 1, 10)
    assert verify(folder).ok


def test_rotation_is_wanted_by_size_and_by_inputs(tmp_path: Path) -> None:
    with opened(tmp_path, max_segment_bytes=4000) as (journal, _):
        assert not journal.wants_rotation
        while not journal.wants_rotation:
            fill(journal, 1)
        assert newest(tmp_path, ACTS).stat().st_size < 5000
        journal.rotate({})
        assert not journal.wants_rotation
    with opened(tmp_path) as (journal, _):
        for n in range(10_000):
            assert not journal.wants_rotation
            journal.input(bar(n))
        assert journal.wants_rotation
    with opened(tmp_path) as (journal, _):
        assert journal.wants_rotation  # remembered


def test_writing_is_quick(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, _):
        began = time.perf_counter()
        fill(journal, 5000)
        assert (time.perf_counter() - began) / 10_000 < 200e-6  # a wide bound: about 6 us each on a quiet machine


# --- the lock ----------------------------------------------------------------------------------------------------------


def test_a_second_opener_is_refused_and_told_who_has_it(folder: Path) -> None:
    with opened(folder), pytest.raises(AlreadyRunning, match=str(os.getpid())):
        Journal(folder).open()
    code = "import sys; from pathlib import Path; from hedgegridd.journal import Journal; Journal(Path(sys.argv[1])).open()"
    with opened(folder):
        done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False, capture_output=True, text=True, timeout=60)
        assert "AlreadyRunning" in done.stderr
    assert start(folder).damage is None  # let go by close


# --- crashes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [ACTS, INPUTS])
def test_a_last_record_torn_at_any_byte_is_cut_and_reported(folder: Path, tmp_path: Path, stream: str) -> None:
    last = newest(folder, stream).read_bytes().splitlines(keepends=True)[-1]
    for keep in range(1, len(last)):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        with newest(copy, stream).open("rb+") as file:
            file.truncate(newest(copy, stream).stat().st_size - len(last) + keep)
        assert stream == INPUTS or verify(copy).ok  # not finished, so not yet a fault; a lost input shows as a hole
        with opened(copy) as (journal, found):
            assert found.damage is None and f"{keep} bytes" in found.cut[0]
            assert len(found.inputs) == (3 if stream == ACTS else 2)
            fill(journal, 1, 50)
        assert verify(copy).ok
        assert start(copy).cut == []
        shutil.rmtree(copy)


def test_blocks_never_written_are_torn_too(folder: Path) -> None:
    with newest(folder, ACTS).open("ab") as file:
        file.write(b"\0" * 4096)
    found = start(folder)
    assert found.damage is None and len(found.cut) == 1
    assert verify(folder).ok


@pytest.mark.parametrize("stream", [ACTS, INPUTS])
def test_whole_records_lost_with_the_power_are_told_once(folder: Path, stream: str) -> None:
    with opened(folder) as (journal, _):
        for n in range(5):
            journal.act("x", 1, {}) if stream == ACTS else journal.input(bar(n))
        journal.input(bar(9)) if stream == ACTS else journal.act("x", 1, {})
    texts = newest(folder, stream).read_bytes().splitlines(keepends=True)
    newest(folder, stream).write_bytes(b"".join(texts[:-2]))
    assert not verify(folder).ok
    found = start(folder)
    assert found.damage is None and "never reached the disk" in found.cut[0]
    assert verify(folder).ok and start(folder).cut == []


def _steps(folder: Path, tmp_path: Path) -> list[Path]:
    """The journal as each crash between the steps of one rotation would leave it."""
    before = tmp_path / "step0"
    shutil.copytree(folder, before)
    with opened(folder) as (journal, _):
        journal.rotate({"bars": 6})
    inputs, acts = newest(folder, INPUTS), newest(folder, ACTS)
    made: list[tuple[str, list[Path]]] = [
        ("staged", []),
        ("inputs", [inputs]),
        ("both", [inputs, acts]),
        ("all", [inputs, acts, folder / "head.json"]),
    ]
    steps = []
    for name, files in made:
        steps.append(tmp_path / name)
        shutil.copytree(before, steps[-1])
        for file in files:
            shutil.copy(file, steps[-1])
        (steps[-1] / f".{acts.name}.1.2.tmp").write_bytes(acts.read_bytes()[:40])
    return steps


def test_a_crash_between_the_steps_of_rotate_leaves_a_readable_journal(folder: Path, tmp_path: Path) -> None:
    steps = _steps(folder, tmp_path)
    for at, step in enumerate(steps):
        for _ in range(2):
            with opened(step) as (journal, found):
                assert (found.cut, found.damage) == ([], None)
                assert found.checkpoint == ({"bars": 6} if at else {"bars": 3})
                assert found.last_kill == {"active": True, "level": "halt"}
                fill(journal, 1, 60)
        with opened(step) as (journal, found):
            assert [event for _, event in found.inputs][-2:] == [bar(60), bar(60)]
            journal.rotate({"bars": 8})
        assert not list(step.glob(".*.tmp"))
        assert verify(step).ok and start(step).checkpoint == {"bars": 8}


WRITER = """
import os, sys
from pathlib import Path
from hedgegridd.journal import Journal
from hedgegridd.model import Bar
journal = Journal(Path(sys.argv[1]))
journal.open()
os.write(1, b"open\\n")
n = 0
while True:
    n += 1
    seq = journal.input(Bar("BTCUSDT", n, n, n, n, n, n, 60000)) if n % 3 else journal.act("intent", n, {"text": "x" * (n % 700)})
    os.write(1, b"%d\\n" % seq)
    if n % 7 == 0:
        journal.sync()
    if n % 40 == 0:
        journal.rotate({"n": n})
"""


def test_everything_returned_as_written_survives_kill_9(tmp_path: Path) -> None:
    told: set[int] = set()
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as child:
            assert child.stdout and child.stdout.readline() == b"open\n"
            os.set_blocking(child.stdout.fileno(), True)
            deadline = time.monotonic() + 0.02 + random.random() / 5
            rest = b""
            while time.monotonic() < deadline:
                rest += os.read(child.stdout.fileno(), 65536)
            child.kill()
            while more := os.read(child.stdout.fileno(), 65536):
                rest += more
        told.update(int(text) for text in rest.split(b"\n")[:-1])
        found = start(tmp_path)
        assert found.damage is None
        assert verify(tmp_path).ok
    kept = {record.seq for record in replayable(tmp_path)}
    assert len(told) > 100 and told <= kept


# --- a disk that refuses -----------------------------------------------------------------------------------------------

FULL = """
import json, resource, signal, sys
from pathlib import Path
from hedgegridd.journal import Journal
from hedgegridd.model import Bar
folder = Path(sys.argv[1])
def limit(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
def clean(): return all(path.read_bytes().endswith(b"\\n") for path in folder.glob("*.jsonl"))
journal = Journal(folder, max_segment_bytes=2000)
journal.open()
errors, seqs = 0, []
for size in range(1500, 6000, 97):  # the limit falls on every kind of place in a record
    limit(size)
    try:
        while True:
            seqs.append(journal.input(Bar("BTCUSDT", 1, 2, 3, 4, 5, 6, 7)))
    except OSError:
        errors += 1
        assert clean(), size
        assert journal.seq == seqs[-1]
limit(100)
try:
    journal.rotate({"x": "y" * 500})
    raise SystemExit("the rotation should have failed")
except OSError:
    assert not journal.wants_rotation and clean()
try:
    journal.act("kill", 1, {})
    raise SystemExit("the act should have failed")
except OSError:
    pass
journal.close()
found = Journal(folder).open()  # a full disk is no reason not to start
assert found.damage is None and not found.cut, found
limit(resource.RLIM_INFINITY)
print(json.dumps([errors, seqs]))
"""


def test_a_full_disk_leaves_whole_records_and_the_next_write_is_clean(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    errors, seqs = json.loads(done.stdout)
    assert errors > 30 and seqs == list(range(3, 3 + len(seqs)))
    assert verify(tmp_path).ok
    with opened(tmp_path) as (journal, found):
        assert [seq for seq, _ in found.inputs] == seqs
        journal.rotate({"after": True})
    assert start(tmp_path).checkpoint == {"after": True} and verify(tmp_path).ok


# --- damage ------------------------------------------------------------------------------------------------------------


def _edit(path: Path, change: Callable[[list[bytes]], None]) -> None:
    texts = path.read_bytes().splitlines(keepends=True)
    change(texts)
    path.write_bytes(b"".join(texts))


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_damage_is_reported_never_raised_and_left_behind_by_the_next_rotation(folder: Path) -> None:
    path = newest(folder, INPUTS)
    _edit(path, lambda texts: texts.pop(2))
    evidence = path.read_bytes()
    with opened(folder) as (journal, found):
        assert found.damage and path.name in found.damage and "record 3" in found.damage
        assert [event for _, event in found.inputs] == [bar(4)]  # up to the damage
        assert found.checkpoint == {"bars": 3} and found.last_kill == {"active": True, "level": "halt"}
        assert journal.wants_rotation
        journal.input(bar(9))
        journal.rotate({"bars": 9})
    assert b"".join(lines(segments(folder, INPUTS)[-2])).startswith(evidence)
    assert start(folder) == Recovered({"bars": 9}, [], found.last_kill, journal.seq, [], None)
    assert verify(folder).first_bad == (
        path.name,
        3,
        "the hash does not verify: it, or the record before it, was changed, removed or moved",
    )


def test_a_kill_after_the_damage_is_still_obeyed(folder: Path) -> None:
    with opened(folder) as (journal, _):
        journal.act("kill", 9, {"active": True, "level": "flatten"})
    _flip(newest(folder, ACTS), 400)
    found = start(folder)
    assert found.damage and found.last_kill == {"active": True, "level": "flatten"}


@pytest.mark.parametrize("stream", [ACTS, INPUTS])
def test_a_bad_checkpoint_in_one_stream_is_taken_from_the_other(folder: Path, stream: str) -> None:
    _flip(newest(folder, stream), 20)
    found = start(folder)
    assert found.damage and found.checkpoint == {"bars": 3} and found.last_kill


@pytest.mark.parametrize("streams", [[ACTS], [INPUTS], [ACTS, INPUTS]])
def test_a_removed_newest_segment_is_damage(folder: Path, streams: list[str]) -> None:
    names = [newest(folder, stream).name for stream in streams]
    for stream in streams:
        newest(folder, stream).unlink()
    assert not verify(folder).ok
    for _ in range(2):  # until a rotation
        with opened(folder) as (journal, found):
            assert found.damage and all(name in found.damage for name in names)
            assert found.checkpoint == (None if len(streams) == 2 else {"bars": 3})
    with opened(folder) as (journal, _):
        journal.rotate({"bars": 7})
    found = start(folder)
    assert found.damage is None and found.checkpoint == {"bars": 7}
    assert not verify(folder).ok  # for ever


def test_headers_destroyed_in_both_streams_keep_their_files(tmp_path: Path) -> None:
    start(tmp_path)
    files = {newest(tmp_path, stream): b"\0" * 100 for stream in (ACTS, INPUTS)}
    for path, data in files.items():
        path.write_bytes(data)
    with opened(tmp_path) as (journal, found):
        assert found.damage and found.checkpoint is None
        journal.rotate({})
    for path, data in files.items():
        assert b"".join(lines(Segment(path.name.split("-")[0], 0, path))) == data
    assert start(tmp_path).damage is None


def test_an_input_of_an_unknown_noun_is_damage(folder: Path) -> None:
    path = newest(folder, INPUTS)
    last = parse(path.read_bytes().splitlines()[-1])
    with path.open("ab") as file:
        file.write(line(last.hash, last.seq + 5, 1, 1, "input", ["Candle", 1])[0])
    found = start(folder)
    assert found.damage and "Candle" in found.damage and len(found.inputs) == 3


def test_any_flipped_bit_before_the_last_record_is_seen_at_the_start(folder: Path, tmp_path: Path) -> None:
    for stream in (ACTS, INPUTS):
        texts = newest(folder, stream).read_bytes().splitlines(keepends=True)
        for at in range(0, sum(map(len, texts[:-1])), 11):
            copy = tmp_path / "copy"
            shutil.copytree(folder, copy)
            _flip(newest(copy, stream), at)
            assert start(copy).damage, (stream, at)
            shutil.rmtree(copy)


# --- versions, size and time -------------------------------------------------------------------------------------------


def test_what_a_newer_version_wrote_is_refused_and_left_alone(folder: Path) -> None:
    head = folder / "head.json"
    head.write_text(head.read_text().replace('"format": 1', '"format": 2'))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StateError, match=r"head\.json has format 2.*newer") as error:
        Journal(folder).open()
    assert error.value.exit_code == 78
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_newer_segment_is_refused(tmp_path: Path) -> None:
    says = {"format": 2, "stream": "acts", "previous": "", "prev": "0" * 32, "last_kill": None, "state": None}
    (tmp_path / "acts-000000000001.jsonl").write_bytes(line("0" * 32, 1, 0, 0, "checkpoint", says)[0])
    with pytest.raises(StateError, match="format 2"):
        Journal(tmp_path).open()


def test_a_folder_that_cannot_be_used_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")
    with pytest.raises(StateError, match="cannot be used"):
        Journal(tmp_path / "journal").open()


def test_a_start_takes_no_longer_with_many_segments(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, _):
        for n in range(60):
            fill(journal, 100)
            journal.rotate({"n": n})
        fill(journal, 5)
    with opened(tmp_path):
        pass  # lets the compressing catch up
    began = time.perf_counter()
    with opened(tmp_path) as (_, found):
        taken = time.perf_counter() - began
    assert found.checkpoint == {"n": 59} and len(found.inputs) == 5
    assert taken < 3
    assert len(segments(tmp_path, ACTS)) == 61 and verify(tmp_path).ok


def test_closed_inputs_are_compressed_and_the_old_ones_pruned(tmp_path: Path) -> None:
    for n in range(4):
        with opened(tmp_path) as (journal, _):
            fill(journal, 50)
            journal.rotate({"n": n})
    start(tmp_path)
    row = segments(tmp_path, INPUTS)
    assert [segment.path.suffix for segment in row] == [".gz"] * 4 + [".jsonl"]
    assert all(segment.path.suffix == ".jsonl" for segment in segments(tmp_path, ACTS))
    assert verify(tmp_path).ok
    with opened(tmp_path, wall=lambda: time.time_ns() // 1_000_000 + 20 * 86_400_000):
        pass
    assert [segment.first for segment in segments(tmp_path, INPUTS)] == [segment.first for segment in row[-2:]]
    assert len(segments(tmp_path, ACTS)) == 5
    assert verify(tmp_path).ok and start(tmp_path).damage is None


def test_records_are_plain_values(folder: Path) -> None:
    assert isinstance(next(replayable(folder)), Record)


@pytest.mark.parametrize("how", ["deleted", "moved", "another's"])
def test_a_folder_that_is_no_longer_there_is_no_place_to_write(tmp_path: Path, how: str) -> None:
    journal = Journal(tmp_path / "journal")
    journal.open()
    journal.act("note", 1, {})
    journal.sync()
    if how == "deleted":
        shutil.rmtree(journal.folder)
    else:
        journal.folder.rename(tmp_path / "away")
    other = Journal(tmp_path / "journal") if how == "another's" else None
    if other is not None:
        other.open()
    journal.act("note", 2, {})
    for step in (journal.check_place, journal.sync):
        with pytest.raises(OSError, match="deleted or moved"):
            step()
    if how == "moved":
        (tmp_path / "away").rename(journal.folder)
        journal.sync()
        journal.close()
    else:
        with pytest.raises(OSError, match="deleted or moved"):
            journal.close()
    if other is not None:
        other.close()


@pytest.mark.parametrize("name", ["head.json", "inputs"])
@pytest.mark.parametrize("how", ["pipe", "deep"])
def test_what_lies_in_the_place_of_a_file_is_damage_and_holds_no_start_up(folder: Path, name: str, how: str) -> None:
    path = max(folder.glob("inputs*.jsonl")) if name == "inputs" else folder / name
    path.unlink()
    if how == "pipe":
        os.mkfifo(path)  # nobody will ever write into it
    else:
        path.write_bytes(b"[" * 100_000 + b"\n")
    journal = Journal(folder)
    found = journal.open()
    assert found.damage and path.name in str(found.damage), found
    journal.close()
