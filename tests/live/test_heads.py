"""The journal's head: leaves with every alert, is of what is on the disk, and proves later what a journal held."""

from __future__ import annotations

from pathlib import Path

import pytest

from hedgegridd.control.text import verified
from hedgegridd.errors import Refused
from hedgegridd.heart import notices
from hedgegridd.journal import Journal, verify
from hedgegridd.live import heads
from hedgegridd.model import Bar

ALERT = notices.journal_head(1_735_689_600_000)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "journal")
    journal.open()
    for n in range(1, 4):
        journal.input(Bar("BTCUSDT", 60_000 * n, n, n, n, n, 1, 60_000))
        journal.act("order", 60_000 * n, {"client_id": f"hg-{n}"})
    return journal


def test_a_head_is_of_what_is_on_the_disk(journal: Journal) -> None:
    before = dict(journal.heads)
    assert {seq for seq, _ in before.values()} == {1, 2}, "the checkpoints that a new journal opens with"
    assert journal.sync() == journal.seq == max(seq for seq, _ in journal.heads.values())
    journal.act("order", 240_000, {"client_id": "hg-4"})
    assert max(seq for seq, _ in journal.heads.values()) == journal.seq - 1
    journal.close()
    assert verify(journal.folder).heads == tuple(sorted(journal.heads.values()))


def test_every_alert_carries_it_in_text_and_fields(journal: Journal) -> None:
    journal.sync()
    alert = heads.carried(ALERT, journal.heads)
    shown = heads.text(tuple(journal.heads.values()))
    assert alert.fields["journal_head"] == shown and alert.text.endswith(f"\nJournal: {shown}")
    assert heads.carried(ALERT, {}) == ALERT
    journal.close()
    assert verify(journal.folder, heads.read(alert.fields["journal_head"])).ok


def test_what_was_cut_from_both_streams_is_told_by_the_head_that_left(journal: Journal) -> None:
    journal.sync()
    kept = heads.text(tuple(journal.heads.values()))
    journal.close()
    for path in journal.folder.glob("*.jsonl"):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert verify(journal.folder).ok
    found = heads.shown(verify(journal.folder, heads.read(kept)), kept)
    assert not found["ok"] and found["damage"]["after_seq"] == 6
    said = "\n".join(verified(found))
    assert "DAMAGED" in said and "records were cut from its end" in said and "expected record number 7 with hash" in said


def test_a_head_comes_back_as_it_went(journal: Journal) -> None:
    journal.sync()
    some = tuple(sorted(journal.heads.values()))
    assert heads.read(heads.text(some)) == some and heads.read(" ") == ()
    journal.close()


@pytest.mark.parametrize("given", ["7", "7:xyz", "7:" + "a" * 31, "a:" + "0" * 32, "7:" + "0" * 32 + ","])
def test_what_is_no_head_is_refused_with_what_was_expected(given: str) -> None:
    with pytest.raises(Refused, match="expected SEQ:HASH"):
        heads.read(given)


def test_a_sound_journal_is_told_with_its_head(journal: Journal) -> None:
    journal.close()
    found = heads.shown(verify(journal.folder))
    assert verified(found) == ["sound  8 records", f"head   {found['head']}"]
    assert "the head 1:a is among them" in verified({**found, "asked": "1:a"})[0]
