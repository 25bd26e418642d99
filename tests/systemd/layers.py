"""Inside a private systemd: the unit hangs or is killed with both legs held, and what becomes of them. Prints one line of JSON.

One law: the unit is the shipped one; what is shortened is said in its drop-in. See `test_layers`, which starts this as root.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from exchange_simulator.inthread import running_simulator
from journeys.daemon_process import SYMBOL, DaemonProcess, settings, wave
from journeys.live_process import ACCOUNT, PRICE, LiveProcess, live_settings

from hedgegridd.control.client import Client, Unreachable

ETC, HOME = Path("/etc/hedgegridd"), Path("/tmp/unit")
DROP_IN = Path("/etc/systemd/system/hedgegridd.service.d/test.conf")


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], check=True, capture_output=True, text=True).stdout.strip()


def main_pid() -> int:
    return int(systemctl("show", "-p", "MainPID", "--value", "hedgegridd"))


def install(config: Mapping[str, Any], service: str) -> None:
    """This configuration, in a unit with these lines more."""
    path = ETC / "hedgegridd.toml"
    path.write_text(tomli_w.dumps(dict(config)))
    shutil.chown(path, "root", "hedgegridd")
    path.chmod(0o640)
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(f"[Service]\nRestartSec=100ms\n{service}")
    systemctl("stop", "hedgegridd")
    shutil.rmtree("/var/lib/hedgegridd/journal", ignore_errors=True)
    systemctl("daemon-reload")
    systemctl("start", "hedgegridd")


class Unit(DaemonProcess):
    """The daemon that systemd keeps."""

    def watched(self) -> Unit:
        """It is asked where the unit has its socket."""
        self.client = Client("/run/hedgegridd/hedgegridd.sock")
        return self

    @property
    def runs(self) -> bool:
        return True

    @property
    def log(self) -> str:
        return subprocess.run(["journalctl", "-u", "hedgegridd", "-o", "cat"], check=False, capture_output=True, text=True).stdout

    def _environ(self) -> dict[str, str]:
        return dict(os.environ)

    def replaced(self, old: int, true: Callable[[dict[str, Any]], Any], seconds: float = 60.0) -> dict[str, Any]:
        """Another process is as wished."""
        end, found = time.monotonic() + seconds, {}
        while time.monotonic() < end:
            try:
                self.client.close()
                if main_pid() not in (0, old):
                    found = self.status()
                    if true(found):
                        return found
            except (Unreachable, OSError):
                pass
            time.sleep(0.02)
        raise AssertionError(f"in vain: {json.dumps(found)[:2000]}\n{self.log[-3000:]}")


class LiveUnit(Unit, LiveProcess):
    """The same on the simulator."""


def hung() -> dict[str, Any]:
    """The loop hangs, a person stops the account meanwhile; the watchdog brings another process."""
    wave(ETC, 3_000)
    config = settings(ETC / "BTCUSDT-1m.csv")
    install({**config, "feed": {**config["feed"], "speed": 600.0}}, "WatchdogSec=2\n")
    unit = Unit(HOME, {}).watched()
    unit.until(lambda status: all(status["instruments"][0][leg]["qty"] for leg in ("long", "short")), 60)
    old = main_pid()
    os.kill(old, signal.SIGSTOP)
    begun = time.monotonic()
    words = ["hedgegridctl", "activate", "--reason", "it hangs"]
    asked = subprocess.run(words, check=False, capture_output=True, text=True)
    found = unit.replaced(old, lambda status: status["kill_switch"]["phase"] == "flat")
    row = found["instruments"][0]
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "kill": found["kill_switch"],
        "held": [row[leg]["qty"] for leg in ("long", "short")],
        "said": asked.stdout + asked.stderr,
        "watchdog": "watchdog" in subprocess.run(["journalctl", "-o", "cat"], check=False, capture_output=True, text=True).stdout.lower(),
    }


def killed() -> dict[str, Any]:
    """kill -9 in live, with both legs held."""
    with running_simulator(symbols={SYMBOL: PRICE}, start_walk_per_s=2.0) as sim:
        run = f"ExecStart=\nExecStart=/opt/hedgegridd/bin/hedgegridd run --config {ETC}/hedgegridd.toml --confirm-live {ACCOUNT}\n"
        install(live_settings(sim), f"{run}Environment=SIM_KEY={sim.api_key} SIM_SECRET={sim.api_secret}\n")
        unit = LiveUnit(HOME, sim)
        unit.watched()
        unit.both_held()
        before, old = unit.truth()[0], main_pid()
        os.kill(old, signal.SIGKILL)
        begun = time.monotonic()
        meanwhile = unit.truth()
        unit.replaced(old, lambda status: status["ready"])
        unit.until_sound()
        took, after = time.monotonic() - begun, unit.truth()
        systemctl("stop", "hedgegridd")
    return {"seconds": round(took, 1), "before": before, "stops_meanwhile": meanwhile[3], "after": after[0], "stops": after[3]}


if __name__ == "__main__":
    print(json.dumps({"hung": hung, "killed": killed}[sys.argv[1]]()))
