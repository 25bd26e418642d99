"""Every crash point of the kill path, in a process of its own that forks a run at each; `crashpoints` makes more ways, and a slow disk.

Here: every point of every trigger on both kinds of exchange; the process killed, the record torn, and a power cut that takes all that was
not synced; and where a person activates, each call that fails once.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from simulation.crashpoints import CASES, Case
from simulation.faultydisk import FaultyDisk

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("case", [case for case in CASES if not case.delay], ids=str)
def test_every_point(case: Case, measured: Callable[[str], None]) -> None:
    """The row "the daemon is killed in the middle of a flatten" of what dies and what still protects."""
    kinds = "kill,tear,lost" + (",error" if case.trigger == "activate" else "")
    command = [sys.executable, "-m", "simulation.crashpoints", "--case", str(case), "--kinds", kinds]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) points, (\d+) strikes, (\d+) as promised", done.stdout)
    assert found, done.stdout
    points, strikes, good = map(int, found.groups())
    assert points > 50 and strikes > 2 * points and good == strikes
    measured(f"crash points, {case}: {found[0]}")


# --- the disk that this rests on --------------------------------------------------------------------------------------------


def disk(folder: Path) -> FaultyDisk:
    return FaultyDisk(folder, lambda name, torn=None: "", lambda: False)


def test_what_was_synced_survives_a_power_cut_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    with disk(tmp_path).mounted() as made:
        fd = os.open(tmp_path / "old", os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"+synced")
        os.fsync(fd)
        os.write(fd, b"+notyet.")
        new = os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(new, b"whole")
        os.fsync(new)
        images = {kept: made.image(kept) for kept in ("kill", "lost", "half")}
        folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        later = made.image("lost")
        for one in (fd, new, folder):
            os.close(one)
    assert images["kill"] == {"old": b"old+synced+notyet.", "new": b"whole"}
    assert images["lost"] == {"old": b"old+synced"}, "its name is not on the disk yet"
    assert images["half"] == {"old": b"old+synced+not", "new": b"whole"}
    assert later == {"old": b"old+synced", "new": b"whole"}


def test_a_rename_is_not_there_before_its_folder_is_synced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"before")
    with disk(tmp_path).mounted() as made:
        fd = os.open(tmp_path / "stage", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(fd, b"after")
        os.fsync(fd)
        os.close(fd)
        os.replace(tmp_path / "stage", tmp_path / "file")  # noqa: PTH105
        assert made.image("lost") == {"file": b"before"}
        assert made.image("half") == {"file": b"after"}
        assert made.image("kill") == {"file": b"after"}


def test_the_calls_are_the_systems_own_again_afterwards(tmp_path: Path) -> None:
    before = os.write
    with disk(tmp_path).mounted():
        assert os.write is not before
    assert os.write is before
