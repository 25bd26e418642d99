"""On the wire: with a file feed no network socket is ever made, and no named Unix socket but control, notify and journal.

strace sees every call of every thread where it may; where it may not, the daemon's descriptors are looked at all the time.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from journeys.daemon_process import DaemonProcess

Home = Callable[..., DaemonProcess]
JOURNALD = ("/run/systemd/journal/socket", "/run/systemd/journal/stdout", "/dev/log")
FAMILY = re.compile(r"\bsocket(?:pair)?\((\w+)")
NAMED = re.compile(r'sun_path=(@?)"([^"]*)"')


def may_trace() -> bool:
    """Whether strace is here and works."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode == 0


def allowed(daemon: DaemonProcess, notify: Path) -> set[str]:
    """The only names that may be bound, or connected or sent to."""
    return {str(daemon.socket), str(notify), *JOURNALD}


def own_staging(daemon: DaemonProcess, name: str) -> bool:
    """The control socket is made beside its place and then moved there."""
    return re.fullmatch(re.escape(str(daemon.socket.parent)) + r"/\.\d+\.new", name) is not None


class Descriptors(threading.Thread):
    """Looks at the daemon's open sockets for as long as it lives: kinds of network, and names of Unix sockets."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.network, self.names, self.over, self.looks = pid, set[str](), set[str](), threading.Event(), 0

    def run(self) -> None:
        while not self.over.wait(0.002):
            inodes = self._sockets()
            for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "netlink", "packet"):
                self.network |= {kind for line in self._table(kind) if inodes & set(line.split())}
            self.names |= {line.split()[7] for line in self._table("unix") if len(line.split()) > 7 and line.split()[6] in inodes}
            self.looks += 1

    def _sockets(self) -> set[str]:
        found = set()
        for path in self._listed(Path(f"/proc/{self.pid}/fd")):
            try:
                target = str(path.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target[8:-1])
        return found

    @staticmethod
    def _listed(path: Path) -> list[Path]:
        try:
            return list(path.iterdir())
        except OSError:
            return []

    def _table(self, kind: str) -> list[str]:
        try:
            return Path(f"/proc/{self.pid}/net/{kind}").read_text().splitlines()[1:]
        except OSError:
            return []


def a_life(daemon: DaemonProcess, mode: str) -> None:
    """Trading, questions, an activation, a return, a stop."""
    daemon.until(lambda status: status["counts"]["bars"] > 200, 60)
    for verb in ("status", "orders", "fills", "why", "config", "alerts", "metrics", "plugins", "journal.verify"):
        daemon.call(verb, 60.0)
    daemon.call("alert.test", 60.0)
    daemon.call("activate", reason="the wire")
    daemon.flat(60)
    daemon.call("deactivate", reason="on with it")
    daemon.until(lambda status: not status["kill_switch"]["active"])
    time.sleep(0.3)  # for whatever may still be said on a wire
    assert (daemon.status()["mode"], bool(daemon.status()["counts"]["fills"])) == (mode, mode == "paper")


@pytest.mark.parametrize("mode", ["paper", "monitor", "dry_run"])
def test_with_a_file_feed_there_is_no_network(home: Home, mode: str, tmp_path: Path) -> None:
    daemon, notify, trace = home(minutes=20_000, mode=mode), tmp_path / "n", tmp_path / "trace"
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(notify))
    daemon.env["NOTIFY_SOCKET"] = str(notify)
    traced = may_trace()
    before = ["strace", "-f", "-qq", "-s", "256", "-e", "trace=%network", "-o", str(trace)] if traced else []
    daemon.start(speed="6000", before=before)
    child = daemon.status()["pid"]
    watcher = Descriptors(child)
    watcher.start()
    a_life(daemon, mode)
    watcher.over.set()
    watcher.join()
    os.kill(child, 15)
    assert daemon.ended() == 0
    told.settimeout(5)
    assert b"READY=1" in told.recv(4096)
    told.close()
    assert watcher.looks > 10
    assert watcher.network == set()
    good = allowed(daemon, notify)
    strange = {name for name in watcher.names if name not in good and not own_staging(daemon, name)}
    assert strange == set()
    if not traced:
        return
    text = trace.read_text(errors="replace")
    families = set(FAMILY.findall(text))
    assert families <= {"AF_UNIX"}, families
    names = {prefix + name for prefix, name in NAMED.findall(text)}
    assert str(notify) in names
    assert {name for name in names if name not in good and not own_staging(daemon, name)} == set()


@pytest.mark.skipif(not may_trace(), reason="needs strace")
def test_the_look_at_the_wire_is_not_blind(home: Home, tmp_path: Path) -> None:
    chat = socket.create_server(("127.0.0.1", 0))
    slack = {"enabled": True, "webhook_url": f"http://127.0.0.1:{chat.getsockname()[1]}/services/T/B/x"}
    daemon, trace = home(minutes=6_000, alert={"slack": slack}), tmp_path / "trace"
    daemon.start(speed="6000", before=["strace", "-f", "-qq", "-s", "256", "-e", "trace=%network", "-o", str(trace)])
    child = daemon.status()["pid"]
    chat.settimeout(60)
    with chat, chat.accept()[0]:
        pass  # it was called, and nothing was said
    os.kill(child, 15)
    assert daemon.ended() == 0
    assert "AF_INET" in set(FAMILY.findall(trace.read_text(errors="replace")))


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root, to take the network away")
def test_it_trades_where_there_is_no_network_at_all(home: Home) -> None:
    daemon = home(minutes=600).start(before=["unshare", "--net"], ready=False)
    assert daemon.ended() == 0
    daemon.sound()
    assert len(daemon.fills()) > 10
