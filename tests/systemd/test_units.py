"""The units under a real, private systemd: they parse without a word, are as tight as promised, and give the daemon what it needs."""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
from pathlib import Path

import loguru
import pytest

from hedgegridd.schema import DaemonTable

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", ROOT.parent / "shared"))
WITH_SYSTEMD = SHARED / "bin" / "with-systemd"
AFTER_SECONDS = 10  # for what comes after the last order: alerts on their way, hosts, the last words of the journal
IMPOSSIBLE = 77  # with-systemd's way of saying that this machine does not allow it

INSTALL = f"""
set -eu
rm -rf /etc/hedgegridd /opt/hedgegridd /var/lib/hedgegridd*  # what this machine may have of its own; its real files stay
mkdir -p /opt/hedgegridd/bin /opt/hedgegridd/lib/hedgegridd/live
cp {ROOT}/tests/systemd/standin.py /opt/hedgegridd/bin/hedgegridd
chmod 755 /opt/hedgegridd/bin/hedgegridd
cp {ROOT}/hedgegridd/*.py /opt/hedgegridd/lib/hedgegridd/
cp {ROOT}/hedgegridd/live/__init__.py {ROOT}/hedgegridd/live/log.py {ROOT}/hedgegridd/live/notify.py /opt/hedgegridd/lib/hedgegridd/live/
cp -r {Path(loguru.__file__).parent} /opt/hedgegridd/lib/
chmod -R a+rX /opt/hedgegridd
cp {UNITS}/*.service {UNITS}/*.timer /etc/systemd/system/
cp {UNITS}/sysusers.d/hedgegridd.conf /usr/lib/sysusers.d/
cp {UNITS}/tmpfiles.d/hedgegridd.conf /usr/lib/tmpfiles.d/
systemd-sysusers
systemd-tmpfiles --create hedgegridd.conf
systemctl daemon-reload
"""


