#!/usr/bin/python3
"""Stands in for the daemon in the tests of the units: does what the daemon needs of its unit, says what worked, and beats.

Standard library only, but for the daemon's own notify and log rooms, which the test puts beside it.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, "/opt/hedgegridd/lib")

from hedgegridd.live import log
from hedgegridd.live.notify import Notifier

STATE = Path(os.environ["STATE_DIRECTORY"])
RUNTIME = Path(os.environ["RUNTIME_DIRECTORY"])


def state() -> str:
    with (STATE / "killswitch.json").open("w") as out:
        os.fchmod(out.fileno(), 0o640)
        out.write("{}")
        out.flush()
        os.fsync(out.fileno())
    return oct((STATE / "killswitch.json").stat().st_mode & 0o777)


def control_socket() -> str:
    server = socket.socket(socket.AF_UNIX)
    path = RUNTIME / "hedgegridd.sock"
    path.unlink(missing_ok=True)
    server.bind(str(path))
    path.chmod(0o660)
    server.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        peer, _ = server.accept()
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return str(int.from_bytes(raw[4:8], sys.byteorder) == os.getuid())


def plugin_host() -> str:
    """A child with a memory limit, over a socketpair."""
    ours, theirs = socket.socketpair()
    code = (
        "import resource, socket; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); "
        f"socket.socket(fileno={theirs.fileno()}).send(b'hello')"
    )
    child = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()])
    return ours.recv(5).decode() if child.wait(10) == 0 else "died"


def thread() -> str:
    done: list[str] = []
    worker = threading.Thread(target=done.append, args=("done",))
    worker.start()
    worker.join()
    return done[0]


def network() -> str:
    ssl.create_default_context()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
    return "socket"


def load() -> str:
    """What psutil reads."""
    return str(
        "MemTotal" in Path("/proc/meminfo").read_text() and bool(Path("/proc/self/statm").read_text() and Path("/proc/stat").read_text())
    )


def scratch() -> str:
    with tempfile.NamedTemporaryFile() as file:
        return str(Path(file.name).exists())


def credentials() -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return ",".join(f"{path.name}={path.read_text()}" for path in sorted(Path(folder).iterdir())) if folder else "none"


def others_credentials() -> str:
    own = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return ",".join(str(path) for path in Path("/run/credentials").glob("*/*") if str(path.parent) != own) or "none"


def forbidden(act: Callable[[], object]) -> str:
    try:
        act()
    except (OSError, ValueError) as error:
        return type(error).__name__
    return "ALLOWED"


CHECKS: dict[str, Callable[[], str]] = {
    "user": lambda: str(os.getuid() != 0),
    "state": state,
    "control_socket": control_socket,
    "plugin_host": plugin_host,
    "thread": thread,
    "network": network,
    "load": load,
    "scratch": scratch,
    "credentials": credentials,
    "others_credentials": others_credentials,
    "write_config": lambda: forbidden(lambda: Path("/etc/hedgegridd/hedgegridd.toml").write_text("")),
    "write_code": lambda: forbidden(lambda: Path("/opt/hedgegridd/new").write_text("")),
    "raw_socket": lambda: forbidden(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "set_clock": lambda: forbidden(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
    "home": lambda: forbidden(lambda: list(Path("/root").iterdir())),
    "arguments": lambda: " ".join(sys.argv[1:]),
}


def main() -> None:
    def attempt(check: Callable[[], str]) -> str:
        try:
            return check()
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    notifier = Notifier()
    log.setup("INFO", ["s3cret-value"])
    results = {name: attempt(check) for name, check in CHECKS.items()}
    results["watchdog_seconds"] = str(notifier.watchdog_seconds)
    (STATE / "results.json").write_text(json.dumps(results))
    log.event("CRITICAL", "breaker drawdown tripped, s3cret-value", "trip", breaker="drawdown", symbol="BTCUSDT")
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    signal.signal(signal.SIGHUP, lambda *_: (notifier.reloading(), notifier.ready("reloaded")))
    hang = STATE / "hang"
    notifier.ready("paper, flat")
    while not stopping:
        notifier.watchdog()
        time.sleep(0.01)
        while hang.exists():
            time.sleep(0.01)
        if (code := STATE / "exit").exists():
            number = int(code.read_text())
            code.unlink()
            sys.exit(number)
    notifier.stopping("closing")
    for _ in range(int((STATE / "slow").read_text()) if (STATE / "slow").exists() else 0):
        notifier.extend_timeout(2.0)
        time.sleep(1.0)
    (STATE / "stopped").write_text("clean")


main()
