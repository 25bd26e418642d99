"""Who else may touch a file, by its mode, its group and its access control list."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from hedgegridd import plugins
from hedgegridd.config import ConfigError, load
from hedgegridd.errors import PluginError
from hedgegridd.owners import other_readers, other_writers

SOMEBODY = 12345
ANYBODY = 0xFFFFFFFF


def grant(path: Path, rights: int, uid: int | None = SOMEBODY) -> Path:
    """An access control list that gives this user these rights, 6 = reading and writing; None = a list that names nobody."""
    named = [] if uid is None else [(0x02, rights, uid)]
    entries = [(0x01, 6, ANYBODY), *named, (0x04, 0, ANYBODY), (0x10, rights, ANYBODY), (0x20, 0, ANYBODY)]
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
    except OSError as error:
        pytest.skip(f"no access control lists on this file system: {error}")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "it.py"
    path.write_text("mode = 'paper'\n")
    path.chmod(0o600)
    return path


def test_the_mode_alone(file: Path) -> None:
    for mode, written, read in ((0o600, "", ""), (0o644, "", "everybody"), (0o602, "everybody", "")):
        file.chmod(mode)
        assert (other_writers(file, file.stat()), other_readers(file, file.stat())) == (written, read)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_group_that_is_not_the_owners_own(file: Path) -> None:
    os.chown(file, 0, SOMEBODY)
    file.chmod(0o660)
    assert "group 12345" in other_writers(file, file.stat()) and "group 12345" in other_readers(file, file.stat())


def test_whom_a_list_names_is_somebody_else_though_the_group_is_the_owners_own(file: Path) -> None:
    grant(file, 4)
    assert other_writers(file, file.stat()) == ""
    assert "access control list" in other_readers(file, file.stat())
    grant(file, 6)
    with file.open() as opened:
        assert "access control list" in other_writers(opened.fileno(), file.stat())


def test_a_list_that_grants_nothing_or_names_nobody_is_no_matter(file: Path) -> None:
    grant(file, 0)
    assert other_readers(file, file.stat()) == ""
    grant(file, 6, None)
    assert "access control list" not in other_writers(file, file.stat())


def test_nothing_is_loaded_that_a_list_lets_another_write(file: Path) -> None:
    grant(file, 6)
    with pytest.raises(PluginError, match="access control list names; chmod g-w"):
        plugins.read(file)
    with pytest.raises(ConfigError, match="access control list"):
        load(file)
    file.chmod(0o600)  # as the message says
    assert plugins.read(file).text


def test_a_folder_whose_list_lets_another_write_refuses_its_files(file: Path) -> None:
    file.parent.chmod(0o700)
    assert plugins.vet(file) == ""
    grant(file.parent, 7)
    assert f"{file.parent}: writable by whom its access control list names" in plugins.vet(file)


def test_a_secret_is_not_taken_from_a_file_that_a_list_lets_another_read(file: Path) -> None:
    file.write_text('mode = "live"\n[alert.slack]\nwebhook_url = "https://hooks.slack.com/services/T/B/X"\n')
    grant(file, 4)
    with pytest.raises(ConfigError, match="no secret in a file that others may read"):
        load(file)
