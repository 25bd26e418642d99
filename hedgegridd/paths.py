"""Where daemon and client meet: the socket and the state directory. One law: both sides resolve them by this file alone.

Socket: `--socket`, `$HEDGEGRIDD_SOCKET`, `--instance NAME`, `/run/hedgegridd/`, `$XDG_RUNTIME_DIR/hedgegridd/`, `/tmp/hedgegridd-$UID/`.
State directory: `--state-dir`, the config's, `$STATE_DIRECTORY`, `/var/lib/hedgegridd` where it may be written,
`$XDG_STATE_HOME/hedgegridd`. The daemon leaves a pointer to its state directory beside its socket, so that a client finds the
files of a dead daemon. Nothing here opens a socket or reads a state file.

Imported by the client on every call: `os` and nothing heavier (that is why paths are plain strings here).
"""

# ruff: noqa: PTH103, PTH105, PTH108, PTH115, PTH116, PTH123, PTH208, PTH211, S108

from __future__ import annotations

import os
import posixpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RUN = "/run/hedgegridd"
STATE = "/var/lib/hedgegridd"
CONFIG = "/etc/hedgegridd"
SOCKET = "hedgegridd.sock"
KILL_FILE = "killswitch.json"


def instance_problem(name: str) -> str:
    """Why `name` can name no instance; '' = it can. It becomes part of a path."""
    if not name or name[0] in ".-" or not all(c.isalnum() or c in "._-" for c in name):
        return f"instance {name!r}: expected letters, digits, '.', '_' and '-', beginning with a letter or digit"
    return ""


# --- the socket ---------------------------------------------------------------------------------------------------------


def client_socket(option: str, instance: str, env: Mapping[str, str]) -> str:
    """The socket a client should try: the one named, else the first that exists, else the first it may not look at."""
    named = option or env.get("HEDGEGRIDD_SOCKET", "")
    if named:
        return named
    places = [posixpath.join(folder, SOCKET) for folder in _client_folders(instance, env)]
    for wanted in ("there", "forbidden"):
        for place in places:
            if _look(place) == wanted:
                return place
    return places[0]


def daemon_socket(option: str, configured: str, instance: str, env: Mapping[str, str], live: bool) -> str:
    """The socket a daemon should bind. Makes the folder where it is ours to make.

    StateError where there is no place for it: live never uses a temporary folder, and a folder of somebody else is never used.
    """
    named = option or env.get("HEDGEGRIDD_SOCKET", "") or configured
    if named:
        return named
    given = env.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if given:
        return posixpath.join(given, SOCKET)
    system = posixpath.join(RUN, instance)
    if _usable(system):
        os.makedirs(system, mode=0o755, exist_ok=True)
        return posixpath.join(system, SOCKET)
    runtime = env.get("XDG_RUNTIME_DIR", "")
    if live and not runtime:
        raise _state_error(
            f"no folder for the socket: {system} may not be written and live never uses a temporary folder; set daemon.socket"
        )
    base = posixpath.join(runtime, "hedgegridd") if runtime else _temporary()
    private_folder(base)
    folder = posixpath.join(base, instance)
    private_folder(folder)
    return posixpath.join(folder, SOCKET)


