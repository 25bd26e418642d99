"""What a client does when no daemon answers. One law: it may only write toward safety, and says what it could not do.

It reads the kill switch file and, for `activate`, writes it: durably, 0640, belonging to the owner of the folder. The daemon
obeys it at its next start, or within a second if it only hung. Nothing here closes a position, and every text says so.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

from hedgegridd import paths
from hedgegridd.savefile import load, save

_LARGEST = 65_536  # bytes
_RANK = {"halt": 0, "flatten": 1}
SOURCE = "hedgegridctl, no daemon"


class NotWritten(Exception):
    """The kill switch file was not written: nothing changed, and this is why."""


def kill_switch(folder: str) -> dict[str, Any]:
    """The kill switch as the file tells it, in the words of `status`. `active` None = the file does not say; `note` = why."""
    path = Path(folder, paths.KILL_FILE)
    try:
        content = json.loads(load(path, _LARGEST))
        active = content["active"]
        if not isinstance(active, bool):
            raise ValueError(f"active is {active!r}")
    except FileNotFoundError:
        return {
            "active": None,
            "note": f"no {path}: nobody engaged it here, or the file was removed (then the journal decides at the start)",
        }
    except PermissionError:
        return {"active": None, "note": f"{path} may not be read by you"}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        return {"active": True, "level": "halt", "note": f"{path} is not understood ({err}), which means active"}
    words = {key: content.get(key) for key in ("level", "phase", "reason", "source", "actor", "since")}
    return {"active": active, **(words if active else {"phase": "idle"})}


def picture(folder: str, socket: str, why: str) -> dict[str, Any]:
    """`status` without a daemon: what the files say."""
    return {
        "schema": 1,
        "reachable": False,
        "why": why,
        "socket": socket,
        "state_dir": folder,
        "ready": False,
        "degraded": [f"daemon not reachable: {why}"],
        "kill_switch": kill_switch(folder),
        "journal_written_at": _journal_written(folder),
    }


def engage(folder: str, instance: str, params: dict[str, Any], make: bool) -> dict[str, Any]:
    """Write the kill switch file; what it says now. `make` the folder where it is missing. Raises NotWritten."""
    if not Path(folder).is_dir() and not make:
        raise NotWritten(f"there is no state directory {folder}; name it with --state-dir")
    path = Path(folder, paths.KILL_FILE)
    try:
        content = _engaged(path, instance, params)
        path.parent.mkdir(mode=0o750, exist_ok=True)
        save(path, json.dumps(content, indent=1) + "\n", 0o640)
    except OSError as err:
        raise NotWritten(f"{err.filename or path}: {err.strerror}") from err
    return content


def _engaged(path: Path, instance: str, params: dict[str, Any]) -> dict[str, Any]:
    """The new content: the level only rises, the first reason is kept, later ones are appended."""
    level = params.get("level") or paths.configured(instance, "kill_switch", "on_activate") or "flatten"
    fresh = {"active": True, "level": level, "phase": "requested", "reason": params["reason"], "source": params.get("source") or SOURCE}
    fresh |= {"actor": actor(), "since": _iso(datetime.now(UTC).timestamp()), "later": []}
    try:
        old = json.loads(load(path, _LARGEST))
        if old["active"] is not True:
            return fresh
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return fresh
    before = old.get("level") if old.get("level") in ("halt", "flatten") else level
    rises = _RANK.get(level, 1) > _RANK.get(before, 1)
    later = [*(old["later"] if isinstance(old.get("later"), list) else []), f"{fresh['source']} {fresh['actor']}: {params['reason']}"]
    risen = {"level": level, "phase": "requested"} if rises else {"level": before}
    return {**fresh, **old, **risen, "later": later}


def engaged_text(folder: str, content: dict[str, Any], why: str, instance: str) -> list[str]:
    """What was done, and above all what was not."""
    lines = [
        f"no answer from the daemon: {why}",
        f"kill switch ENGAGED ({content['level']}) in {Path(folder, paths.KILL_FILE)}: a daemon that wakes or starts obeys it first.",
        "Positions are NOT closed and resting orders are NOT cancelled: nobody is there to do it. To close them now:",
        f"    {close_line(instance)}",
    ]
    if not Path(folder, "journal").is_dir():
        lines.append(f"WARNING: no daemon has ever kept a journal in {folder}: is it the right state directory?")
    return lines


def refused_text(why: str, reason: str, instance: str, sudo: str) -> list[str]:
    """Nothing was written, and what to do next."""
    lines = [f"no answer from the daemon: {why}", f"the kill switch file was NOT written: {reason}. NOTHING has changed."]
    lines += ["With the right to write there:", f"    {sudo}"] if os.geteuid() else []
    return [*lines, "Positions are NOT closed. To close them now:", f"    {close_line(instance)}"]


def sudo_line(options: dict[str, str], params: dict[str, Any]) -> str:
    """The same call as root."""
    program = sys.argv[0] if Path(sys.argv[0]).name == "hedgegridctl" else "hedgegridctl"
    words = [f"--{name} {quote(value)}" for name, value in options.items() if value]
    asked = [f"--{name} {quote(str(value))}" for name, value in params.items() if name in ("reason", "level", "source")]
    return " ".join(["sudo", quote(program), *words, "activate", *asked])


def close_line(instance: str) -> str:
    """The break-glass command."""
    config = Path(paths.CONFIG, instance, "hedgegridd.toml")
    return f"hedgegridd flatten --config {quote(str(config)) if config.exists() else 'CONFIG'} --yes"


def actor() -> str:
    """Who calls, in the words of the journal."""
    import pwd

    try:
        return f"uid={os.getuid()}({pwd.getpwuid(os.getuid()).pw_name})"
    except KeyError:
        return f"uid={os.getuid()}"


def _journal_written(folder: str) -> str | None:
    try:
        return _iso(max(entry.stat().st_mtime for entry in Path(folder, "journal").iterdir()))
    except (OSError, ValueError):
        return None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
