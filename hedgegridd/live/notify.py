"""What the service manager is told: ready, alive, reloading, stopping. One law: telling it never stops the daemon.

Without `$NOTIFY_SOCKET` every call does nothing and answers False. It knows nothing of trading: `watchdog` must be called from
the trading loop itself, never from a side thread, or a hung loop would look alive.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Mapping

PATIENCE_SECONDS = 1.0  # for what must arrive (READY, STOPPING); a beat or a status line does not wait at all


class Notifier:
    """The notification socket. `watchdog_seconds` is how long the manager waits for a beat; 0 = it asks for none."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """From `$NOTIFY_SOCKET`, `$WATCHDOG_USEC` and `$WATCHDOG_PID`: a beat asked of another process is not ours."""
        address, usec = environ.get("NOTIFY_SOCKET", ""), environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_seconds = int(usec) / 1e6 if ours and usec.isdigit() else 0.0
        self._beat_at = -math.inf
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None

    def ready(self, status: str = "") -> bool:
        """Start-up, or a reload, is over."""
        return self._send("READY=1", _status(status), wait=PATIENCE_SECONDS)

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(_status(text))

    def watchdog(self) -> bool:
        """The trading loop is alive. Call it at every turn of the loop: it is sent four times per `watchdog_seconds`."""
        now = time.monotonic()
        if not self.watchdog_seconds or now - self._beat_at < self.watchdog_seconds / 4:
            return False
        sent = self._send("WATCHDOG=1")
        if sent:
            self._beat_at = now
        return sent

    def reloading(self, status: str = "") -> bool:
        """A reload begins; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", _status(status), wait=PATIENCE_SECONDS)

    def stopping(self, status: str = "") -> bool:
        """A clean stop begins."""
        return self._send("STOPPING=1", _status(status), wait=PATIENCE_SECONDS)

    def extend_timeout(self, seconds: float) -> bool:
        """Starting or stopping needs this much longer from now on: say it again before it is over."""
        return self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}", wait=PATIENCE_SECONDS)

    def close(self) -> None:
        """Let go of the socket; later calls do nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str, wait: float = 0.0) -> bool:
        if self._socket is None:
            return False
        self._socket.settimeout(wait)
        try:
            self._socket.sendto("\n".join(line for line in lines if line).encode(), self._address)
        except OSError:  # nobody listens, or it is full: trading goes on, and a beat that is missed is missed
            return False
        return True


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}" if text else ""