def private_folder(path: str) -> None:
    """Make a 0700 folder of our own, or make sure that it is one. StateError where it is somebody else's or open to others."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as err:
        raise _state_error(f"{path}: {err.strerror}") from err
    if not _private(path):
        raise _state_error(f"{path}: expected a folder of uid {os.geteuid()} with mode 0700, not a link; remove it or set daemon.socket")


def _client_folders(instance: str, env: Mapping[str, str]) -> Iterable[str]:
    yield posixpath.join(RUN, instance)
    if env.get("XDG_RUNTIME_DIR"):
        yield posixpath.join(env["XDG_RUNTIME_DIR"], "hedgegridd", instance)
    if _private(_temporary()):  # anybody may make a folder in /tmp and pretend to be our daemon
        yield posixpath.join(_temporary(), instance)


def _temporary() -> str:
    return f"/tmp/hedgegridd-{os.geteuid()}"


def _private(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return found.st_uid == os.geteuid() and found.st_mode & 0o170077 == 0o040000


def _look(path: str) -> str:
    try:
        os.stat(path)
    except PermissionError:
        return "forbidden"
    except OSError:
        return "missing"
    return "there"


def _usable(folder: str) -> bool:
    """May we write in this folder, or make it?"""
    while not posixpath.isdir(folder) and len(folder) > 1:
        folder = posixpath.dirname(folder)
    return os.access(folder, os.W_OK | os.X_OK)


# --- the state directory ------------------------------------------------------------------------------------------------


def state_dir(option: str, configured: str, instance: str, env: Mapping[str, str]) -> str:
    """The daemon's state directory. It need not exist yet."""
    named = option or configured or env.get("STATE_DIRECTORY", "").split(":")[0]
    if named:
        return named
    system = posixpath.join(STATE, instance)
    return system.rstrip("/") if _usable(system) else _home_state(instance, env)


def client_state_dir(option: str, instance: str, env: Mapping[str, str], socket: str) -> str:
    """The state directory of the daemon that a client means; may not exist.

    The daemon's own pointer beside the socket stands for "the config's". A folder of the system that the caller may not write
    is still the one meant, unless the caller has a daemon's folder at home.
    """
    named = (
        option or pointed_state_dir(socket) or configured(instance, "daemon", "state_dir") or env.get("STATE_DIRECTORY", "").split(":")[0]
    )
    if named:
        return named
    system, home = posixpath.join(STATE, instance).rstrip("/"), _home_state(instance, env)
    if posixpath.isdir(system) and os.access(system, os.W_OK):
        return system
    return system if posixpath.isdir(system) and not is_state_dir(home) else home


def is_state_dir(folder: str) -> bool:
    """Has a daemon ever kept its state here?"""
    return posixpath.isdir(posixpath.join(folder, "journal")) or posixpath.exists(posixpath.join(folder, KILL_FILE))


def point(socket: str, folder: str) -> None:
    """Leave the pointer to `folder` beside `socket`. OSError where that cannot be done."""
    stage = f"{socket}.state.new"
    if posixpath.lexists(stage):
        os.unlink(stage)
    os.symlink(posixpath.abspath(folder), stage)
    os.replace(stage, f"{socket}.state")


def pointed_state_dir(socket: str) -> str:
    """Where the pointer beside `socket` leads; '' = nowhere, or its owner is not the folder's (nor root), so it is not believed."""
    try:
        pointer = f"{socket}.state"
        owner, folder = os.lstat(pointer).st_uid, os.readlink(pointer)
        return folder if owner in (0, os.stat(folder).st_uid) else ""
    except OSError:
        return ""


def configured(instance: str, table: str, key: str) -> str:
    """A setting of the installed configuration as text, '' where it is not set or cannot be read."""
    import tomllib  # rare: only a client whose daemon does not answer

    main = posixpath.join(CONFIG, instance, "hedgegridd.toml")
    extra = posixpath.join(CONFIG, instance, "conf.d")
    more = sorted(os.listdir(extra)) if os.access(extra, os.R_OK | os.X_OK) else []
    found = ""
    for path in [main, *(posixpath.join(extra, name) for name in more if name.endswith(".toml"))]:
        try:
            with open(path, "rb") as file:
                section = tomllib.load(file).get(table, {})
        except (OSError, ValueError):
            continue
        found = str(section.get(key, found)) if isinstance(section, dict) else found
    return found


def _home_state(instance: str, env: Mapping[str, str]) -> str:
    base = env.get("XDG_STATE_HOME") or posixpath.join(env.get("HOME") or posixpath.expanduser("~"), ".local/state")
    return posixpath.join(base, "hedgegridd", instance).rstrip("/")


def _state_error(text: str) -> Exception:
    from hedgegridd.errors import StateError  # lazy: the client never pays for it

    return StateError(text)
