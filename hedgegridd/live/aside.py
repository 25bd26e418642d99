"""An offline command of `hedgegridd` for a running daemon, in a process of its own.

One law: the loop that trades waits for none of it. The child reads the journal from the disk, knows no secret and no environment, gives
way to the daemon, and is killed with all that it began when its time is over.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from hedgegridd.errors import Refused

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


async def aside(words: list[str], within: float, what: str) -> tuple[bytes, bytes]:
    """What `hedgegridd` with these words said, and what it complained of. Refused where that did not come about within so many
    seconds; `what` names it there.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-X", "utf8", "-c", BOOT, ROOT, *words, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={}, cwd="/", process_group=0,
        )  # fmt: skip
    except OSError as error:  # no process to be had now
        raise Refused(f"no {what}: {error}") from None
    try:
        return await asyncio.wait_for(child.communicate(), within)
    except TimeoutError:
        raise Refused(f"no {what} within {within:g} s") from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


def last_words(complaint: bytes, otherwise: str) -> str:
    """Why a child said nothing of use."""
    why = complaint.decode(errors="replace").strip().splitlines()
    return why[-1][:300] if why else otherwise
