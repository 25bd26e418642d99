"""Alerts as lines of the daemon's log, or of a file of their own: what people are told, beside the acts that the log has anyway."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hedgegridd import Alert, hookimpl

#: Rules whose act the log tells anyway: one line per act that matters, not two.
TOLD = frozenset(
    [
        "kill_activated",
        "kill_deactivated",
        "breaker_tripped",
        "breaker_near",
        "breaker_unknown",
        "breaker_error",
        "breaker_would_trip",
        "breaker_cleared",
        "flatten_started",
        "flatten_done",
        "emergency_stop_placed",
        "unprotected",
        "disk_failed",
        "fill",
        "order_error",
        "started",
        "stopped",
    ]
)


class LogAlerts:
    """`path` "" = the daemon's log, less what its acts tell there; else one line per alert is appended to that file."""

    name = "log"

    class Settings:
        path: str = ""

    settings: Any = Settings()

    def send(self, alert: Alert) -> None:
        line = f"{alert.title} ({'; '.join(alert.text.splitlines())})"
        if self.settings.path:
            self._append(alert, line)
            return
        if alert.rule in TOLD or (alert.rule == "journal_head" and sys.stderr.isatty()):  # a head is for what leaves the machine
            return
        from loguru import logger

        logger.bind(**{**alert.fields, "rule": alert.rule}).log(str(alert.severity), f"alert: {line}")

    def _append(self, alert: Alert, line: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        with Path(self.settings.path).open("a") as out:
            out.write(f"{now} {alert.severity} {' '.join(line.split())}\n")


@hookimpl
def register_alerts(register: Any) -> None:
    register(LogAlerts)
