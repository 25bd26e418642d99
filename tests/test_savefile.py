"""A file saved whole or not at all: also when the writer is killed, the disk is full, or two write at once."""

from __future__ import annotations

import os
import random
import resource
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hedgegridd.savefile import load, save


def test_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    save(path, "grüße")
    assert load(path) == "grüße".encode()
    save(path, b"\0\xff")
    assert load(path) == b"\0\xff"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_the_mode_is_kept_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        save(tmp_path / "a", "")
        save(tmp_path / "b", "", 0o600)
    finally:
        os.umask(old)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o640, 0o600]


def test_a_link_in_its_place_is_replaced_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("theirs")
    (tmp_path / "a").symlink_to(target)
    save(tmp_path / "a", "ours")
    assert target.read_text() == "theirs" and not (tmp_path / "a").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_file_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 23456)
    save(tmp_path / "a", "x")
    found = (tmp_path / "a").stat()
    assert (found.st_uid, found.st_gid) == (12345, 23456)


def test_a_refusal_leaves_the_old_text_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save(path, "old")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    code = "import sys; from pathlib import Path; from hedgegridd.savefile import save; save(Path(sys.argv[1]), 'x' * 5000)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=False, preexec_fn=limited, capture_output=True, text=True, timeout=60
    )
    assert "File too large" in done.stderr
    assert load(path) == b"old" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "none" / "a", "x")


def test_a_killed_writer_leaves_one_whole_text(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save(path, "0" * 100_000)
    code = (
        "import sys, itertools; from pathlib import Path; from hedgegridd.savefile import save\n"
        "for n in itertools.cycle('123456789'): save(Path(sys.argv[1]), n * 100_000)"
    )
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", code, str(path)])
        time.sleep(0.1 + random.random() / 10)
        child.kill()
        child.wait()
        text = load(path)
        assert len(text) == 100_000 and len(set(text)) == 1


def test_two_threads_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a"
    threads = [threading.Thread(target=lambda c=c: [save(path, c * 5000) for _ in range(30)]) for c in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(load(path))) == 1 and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["folder", "pipe", "device"])
def test_what_is_no_file_is_neither_read_nor_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "it")
    with pytest.raises(OSError, match="expected a plain file"):
        load(tmp_path / "it")


def test_no_more_is_read_than_is_wanted(tmp_path: Path) -> None:
    save(tmp_path / "a", b"x" * 100)
    assert load(tmp_path / "a", 10) == b"x" * 10
