"""The kill switch file: what is written there is reported, doubt is never "inactive", and nothing in its place hangs or raises."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hedgegridd.live.latch import Latch
from hedgegridd.model import KillFile

CONTENT = {
    "active": True,
    "level": "flatten",
    "phase": "requested",
    "reason": "r",
    "actor": "uid 0",
    "since": 1_700_000_000_123,
    "later": [],
}


@pytest.fixture
def latch(tmp_path: Path) -> Latch:
    return Latch(tmp_path / "killswitch.json")


def test_written_durably_and_read_back(latch: Latch) -> None:
    latch.write(CONTENT)
    assert latch.read(5) == KillFile(5, True, "flatten", "r")
    text = json.loads(latch.path.read_text())
    assert text == {**CONTENT, "since": "2023-11-14T22:13:20.123Z"}
    assert stat.S_IMODE(latch.path.stat().st_mode) == 0o640


def test_missing_is_said_to_be_missing(latch: Latch) -> None:
    assert latch.changed()  # never looked at
    assert latch.read(1) == KillFile(1, False, missing=True)
    assert not latch.changed()


def test_others_may_engage_with_the_least_of_words(latch: Latch) -> None:
    latch.read()
    latch.path.write_text('{"active": true, "reason": "rumour"}')
    assert latch.changed()
    assert latch.read(1) == KillFile(1, True, "", "rumour")
    assert not latch.changed()


def test_strange_words_name_nothing_but_engage(latch: Latch) -> None:
    latch.path.write_text('{"active": true, "level": 7, "reason": ["x"]}')
    assert latch.read(1) == KillFile(1, True)


def test_own_writing_is_no_news_but_anothers_is(latch: Latch) -> None:
    latch.write(CONTENT)
    assert not latch.changed()
    latch.path.write_text('{"active": false}')
    assert latch.changed()
    assert latch.read(1) == KillFile(1, False)
    latch.path.unlink()
    assert latch.changed()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"active": 1}', '{"active": "false"}', '{"active": null}', "[" * 60_000, "x" * 70_000, "\0"]
)
def test_what_is_not_understood_is_unreadable(latch: Latch, text: str) -> None:
    latch.path.write_text(text)
    found = latch.read(1)
    assert found.active is None and not found.missing and str(latch.path) in found.reason
    assert not latch.changed()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_no_bytes_raise_or_deactivate(latch: Latch, text: bytes) -> None:
    latch.path.write_bytes(text)
    assert latch.read().active is None


def test_a_torn_text_never_deactivates(latch: Latch) -> None:
    latch.write(CONTENT | {"active": False})
    whole = latch.path.read_bytes()
    for length in range(len(whole.rstrip())):
        latch.path.write_bytes(whole[:length])
        assert latch.read().active is None


def test_a_folder_a_pipe_or_a_link_in_its_place(latch: Latch) -> None:
    latch.path.mkdir()
    assert latch.read().active is None and not latch.changed()
    with pytest.raises(OSError, match="killswitch"):
        latch.write(CONTENT)
    latch.path.rmdir()
    os.mkfifo(latch.path)
    assert latch.changed() and latch.read().active is None
    latch.path.unlink()
    other = latch.path.with_name("other")
    other.write_text('{"active": false}')
    latch.path.symlink_to(other)
    assert latch.changed() and latch.read().active is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_strangers_file_may_engage_and_nothing_else(latch: Latch) -> None:
    latch.path.write_text('{"active": false}')
    os.chown(latch.path, 12345, 12345)
    assert latch.read().active is None
    latch.path.write_text('{"active": true, "level": "halt"}')
    assert latch.read(1) == KillFile(1, True, "halt")
    latch.write(CONTENT | {"active": False})  # our own again
    assert latch.read().active is False


def test_no_since_is_no_time(latch: Latch) -> None:
    latch.write({"active": False, "since": 0})
    assert json.loads(latch.path.read_text())["since"] == ""
    assert latch.read() == KillFile(0, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stop!", "is no JSON"),
        ("[1]", 'is \'[1]\', expected {"active": true, "reason": "..."}'),
        ('{"reason": "x"}', "active is missing, expected true or false"),
        ('{"active": "yes"}', "active is 'yes', expected true or false"),
    ],
)
def test_what_is_not_understood_says_what_was_expected(latch: Latch, text: str, words: str) -> None:
    latch.path.write_text(text)
    assert words in latch.read(1).reason
