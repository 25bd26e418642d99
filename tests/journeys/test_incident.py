"""A real paper daemon is stopped by a person; the incident file tells how."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from journeys.daemon_process import DaemonProcess, holding

REASON = "<script>alert(1)</script> by hand"


def test_what_a_person_stopped_is_told_and_a_damaged_journal_is_named(home: Callable[..., DaemonProcess], tmp_path: Path) -> None:
    daemon = holding(home(2_000))
    assert daemon.ctl("activate", "--level", "flatten", "--reason", REASON).returncode == 0
    assert daemon.ctl("deactivate", "--reason", "understood").returncode == 0
    assert daemon.stop() == 0
    words = ("report", "incident", "--state-dir", str(daemon.state))
    (row,) = json.loads(daemon.hedgegridd(*words, "--json").stdout)["incidents"]
    out = tmp_path / "out"
    assert daemon.hedgegridd(*words, str(row["id"]), "--out", str(out)).returncode == 0
    html = (out / f"incident-{row['id']}.html").read_text()
    assert "<script" not in html and "&lt;script&gt;alert(1)&lt;/script&gt; by hand" in html
    found = json.loads((out / f"incident-{row['id']}.json").read_text())
    assert found["end"]["over"] and found["end"]["reason"] == "understood" and found["trigger"]["kind"] == "verb"
    newest = max(daemon.journal.glob("acts-*.jsonl"))
    newest.write_bytes(newest.read_bytes().replace(b"by hand", b"by HAND", 1))
    damaged = json.loads(daemon.hedgegridd(*words, str(row["id"]), "--json").stdout)
    assert damaged["integrity"]["verified"] is False and damaged["integrity"]["why"]


def test_an_id_that_is_none_is_refused_with_those_there_are(home: Callable[..., DaemonProcess], tmp_path: Path) -> None:
    daemon = home(50)
    daemon.start()
    assert daemon.stop() == 0
    done = daemon.hedgegridd("report", "incident", "7", "--state-dir", str(daemon.state))
    assert done.returncode == 78 and "incident 7" in done.stderr
    assert "no incident" in daemon.hedgegridd("report", "incident", "--state-dir", str(daemon.state)).stdout
    lost = daemon.hedgegridd("report", "incident", "--state-dir", str(tmp_path))
    assert lost.returncode == 78 and "no journal" in lost.stderr
