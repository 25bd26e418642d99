"""The real daemon under a real systemd, installed as the README says: ready, seen, stopped, hung, killed, and back again.

One law: it goes by the README's own install lines and by what an operator types. The environment that runs this test is shown
under /opt, because the unit sees no home directory.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", ROOT.parent / "shared"))
WITH_SYSTEMD = SHARED / "bin" / "with-systemd"
IMPOSSIBLE = 77
OPT = "/opt/hedgegridd"
BASE = Path(sys.base_prefix)
SITE = Path(sysconfig.get_path("purelib"))
FOUND_BY_UNITS = str(BASE).startswith(("/usr", "/opt"))  # a Python in a home directory must be shown elsewhere
PYTHON = f"{BASE if FOUND_BY_UNITS else '/opt/base-python'}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
BINDS = [f"{SITE}:/opt/base-site", f"{ROOT}:/opt/base-source"] + ([] if FOUND_BY_UNITS else [f"{BASE}:/opt/base-python"])

README = (ROOT / "README.md").read_text()
INSTALL = README.split("## Install under systemd")[1].split("```sh\n")[1].split("```")[0]
UNINSTALL = README.split("**Uninstall**")[1].split("```sh\n")[1].split("```")[0]

#: A virtual environment whose packages are those of this test's own.
ENVIRONMENT = f"""
set -eu
rm -rf /etc/hedgegridd {OPT} /var/lib/hedgegridd*  # what this machine may have of its own; its real files stay
export PYTHONDONTWRITEBYTECODE=1 PATH={OPT}/bin:$PATH
lib={OPT}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages
mkdir -p $lib {OPT}/bin
printf '/opt/base-source\\n/opt/base-site\\n' > $lib/environment.pth
printf 'home = %s\\n' $(dirname {PYTHON}) > {OPT}/pyvenv.cfg
ln -s {PYTHON} {OPT}/bin/python
printf '#!{OPT}/bin/python\\nfrom hedgegridd.cli import main\\nmain()\\n' > {OPT}/bin/hedgegridd
printf '#!{OPT}/bin/python\\nfrom hedgegridd.control.cli import main\\nmain()\\n' > {OPT}/bin/hedgegridctl
chmod 755 {OPT}/bin/*
if [ -d /opt/base-python ]; then echo /opt/base-python/lib > /etc/ld.so.conf.d/base-python.conf; ldconfig; fi
cd {ROOT}
"""
FIRST = INSTALL.splitlines()[0]
REST = INSTALL.replace(FIRST + "\n", "")
assert FIRST.startswith("python3 -m venv /opt/hedgegridd && /opt/hedgegridd/bin/pip install")
QUICK = """
settled() { for n in $(seq 1000); do "$@" && return; sleep 0.05; done; echo "never: $*"; }
drop_in() {
    mkdir -p /etc/systemd/system/hedgegridd.service.d
    printf '[Service]\\n%b' "$1" > /etc/systemd/system/hedgegridd.service.d/test.conf
    systemctl daemon-reload
}
prop() { systemctl show -p "$1" --value hedgegridd; }
said() { journalctl --sync; journalctl "$@" -o cat; }
"""


def under_systemd(script: str, rest: str = REST) -> str:
    """What a shell script says in a private systemd with hedgegridd installed and running."""
    if not WITH_SYSTEMD.exists():
        pytest.skip(f"{WITH_SYSTEMD} is not there (HEDGEGRIDD_SHARED)")
    binds = [word for bind in BINDS for word in ("--bind", bind)]
    run = [str(WITH_SYSTEMD), *binds, "--", "bash", "-c", ENVIRONMENT + rest + QUICK + script]
    done = subprocess.run(run, check=False, capture_output=True, text=True, timeout=200)
    if done.returncode == IMPOSSIBLE:
        pytest.skip(f"this machine does not allow a private systemd: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def parts(said: str) -> dict[str, str]:
    """`== name` lines cut the output in parts."""
    found = re.split(r"^== (\w+)\n", said, flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(found[1::2], found[2::2], strict=True)}


def test_it_starts_ready_and_is_seen_and_stops_clean() -> None:
    said = parts(
        under_systemd("""
    echo == state; systemctl is-active hedgegridd; prop StatusText
    echo == status; hedgegridctl status --json; echo
    echo == code; hedgegridctl ping >/dev/null; echo $?
    echo == modes; stat -c '%U:%G %a' /run/hedgegridd/hedgegridd.sock /var/lib/hedgegridd /var/lib/hedgegridd/journal
    echo == identity; ps -o user= -p $(prop MainPID)
    echo == reload; systemctl reload hedgegridd; settled sh -c 'journalctl -u hedgegridd -o cat | grep -q reloaded'
    systemctl is-active hedgegridd
    echo == stop; systemctl stop hedgegridd; prop Result; prop ExecMainStatus; prop NRestarts
    echo == left; ls /run/hedgegridd; test -s /var/lib/hedgegridd/last_stop.json && echo summary
    echo == gone; hedgegridctl status >/dev/null 2>&1 || echo $?
    echo == log; said -u hedgegridd
    """)
    )
    assert said["state"].splitlines() == ["active", "trading in mode paper"]
    status: dict[str, Any] = json.loads(said["status"])
    assert (status["mode"], status["ready"], status["degraded"]) == ("paper", True, [])
    assert said["code"] == "0"
    assert said["modes"].splitlines() == ["hedgegridd:hedgegridd 660", "hedgegridd:hedgegridd 750", "hedgegridd:hedgegridd 750"]
    assert said["identity"] == "hedgegr+" or said["identity"] == "hedgegridd"
    assert said["reload"].splitlines()[-1] == "active"
    assert said["stop"].splitlines() == ["success", "0", "0"]
    assert "hedgegridd.sock" not in said["left"].split()
    assert "summary" in said["left"].split()
    assert said["gone"] == "3"
    assert "started in mode paper" in said["log"] and "Traceback" not in said["log"]


def test_killed_stays_killed_and_the_journal_can_be_asked() -> None:
    said = parts(
        under_systemd("""
    hedgegridctl activate --reason "exchange rumour" > /dev/null
    echo == kill; said -u hedgegridd MESSAGE_ID=5d1c2a9be43f4f0f9c0b6de7a5f1c801
    echo == flat; said MESSAGE_ID=0e9b7c52d6184a3db1f07a86e5c29403
    echo == crit; said -u hedgegridd -p crit | head -1
    echo == fields; journalctl -u hedgegridd MESSAGE_ID=5d1c2a9be43f4f0f9c0b6de7a5f1c801 -o json
    systemctl restart hedgegridd
    echo == again; hedgegridctl status --json || echo; prop StatusText
    echo == crash; systemctl kill -s KILL hedgegridd; drop_in 'RestartSec=100ms\n'
    settled sh -c 'test "$(systemctl show -p NRestarts --value hedgegridd)" -ge 1'; settled systemctl is-active -q hedgegridd
    settled sh -c 'hedgegridctl ping >/dev/null 2>&1'
    hedgegridctl status >/dev/null || echo $?
    echo == back; hedgegridctl deactivate --reason "false alarm" >/dev/null; hedgegridctl status >/dev/null; echo $?
    """)
    )
    assert "exchange rumour" in said["kill"].splitlines()[0]
    assert said["flat"].startswith("flat: exchange rumour")
    assert "kill switch engaged" in said["crit"]
    fields = json.loads(said["fields"].splitlines()[0])
    assert (fields["PRIORITY"], fields["_SYSTEMD_UNIT"], fields["HEDGEGRIDD_SOURCE"]) == ("2", "hedgegridd.service", "ctl")
    status, text = said["again"].splitlines()[0], said["again"].splitlines()[-1]
    assert json.loads(status)["kill_switch"]["reason"] == "exchange rumour"
    assert text == "kill switch active: exchange rumour"
    assert said["crash"].splitlines()[-1] == "5", said["crash"]
    assert said["back"] == "0"


BREAKER = """from hedgegridd import Trip, hookimpl
class Always:
    name = "always"
    def check(self, snapshot):
        return Trip("it always is", snapshot.equity, 1.0)
@hookimpl
def register_breakers(register):
    register(Always)
"""


def test_a_breaker_dropped_in_trips_and_is_found_by_its_name() -> None:
    said = parts(
        under_systemd(f"""
    cat > /tmp/breaker_always.py <<'END'
{BREAKER}END
    install -m 0640 -g hedgegridd /tmp/breaker_always.py /etc/hedgegridd/plugins/
    settled sh -c 'hedgegridctl breakers | grep -q always'
    echo == held; hedgegridctl breakers --json
    hedgegridctl breakers arm always --reason "meant so" > /dev/null
    settled sh -c 'journalctl --sync; journalctl HEDGEGRIDD_BREAKER=always -o cat | grep -q tripped'
    echo == trip; journalctl HEDGEGRIDD_BREAKER=always MESSAGE_ID=a3f4e1d07c5b4b7a8f2d9160c4be3702 -o cat
    echo == status; hedgegridctl status --json || true
    echo == refused; hedgegridctl deactivate --reason "try" 2>&1 || true
    """)
    )
    row = next(row for row in json.loads(said["held"])["breakers"] if row["name"] == "always")
    assert row["state"] == "would_trip"
    assert "breaker always tripped" in said["trip"]
    status = json.loads(said["status"])
    assert (status["kill_switch"]["active"], status["kill_switch"]["level"]) == (True, "halt")
    assert "always" in said["refused"]


def test_a_hung_loop_is_replaced_and_goes_on() -> None:
    said = parts(
        under_systemd("""
    hedgegridctl pause > /dev/null
    drop_in 'WatchdogSec=2\nRestartSec=100ms\n'; systemctl restart hedgegridd
    settled sh -c 'hedgegridctl ping >/dev/null 2>&1'; old=$(prop MainPID)
    kill -STOP $old
    settled sh -c 'test "$(systemctl show -p NRestarts --value hedgegridd)" -ge 1'; settled systemctl is-active -q hedgegridd
    settled sh -c 'hedgegridctl ping >/dev/null 2>&1'
    echo == state; systemctl is-active hedgegridd; test "$(prop MainPID)" != "$old" && echo another
    echo == log; said -u hedgegridd | grep -ci watchdog
    echo == status; hedgegridctl status --json || true
    """)
    )
    assert said["state"].splitlines() == ["active", "another"]
    assert int(said["log"]) >= 1
    assert json.loads(said["status"])["instruments"][0]["paused"] is True


@pytest.mark.parametrize(
    ("table", "says"),
    [('mode = "papre"', "papre"), ('mode = "live"\nallow_live_trading = true', "live")],
    ids=["a word that is none", "live"],
)
def test_a_refused_configuration_stays_down(table: str, says: str) -> None:
    said = parts(
        under_systemd(f"""
    drop_in 'RestartSec=100ms\n'
    systemctl stop hedgegridd; sed -i '/^mode = /d' /etc/hedgegridd/hedgegridd.toml
    printf '%s\n' '{table}' | cat - /etc/hedgegridd/hedgegridd.toml > /tmp/c; cat /tmp/c > /etc/hedgegridd/hedgegridd.toml
    systemctl start hedgegridd 2>/dev/null || true; sleep 0.5
    echo == state; prop ActiveState; prop ExecMainStatus; prop NRestarts
    echo == log; said -u hedgegridd
    """)
    )
    assert said["state"].splitlines() == ["failed", "78", "0"], said["log"]
    assert says in said["log"] and "Traceback" not in said["log"]


def test_who_may_read_and_who_may_write() -> None:
    said = parts(
        under_systemd("""
    printf '\n[daemon]\nadmin_group = "hedgegridd-admin"\n' >> /etc/hedgegridd/hedgegridd.toml; systemctl restart hedgegridd
    as() { setpriv --reuid 65534 --regid 65534 "$@" >/dev/null 2>&1 && echo 0 || echo $?; }
    echo == stranger; as --clear-groups hedgegridctl status
    echo == reader; as --groups hedgegridd hedgegridctl status ; as --groups hedgegridd hedgegridctl pause
    echo == admin; as --groups hedgegridd,hedgegridd-admin hedgegridctl pause
    """)
    )
    assert said["stranger"] in ("1", "3")
    assert said["reader"].splitlines() == ["0", "1"]
    assert said["admin"] == "0"


def test_an_instance_has_its_own_place() -> None:
    said = parts(
        under_systemd("""
    systemctl stop hedgegridd
    install -d -g hedgegridd -m 0750 /etc/hedgegridd/main
    install -m 0640 -g hedgegridd etc/paper.toml /etc/hedgegridd/main/hedgegridd.toml
    systemctl start hedgegridd@main
    echo == status; hedgegridctl --instance main status >/dev/null; echo $?
    echo == files; ls /run/hedgegridd/main /var/lib/hedgegridd/main
    """)
    )
    assert said["status"] == "0"
    assert {"hedgegridd.sock", "journal"} <= set(said["files"].split())


def test_the_readme_leads_out_again() -> None:
    said = parts(under_systemd(f"{UNINSTALL}\necho == left; ls -d /etc/hedgegridd /var/lib/hedgegridd {OPT} 2>/dev/null || true\n"))
    assert said["left"] == ""


def test_the_unit_lets_a_drill_be_done_as_its_own_unit_asks_for_one() -> None:
    """Under the daemon's own sandbox: a child process, its priority, its limits, its folder."""
    said = parts(
        under_systemd("""
    echo == start; systemctl start hedgegridd-drill; echo $?
    echo == list; hedgegridctl drill --list --json; echo
    echo == modes; stat -c '%U:%G %a' /var/lib/hedgegridd/drills /var/lib/hedgegridd/drills/*.json
    echo == left; ls -A /var/lib/hedgegridd/drills | grep -c twin || true
    echo == log; said -u hedgegridd-drill
    """)
    )
    assert said["start"] == "0", said["log"]
    (row,) = json.loads(said["list"])["drill"]
    assert (row["result"], row["scenarios"], row["failed"]) == ("pass", 7, []), said["log"]
    assert said["modes"].splitlines() == ["hedgegridd:hedgegridd 750", "hedgegridd:hedgegridd 640"]
    assert said["left"] == "0"
    assert "PASS  crash" in said["log"]
