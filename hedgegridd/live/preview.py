"""What a breaker would have done lately, asked of `hedgegridd plugins try` in a process of its own.

One law: the loop that trades waits for none of it. The child reads the journal from the disk, knows no secret, gives way to the
daemon, and is killed with all that it began when its time is over. It arms nothing and decides nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from hedgegridd.errors import Refused

WITHIN_SECONDS = 5.0  #: what a person waits for gladly
GRACE_SECONDS = 3.0  #: to start and to end
ROOT = str(Path(__file__).resolve().parents[2])
#: Gives way before it imports anything, as a trial in haste does; finds this very package without an environment, and shadows
#: nothing else by that.
BOOT = """
import os, sys
try:
    os.setpriority(os.PRIO_PROCESS, 0, 5)
except OSError:
    pass
sys.path.insert(0, sys.argv.pop(1))
import hedgegridd
sys.path.append(sys.path.pop(0))
from hedgegridd.cli import main
main(prog_name="hedgegridd")
"""
KEPT = ("verdict", "from", "to", "whole", "asks", "unknowns", "errors", "ask_ms_p50", "ask_ms_p99", "trips", "near_misses", "peak",
        "effect", "notes")  # fmt: skip


async def preview(file: Path, name: str, state: Path, within: float = WITHIN_SECONDS) -> dict[str, Any]:
    """The newest part of the journal in `state` with the breaker looking on, in brief. Refused where that did not come about."""
    words = [
        "plugins",
        "try",
        str(file.absolute()),
        "--name",
        name,
        "--state-dir",
        str(state.absolute()),
        "--within",
        f"{within:g}",
        "--json",
    ]
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-X", "utf8", "-c", BOOT, ROOT, *words, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={}, cwd="/", process_group=0,
        )  # fmt: skip
    except OSError as error:  # no process to be had now
        raise Refused(f"no preview: {error}") from None
    try:
        said, complaint = await asyncio.wait_for(child.communicate(), within + GRACE_SECONDS)
    except TimeoutError:
        raise Refused(f"no preview within {within + GRACE_SECONDS:g} s") from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return brief(said, complaint)


def brief(said: bytes, complaint: bytes) -> dict[str, Any]:
    """The document of a trial as a few figures. Refused where there is none."""
    try:
        document = json.loads(said)
    except ValueError:
        why = complaint.decode(errors="replace").strip().splitlines()
        raise Refused(f"no preview: {why[-1][:300] if why else 'the trial said nothing'}") from None
    run = next(iter(document["runs"]), None)
    if run is None:
        return {"ok": False, "verdict": f"does not load: {document['failed']}"}
    first = next(iter(run["told"]), None)
    told = None if first is None else {key: value for key, value in first.items() if key != "inputs"}
    return {"ok": document["ok"], **{key: run[key] for key in KEPT}, "first_trip": told}
