"""What a power cut took from the journal is counted, and is no difference; whatever else differs is one."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from live.test_attack import Feed, Life, living, quiet, until
from rig import REGISTRY

from hedgegridd.cli import main
from hedgegridd.live.replay import replay


async def lived(state: Path, bars: int) -> None:
    """A life on so many bars, whose process then ends without a word."""
    life = Life(state, Feed(lambda: quiet(bars)))
    async with living(life) as daemon:
        await until(lambda: daemon.feed_over and not daemon.busy)


def newest(state: Path, stream: str) -> Path:
    return max((state / "journal").glob(f"{stream}-*.jsonl"))


def cut(path: Path) -> None:
    """Leave the first third."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 3]))


@pytest.mark.parametrize("stream", ["inputs", "acts"])
def test_records_that_never_reached_the_disk_are_counted(tmp_path: Path, stream: str) -> None:
    async def act() -> None:
        await lived(tmp_path, 60)
        cut(newest(tmp_path, stream))
        await lived(tmp_path, 62)
        again = replay(tmp_path / "journal", REGISTRY)
        assert not again.mismatches
        assert again.lost

    asyncio.run(act())


def test_nothing_is_lost_by_a_process_that_dies(tmp_path: Path) -> None:
    async def act() -> None:
        await lived(tmp_path, 60)
        await lived(tmp_path, 62)
        again = replay(tmp_path / "journal", REGISTRY)
        assert (again.mismatches, again.lost) == ([], 0)

    asyncio.run(act())


def flipped(folder: Path) -> None:
    """A bit in the middle of the newest acts."""
    path = newest(folder, "acts")
    text = bytearray(path.read_bytes())
    text[len(text) // 2] ^= 1
    path.write_bytes(bytes(text))


def unlike(folder: Path) -> None:
    """An archive that unpacks to the same, and is not the one that was made."""
    path = min((folder / "journal").glob("inputs-*.gz"))
    text = bytearray(path.read_bytes())
    text[9] ^= 1  # the system that packed it
    path.write_bytes(bytes(text))


def beheaded(folder: Path) -> None:
    """The oldest acts are gone."""
    min((folder / "journal").glob("acts-*.jsonl")).unlink()


def test_replay_and_verify_end_alike_on_a_damaged_journal(tmp_path: Path) -> None:
    asyncio.run(lived(tmp_path / "sound", 60))

    def ends(folder: Path) -> list[int]:
        return [CliRunner().invoke(main, [command, "--state-dir", str(folder)]).exit_code for command in ("verify", "replay")]

    assert ends(tmp_path / "sound") == [0, 0]
    for damage in (flipped, unlike, beheaded):
        folder = tmp_path / damage.__name__
        shutil.copytree(tmp_path / "sound", folder)
        damage(folder)
        assert ends(folder) == [1, 1], damage.__name__
