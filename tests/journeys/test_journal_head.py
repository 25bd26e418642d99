"""A daemon's alerts carry its journal's head away; later the head tells whether the journal still holds what it held."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from journeys.daemon_process import DaemonProcess

HEAD = re.compile(r"Journal: (\d+:[0-9a-f]{32}(?:,\d+:[0-9a-f]{32})*)")


def test_the_head_an_alert_carried_proves_the_journal_and_shows_a_cut_one(home: Callable[..., DaemonProcess]) -> None:
    daemon = home(0).start(speed="6000")
    daemon.until(lambda found: found["instruments"][0]["open_orders"] > 0)
    daemon.ctl("activate", "--reason", "to have something to tell")
    daemon.flat()
    daemon.until(lambda _: HEAD.search(daemon.log))
    head = HEAD.findall(daemon.log)[-1]
    assert "the head" in daemon.ctl("journal", "verify", "--head", head).stdout, "asked of the daemon while it writes"
    assert daemon.stop() == 0
    verified = daemon.hedgegridd("verify", "--state-dir", str(daemon.state), "--head", head)
    assert verified.returncode == 0 and f"the head {head} is among them" in verified.stdout, verified.stdout

    last = json.loads(daemon.hedgegridd("verify", "--state-dir", str(daemon.state), "--json").stdout)["head"]
    acts = max(daemon.journal.glob("acts-*.jsonl"))
    lines = acts.read_bytes().splitlines(keepends=True)
    acts.write_bytes(b"".join(lines[:-1]))  # the last record of all: no chain can miss it
    assert daemon.hedgegridd("verify", "--state-dir", str(daemon.state)).returncode == 0
    cut = daemon.hedgegridd("verify", "--state-dir", str(daemon.state), "--head", last)
    assert cut.returncode == 1 and "records were cut from its end" in cut.stdout, cut.stdout
    assert acts.name in cut.stdout or "inputs-" in cut.stdout
