"""A child process and the socket to it: spawned clean, read line by line, killed with its whole group.

One law: no call here waits for the child. It knows bytes and death, and nothing of what is said.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

MAX_LINE = 256 * 1024  #: bytes of one line; more is a flood

ROOT = str(Path(__file__).resolve().parents[2])
#: Gives way to the daemon before it imports anything (a unit's system call filter may forbid that); finds its
#: parent's own package without an environment.
BOOT = """
import os, sys
try:
    os.nice(10)
except OSError:
    pass
at = next((i for i, path in enumerate(sys.path) if path.endswith("site-packages")), len(sys.path))
sys.path.insert(at, sys.argv[4])
from importlib import import_module
import_module(sys.argv[5]).main(*map(int, sys.argv[1:4]))
"""
PLUGIN = "hedgegridd.live.pluginchild"


class Process:
    """One process and its socket: writes what is asked, splits what comes into lines, notices death by pidfd and by end of file."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        memory_bytes: int,
        heard: Callable[[bytes], None],
        died: Callable[[str], None],
        module: str = PLUGIN,
    ) -> None:
        """Spawn; raises OSError. `heard` gets each line, `died` is called once at most and never after `kill`. `module` has its `main`."""
        self._loop, self._heard, self._died, self._open = loop, heard, died, True
        self._buffer, self._unsent = bytearray(), bytearray()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            self._process = _spawn(theirs.fileno(), memory_bytes, module)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket, self.pid = ours, self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._exited)
        self._loop.add_reader(ours, self._readable)

    def write(self, data: bytes) -> None:
        """Send, or keep what the socket does not take now; never blocks."""
        self._unsent += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
            self._loop.remove_writer(self._socket)
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._flush)
        except OSError:  # it closed the socket: the reader tells
            self._unsent.clear()
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            chunk = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:  # mostly it is dying: give the kernel a moment to say of what
            self._loop.remove_reader(self._socket)
            self._loop.call_later(0.3, self._ended, "closed its socket")
            return
        self._buffer += chunk
        if len(self._buffer) > MAX_LINE:
            self._died(f"flooded: an answer longer than {MAX_LINE} bytes")
            return
        while self._open and (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._heard(line)

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._readable()  # its last words may explain it
        self._ended("exited")

    def _ended(self, what: str) -> None:
        if self._open:
            # Looked at without reaping it: until it is reaped its number, and its group's, cannot be another's.
            end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            self._died(_epitaph(end) if end else what)

    def kill(self) -> None:
        """SIGKILL to the whole process group, let go of the descriptors, reap without waiting."""
        self._open = False
        self._loop.remove_reader(self._pidfd)
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        os.close(self._pidfd)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # the leader is a zombie and alone; nothing is left to kill
            pass
        self._reap(0.001)

    @property
    def gone(self) -> bool:
        """Killed and reaped."""
        return self._process.returncode is not None

    def _reap(self, pause: float) -> None:
        if self._process.poll() is None:
            self._loop.call_later(pause, self._reap, min(pause * 2, 1.0))


def _spawn(fd: int, memory_bytes: int, module: str) -> subprocess.Popen[bytes]:
    """The child, with an empty environment, in a process group of its own.

    Not in a new session: the kernel may weigh sessions against each other, and then its nice value would count for nothing.
    Called in the loop's own thread, because its PR_SET_PDEATHSIG fires when the *thread* that spawned it ends; it takes about 1 ms.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", "-c", BOOT, str(fd), str(os.getpid()), str(memory_bytes), ROOT, module],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(fd,),
        env={},
        cwd="/",
        process_group=0,
    )


def _epitaph(end: os.waitid_result) -> str:
    if end.si_code == os.CLD_EXITED:
        return f"exited with status {end.si_status}"
    return f"was killed by {signal.Signals(end.si_status).name}"
