"""A preview is a child's, in brief; one that hangs is killed with all that it began."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from live.hostile import at_import

from hedgegridd.errors import Refused
from hedgegridd.live.preview import brief, preview

RUN: dict[str, Any] = {
    "verdict": "would have tripped once", "from": "a", "to": "b", "whole": True, "asks": 3, "unknowns": 0, "errors": 0, "ask_ms_p50": 0.1,
    "ask_ms_p99": 0.2, "trips": 1, "near_misses": 0, "peak": None, "effect": {"kind": "none"}, "notes": [],
    "told": [{"time": "t", "value": 1.0, "inputs": {"equity": 1.0}}],
}  # fmt: skip


def document(**changes: Any) -> bytes:
    return json.dumps({"ok": True, "failed": "", "runs": [RUN], **changes}).encode()


def test_it_keeps_what_a_person_reads_before_arming() -> None:
    found = brief(document(), b"")
    assert found["ok"] and found["verdict"] == RUN["verdict"]
    assert found["first_trip"] == {"time": "t", "value": 1.0}
    assert len(json.dumps(found)) < 2_000


def test_a_file_that_does_not_load_is_told_and_silence_is_refused() -> None:
    assert brief(document(ok=False, failed="1 / 0", runs=[]), b"")["verdict"] == "does not load: 1 / 0"
    with pytest.raises(Refused, match="Killed"):
        brief(b"", b"bla\nKilled\n")
    with pytest.raises(Refused, match="said nothing"):
        brief(b"{", b"")


def test_a_trial_that_hangs_is_ended_in_time_with_its_host(tmp_path: Path) -> None:
    marker = tmp_path / "breaker_hangs_in_preview.py"
    marker.write_text(at_import("it", "while True: pass"))
    (tmp_path / "journal").mkdir()
    begun = time.monotonic()
    with pytest.raises(Refused):
        asyncio.run(preview(marker, "it", tmp_path, within=0.2))
    assert time.monotonic() - begun < 45
    for _ in range(600):
        if not [pid for pid in Path("/proc").glob("[0-9]*") if marker.name in command(pid)]:
            return
        time.sleep(0.05)
    raise AssertionError("something of it still runs")


def command(pid: Path) -> str:
    try:
        return (pid / "cmdline").read_text(errors="replace")
    except OSError:  # it ended just now
        return ""