def _systemd(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a private systemd with the units installed."""
    if not WITH_SYSTEMD.exists():
        pytest.skip(f"{WITH_SYSTEMD} is not there (HEDGEGRIDD_SHARED)")
    run = subprocess.run([WITH_SYSTEMD, "--", "sh", "-c", INSTALL + script], check=False, capture_output=True, text=True, timeout=120)
    if run.returncode == IMPOSSIBLE:
        why = f"this machine does not allow a private systemd: {run.stderr.strip()}"
        (pytest.fail if os.environ.get("HEDGEGRIDD_REQUIRE_ALL") == "1" else pytest.skip)(why)
    return run


def _settings(unit: str) -> list[str]:
    text = (UNITS / unit).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


# --- as text --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["hedgegridd.service", "hedgegridd@.service"])
@pytest.mark.parametrize(
    "line",
    ["Type=notify", "WatchdogSec=8", "Restart=on-failure", "RestartPreventExitStatus=78", "TimeoutStopSec=60", "KillMode=mixed",
     "User=hedgegridd", "LimitCORE=0", "NoNewPrivileges=yes", "ProtectSystem=strict"],
)  # fmt: skip
def test_what_the_daemon_relies_on(unit: str, line: str) -> None:
    assert line in _settings(unit)


@pytest.mark.parametrize("unit", ["hedgegridd.service", "hedgegridd@.service"])
def test_what_a_check_of_socket_peers_and_psutil_forbid(unit: str) -> None:
    assert not any(line.startswith(("PrivateUsers=", "ProcSubset=", "DynamicUser=", "LoadCredential")) for line in _settings(unit))


@pytest.mark.parametrize("unit", ["hedgegridd.service", "hedgegridd@.service"])
def test_a_stop_as_it_is_set_by_default_fits_the_unit(unit: str) -> None:
    (given,) = [line.removeprefix("TimeoutStopSec=") for line in _settings(unit) if line.startswith("TimeoutStopSec=")]
    assert int(given) >= DaemonTable().stop_timeout_seconds + AFTER_SECONDS, "a longer one is told to systemd while it lasts (test_stop)"


def test_the_template_differs_from_the_unit_only_where_the_instance_is_named() -> None:
    lines = difflib.ndiff(_settings("hedgegridd.service"), _settings("hedgegridd@.service"))
    added = [line[2:] for line in lines if line.startswith("+ ")]
    assert added and all("%i" in line for line in added)


def test_keys_come_as_credentials_and_nowhere_else() -> None:
    settings = _settings("live.conf")
    assert all("credentials/%N/" in line for line in settings if line.startswith("LoadCredential="))
    assert not any("KEY" in line or "SECRET" in line for line in settings if line.startswith("Environment="))


def test_the_unit_runs_the_program_that_is_installed() -> None:
    assert "ExecStart=/opt/hedgegridd/bin/hedgegridd run --config /etc/hedgegridd/hedgegridd.toml" in _settings("hedgegridd.service")


def test_a_drill_is_the_daemons_user_at_its_socket_and_nothing_more() -> None:
    settings = _settings("hedgegridd-drill.service")
    assert "ExecStart=/opt/hedgegridd/bin/hedgegridctl --socket /run/hedgegridd/hedgegridd.sock drill" in settings
    assert {"Type=oneshot", "User=hedgegridd", "PrivateNetwork=yes", "Requisite=hedgegridd.service"} <= set(settings)
    assert {"OnCalendar=monthly", "Persistent=yes"} <= set(_settings("hedgegridd-drill.timer"))


# --- under systemd --------------------------------------------------------------------------------------------------------


def test_verify_has_nothing_to_say_with_and_without_live() -> None:
    run = _systemd(f"""
    exec 2>/tmp/said; systemd-analyze verify /etc/systemd/system/hedgegridd.service /etc/systemd/system/hedgegridd@main.service
    for unit in hedgegridd hedgegridd@main; do
        install -D -m 0644 {UNITS}/live.conf /etc/systemd/system/$unit.service.d/live.conf
    done
    systemd-analyze verify /etc/systemd/system/hedgegridd.service /etc/systemd/system/hedgegridd@main.service
    cat /tmp/said
    """)
    assert (run.returncode, run.stdout) == (0, "")


@pytest.mark.parametrize("unit", ["hedgegridd.service", "hedgegridd@.service"])
def test_the_security_score(unit: str) -> None:
    run = _systemd(f"systemd-analyze security --offline=yes --threshold=12 --no-pager /etc/systemd/system/{unit} | tail -1")
    assert run.returncode == 0
    score = re.search(r"level for \S+: ([\d.]+)", run.stdout)
    assert score is not None and float(score[1]) <= 1.2


def test_verify_has_nothing_to_say_of_the_drill() -> None:
    run = _systemd("""
    cp /opt/hedgegridd/bin/hedgegridd /opt/hedgegridd/bin/hedgegridctl
    systemd-analyze verify /etc/systemd/system/hedgegridd-drill.service /etc/systemd/system/hedgegridd-drill.timer 2>&1
    """)
    assert (run.returncode, run.stdout) == (0, "")


def test_users_and_folders() -> None:
    run = _systemd("""
    getent passwd hedgegridd | cut -d: -f6,7; getent group hedgegridd-admin | cut -d: -f1
    stat -c '%U:%G %a %n' /etc/hedgegridd /etc/hedgegridd/* /var/lib/hedgegridd /run/hedgegridd
    """)
    assert run.stdout.splitlines() == [
        "/var/lib/hedgegridd:/usr/sbin/nologin",
        "hedgegridd-admin",
        "root:hedgegridd 750 /etc/hedgegridd",
        "root:hedgegridd 750 /etc/hedgegridd/conf.d",
        "root:root 700 /etc/hedgegridd/credentials",
        "root:hedgegridd 750 /etc/hedgegridd/plugins",
        "hedgegridd:hedgegridd 750 /var/lib/hedgegridd",
        "hedgegridd:hedgegridd 750 /run/hedgegridd",
    ]


def test_the_unit_gives_what_is_needed_and_forbids_the_rest() -> None:
    run = _systemd("""
    systemctl start hedgegridd; systemctl show -p StatusText --value hedgegridd
    systemctl reload hedgegridd; sleep 0.2; systemctl show -p StatusText --value hedgegridd
    stat -c '%U:%G %a' /run/hedgegridd/hedgegridd.sock
    systemctl stop hedgegridd; cat /var/lib/hedgegridd/stopped; echo; ls -d /run/hedgegridd
    cat /var/lib/hedgegridd/results.json
    """)
    *told, results = run.stdout.splitlines()
    assert told == ["paper, flat", "reloaded", "hedgegridd:hedgegridd 660", "clean", "/run/hedgegridd"], run.stderr
    assert json.loads(results) == {
        "user": "True", "state": "0o640", "control_socket": "True", "plugin_host": "hello", "thread": "done", "network": "socket",
        "load": "True", "scratch": "True", "credentials": "none", "others_credentials": "none", "write_config": "OSError",
        "write_code": "OSError", "raw_socket": "OSError", "set_clock": "PermissionError", "home": "PermissionError",
        "arguments": "run --config /etc/hedgegridd/hedgegridd.toml", "watchdog_seconds": "8.0",
    }  # fmt: skip


def test_a_stop_that_is_said_to_take_longer_is_waited_for() -> None:
    run = _systemd("""
    mkdir /etc/systemd/system/hedgegridd.service.d
    printf '[Service]\\nTimeoutStopSec=1\\n' > /etc/systemd/system/hedgegridd.service.d/short.conf
    systemctl daemon-reload; systemctl start hedgegridd; echo 3 > /var/lib/hedgegridd/slow
    systemctl stop hedgegridd; systemctl show -p Result --value hedgegridd; cat /var/lib/hedgegridd/stopped
    """)
    assert run.stdout.split() == ["success", "clean"], run.stderr


def test_the_journal_has_native_fields_and_no_secret() -> None:
    run = _systemd("""
    systemctl start hedgegridd; journalctl --sync
    journalctl HEDGEGRIDD_BREAKER=drawdown -o json
    journalctl -u hedgegridd -p crit -o cat
    journalctl -u hedgegridd MESSAGE_ID=a3f4e1d07c5b4b7a8f2d9160c4be3702 -o cat
    journalctl | grep -c s3cret-value
    """)
    entry, by_priority, by_id, secrets = run.stdout.splitlines()
    assert by_priority == by_id == json.loads(entry)["MESSAGE"] == "breaker drawdown tripped, ***"
    fields = json.loads(entry)
    assert (fields["PRIORITY"], fields["HEDGEGRIDD_SYMBOL"], fields["_SYSTEMD_UNIT"]) == ("2", "BTCUSDT", "hedgegridd.service")
    assert secrets == "0"


def test_instances_do_not_see_each_others_keys() -> None:
    run = _systemd(f"""
    for name in one two; do
        install -D -m 0644 {UNITS}/live.conf /etc/systemd/system/hedgegridd@$name.service.d/live.conf
        printf '[Service]\\nEnvironment=HEDGEGRIDD_ACCOUNT=%s\\n' $name > /etc/systemd/system/hedgegridd@$name.service.d/zz.conf
        mkdir -p /etc/hedgegridd/credentials/hedgegridd@$name
        for key in BINANCE_API_KEY BINANCE_API_SECRET; do printf $name > /etc/hedgegridd/credentials/hedgegridd@$name/$key; done
    done
    systemctl daemon-reload
    systemctl start hedgegridd@one hedgegridd@two
    systemctl restart hedgegridd@one
    stat -c '%a' /run/hedgegridd/two/hedgegridd.sock
    systemctl stop hedgegridd@two; ls /run/hedgegridd
    for name in one two; do cat /var/lib/hedgegridd/$name/results.json; echo; done
    """)
    mode, left, one, two = run.stdout.splitlines()
    assert (mode, left) == ("660", "one"), run.stderr
    for name, text in (("one", one), ("two", two)):
        results = json.loads(text)
        assert results["credentials"] == f"BINANCE_API_KEY={name},BINANCE_API_SECRET={name}"
        assert results["others_credentials"] == "none"
        assert results["arguments"] == f"run --config /etc/hedgegridd/{name}/hedgegridd.toml --confirm-live {name}"


def test_a_missing_key_keeps_live_from_starting() -> None:
    run = _systemd(f"""
    install -D -m 0644 {UNITS}/live.conf /etc/systemd/system/hedgegridd.service.d/live.conf
    systemctl daemon-reload; systemctl start hedgegridd 2>/dev/null || systemctl show -p ExecMainStatus --value hedgegridd
    """)
    assert run.stdout.strip() == "243"


def test_a_hung_loop_is_killed_with_its_stack_shown_and_starts_again() -> None:
    run = _systemd("""
    mkdir -p /etc/systemd/system/hedgegridd.service.d
    printf '[Service]\\nWatchdogSec=1\\nRestartSec=100ms\\n' > /etc/systemd/system/hedgegridd.service.d/quick.conf
    systemctl daemon-reload; systemctl start hedgegridd
    touch /var/lib/hedgegridd/hang
    for n in $(seq 100); do systemctl show -p NRestarts --value hedgegridd | grep -q '^[1-9]' && break; sleep 0.1; done
    rm /var/lib/hedgegridd/hang
    for n in $(seq 100); do systemctl is-active -q hedgegridd && break; sleep 0.1; done
    systemctl is-active hedgegridd; journalctl --sync
    journalctl -u hedgegridd -o cat | grep -c 'in main'
    """)
    active, stacks = run.stdout.splitlines()
    assert active == "active" and int(stacks) >= 1


@pytest.mark.parametrize(("code", "restarts"), [(0, "0"), (78, "0"), (4, "1"), (1, "1")])
def test_which_ends_start_again(code: int, restarts: str) -> None:
    run = _systemd(f"""
    mkdir -p /etc/systemd/system/hedgegridd.service.d
    printf '[Service]\\nRestartSec=100ms\\n' > /etc/systemd/system/hedgegridd.service.d/quick.conf
    systemctl daemon-reload; systemctl start hedgegridd
    printf {code} > /var/lib/hedgegridd/exit
    for n in $(seq 100); do test -e /var/lib/hedgegridd/exit || break; sleep 0.05; done
    sleep 0.7; systemctl show -p NRestarts --value hedgegridd
    """)
    assert run.stdout.strip() == restarts, run.stderr
