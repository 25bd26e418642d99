"""`hedgegridd flatten`: the way out that needs no daemon. One law: the kill switch first, then whoever can close does.

A daemon that answers is told, and watched until flat. One that holds the journal or the account and does not answer is killed: it could
neither close nor be sure not to trade, and its restart finds the kill switch engaged. With none, the account is taken up here, from the
same journal and by the same heart, and flattened. Only one acts at any time: whoever closes here holds both the journal and the account,
and nobody gets either while the process that had it lives, stopped or not. A daemon that trades the account from another state directory
is stopped by that directory's own kill switch file, and it is its journal that is taken up.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hedgegridd import paths
from hedgegridd.control.client import Client, Unreachable
from hedgegridd.control.protocol import Fault
from hedgegridd.errors import AlreadyRunning
from hedgegridd.heart.desk import LEGS
from hedgegridd.heart.killswitch import level_of
from hedgegridd.live import lease
from hedgegridd.live.latch import Latch
from hedgegridd.model import Level, Mode
from hedgegridd.plugins import Registry
from hedgegridd.savefile import load
from hedgegridd.schema import Config

PATIENCE_SECONDS = 2.0
NOT_FLAT = 4
REASON, SOURCE = "hedgegridd flatten", "break-glass"
Say = Callable[[str], Any]


def flatten(config: Config, registry: Registry, leg: str, state_dir: str, socket: str, env: Mapping[str, str], say: Say) -> int:
    """Engage and close; the exit code. `leg` is long, short or both."""
    state = Path(paths.state_dir(state_dir, config.daemon.state_dir, config.daemon.instance, env))
    path = paths.daemon_socket(socket, config.daemon.socket, config.daemon.instance, env, Mode(config.mode) == Mode.LIVE)
    level = "flatten" if leg == "both" else "halt"
    _engage(state, level, say)
    answered = _by_daemon(path, leg, config.flatten.deadline_seconds, say)
    if answered is not None:
        return answered
    held = lease.holder_of(config) if Mode(config.mode) == Mode.LIVE else None
    if held is not None and held.state is not None and held.state.resolve() != state.resolve():
        state = held.state
        say(f"process {held.pid} trades this account from {state}: its kill switch is engaged too, and its journal is the one that counts")
        old = _content(state / "killswitch.json")
        _engage(state, level, say)
        if leg == "both" and _by_its_file(state / "killswitch.json", old, config.flatten.deadline_seconds, say):
            return 0
    try:
        return _by_ourselves(config, registry, leg, state, env, say)
    except AlreadyRunning:
        answered = _by_daemon(path, leg, config.flatten.deadline_seconds, say)  # one that was restarted meanwhile
        if answered is None:
            raise
        return answered


def _engage(state: Path, level: str, say: Say) -> None:
    """The kill switch file; a disk that refuses it does not keep anybody from closing."""
    try:
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
        latch = Latch(state / "killswitch.json")
        found = latch.read()
        if not found.active or level_of(found.level, Level.HALT) < level_of(level, Level.HALT):  # a halt closes nothing
            content = {"active": True, "level": level, "phase": "requested", "reason": REASON, "source": SOURCE}
            latch.write({**content, "actor": f"uid={os.getuid()}", "since": time.time_ns() // 1_000_000})
    except OSError as error:
        say(f"the kill switch could NOT be written, closing all the same: {error}")
    else:
        say(f"kill switch engaged ({level}) in {state}")


# --- a daemon that answers ------------------------------------------------------------------------------------------------


def _by_daemon(socket: str, leg: str, deadline: float, say: Say) -> int | None:
    """Let the daemon do it, and watch; None = it does not answer."""
    client = Client(socket)
    try:
        client.call("ping", {}, PATIENCE_SECONDS)
        with suppress(Unreachable):  # this answer waits for the disk; the closing does not, and `status` shows it
            client.call("activate", {"level": "flatten" if leg == "both" else "halt", "reason": REASON}, PATIENCE_SECONDS)
        if leg != "both":
            client.call("flatten", {"leg": leg, "reason": REASON}, deadline + PATIENCE_SECONDS)
        return _watch(client, leg, deadline, say)
    except (Unreachable, Fault) as error:
        say(f"no help from a daemon: {error}")
        return None
    finally:
        client.close()


def _watch(client: Client, leg: str, deadline: float, say: Say) -> int:
    begun = time.monotonic()
    while time.monotonic() - begun < deadline + 1:
        status = client.call("status", {}, PATIENCE_SECONDS)
        legs = ("long", "short") if leg == "both" else (leg,)
        held = [f"{item['symbol']} {name}" for item in status["instruments"] for name in legs if item[name]["qty"]]
        phase = status["kill_switch"]["phase"]
        if not held and (leg != "both" or phase in ("flat", "idle")):
            say(f"flat after {time.monotonic() - begun:.1f} s, closed by the daemon")
            return 0
        time.sleep(0.05)
    say("NOT flat in time; the daemon goes on trying: hedgegridctl status")
    return NOT_FLAT


def _by_its_file(file: Path, old: dict[str, Any], deadline: float, say: Say) -> bool:
    """A daemon whose socket is not known obeys its kill switch file, and writes there what it has done. False = it does not, or not in
    time; that it was flat before this (`old`, what the file said then) proves nothing of now.
    """
    begun = time.monotonic()
    while (since := time.monotonic() - begun) < deadline:
        content = _content(file)
        if content.get("phase") == "flat" and content != old:
            say(f"flat after {since:.1f} s, closed by that daemon")
            return True
        if since > PATIENCE_SECONDS and (content.get("source") == SOURCE or content == old):
            break  # what was there is there still: nobody has read it, or has anything to do
        time.sleep(0.05)
    say("that daemon does not close in time")
    return False


def _content(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(load(file)))
    except (OSError, ValueError):
        return {}


# --- no daemon, or a hung one -----------------------------------------------------------------------------------------------


def _by_ourselves(config: Config, registry: Registry, leg: str, state: Path, env: Mapping[str, str], say: Say) -> int:
    try:
        return asyncio.run(_close(config, registry, leg, state, env, say))
    except AlreadyRunning as held:
        _end(config, state, held, say)
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with suppress(AlreadyRunning):  # its last thread lets the journal go
            return asyncio.run(_close(config, registry, leg, state, env, say))
        time.sleep(0.02)
    return asyncio.run(_close(config, registry, leg, state, env, say))


def _end(config: Config, state: Path, held: AlreadyRunning, say: Say) -> None:
    """Kill whoever holds this journal, or this account, and wait until it is gone. `held` is raised where that is nobody we may kill."""
    found = lease.holder_of(config) if Mode(config.mode) == Mode.LIVE else None
    for pid in {noted for noted in (_noted(state), found.pid if found else None) if noted}:
        mine = found is not None and found.pid == pid and found.uid in (0, os.geteuid(), state.stat().st_uid)
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            continue  # it has ended meanwhile
        try:
            there = lease.state_of(pid)  # asked after the handle was opened: a number that was given to another process holds nothing
            if not mine and (there is None or there.resolve() != state.resolve()):
                continue
            say(f"process {pid} holds the account and does not answer: killing it ({held})")
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], PATIENCE_SECONDS)
        except PermissionError as error:
            raise AlreadyRunning(f"{held}; process {pid} may not be killed by uid {os.geteuid()}: run this as root") from error
        finally:
            os.close(handle)


def _noted(state: Path) -> int | None:
    """The process that has the journal, by its own note."""
    try:
        return int((state / "journal" / "lock").read_text())
    except (OSError, ValueError):
        return None


async def _close(config: Config, registry: Registry, leg: str, state: Path, env: Mapping[str, str], say: Say) -> int:
    """Take up the account with the daemon's own shell, on a feed with nothing in it, and end when flat."""
    from hedgegridd.live.start import offline

    async with offline(config, registry, state, env) as (daemon, started):
        begun = time.monotonic()
        work = asyncio.create_task(daemon.run(started))
        verb, params = ("activate", {"level": "flatten"}) if leg == "both" else ("flatten", {"leg": leg})  # a halt may have stood before
        asked = asyncio.create_task(daemon.ask(verb, {**params, "reason": REASON}, f"uid={os.getuid()}"))  # its reply waits for the disk
        flat = await daemon.wait_flat(config.flatten.deadline_seconds)
        flat = flat and not any(leg in ("both", LEGS[number].name.lower()) for _, number, _ in daemon.engine.held_legs())
        say(f"flat after {time.monotonic() - begun:.1f} s" if flat else f"NOT flat: {'; '.join(daemon.engine.unresolved())}")
        daemon.give_up()
        await asyncio.gather(asked, return_exceptions=True)
        await work
        return 0 if flat else NOT_FLAT
