import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.control import cli, offline
from hedgegridd.control.protocol import VERBS
from hedgegridd.errors import ExchangeError, Refused

Ctl = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def at(ctl: Ctl, running: Any) -> Ctl:
    """hedgegridctl, pointed at the running daemon."""
    return lambda *words, **env: ctl("--socket", str(running.path), *words, **env)


@pytest.fixture
def state(folder: Path) -> Path:
    made = folder / "state"
    (made / "journal").mkdir(parents=True)
    return made


def kill_file(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state / "killswitch.json").read_text())
    return found


# --- arming ------------------------------------------------------------------------------------------------------------


NOW = {"name": "spread", "state": "would_trip", "value": 42.0, "threshold": 30.0, "unit": "bps", "reason": "42 bps >= 30 bps"}
LATELY = {"ok": True, "verdict": "would have tripped 2 times in 14 days", "trips": 2,
          "effect": {"kind": "estimate", "saved_usdt": -3.5, "basis": "so and so"}}  # fmt: skip


def test_arming_shows_the_preview_first_and_asks_nothing(at: Ctl, running: Any) -> None:
    running.daemon.answers["breakers.preview"] = {"schema": 1, "now": NOW, "lately": LATELY}
    running.daemon.answers["breakers.arm"] = {"schema": 1, "name": "spread", "state": "armed"}
    done = at("breakers", "arm", "spread", "--reason", "r")
    assert done.returncode == 0
    preview, _, outcome = done.stdout.partition("  spread  ")
    for part in ("would_trip, 42 of 30 bps", "2 times in 14 days", "an estimate: -3.50 USDT"):
        assert part in preview, done.stdout
    assert "armed" in outcome
    assert [name for name, _, _ in running.daemon.asked] == ["breakers.preview", "breakers.arm"]
    found = json.loads(at("breakers", "arm", "spread", "--reason", "r", "--json").stdout)
    assert (found["state"], found["preview"]["lately"]["trips"]) == ("armed", 2)


def test_arming_goes_on_where_there_is_no_preview(at: Ctl, running: Any) -> None:
    running.daemon.raises["breakers.preview"] = Refused("no preview within 8 s")
    done = at("breakers", "arm", "spread", "--reason", "r")
    assert done.returncode == 0 and "no preview within 8 s" in done.stdout
    assert json.loads(at("breakers", "arm", "spread", "--reason", "r", "--json").stdout)["preview"] == {"failed": "no preview within 8 s"}
    running.daemon.asked.clear()
    assert at("breakers", "arm", "spread", "--reason", "r", "--no-preview").returncode == 0
    assert [name for name, _, _ in running.daemon.asked] == ["breakers.arm"]


# --- incidents ---------------------------------------------------------------------------------------------------------


def test_an_incident_is_refused_with_the_daemons_words_and_a_wrong_id_is_usage(at: Ctl, running: Any) -> None:
    running.daemon.raises["incident"] = Refused("incident 7: expected the id of one (the newest: 5577)")
    done = at("incident", "7")
    assert done.returncode == 1 and "the newest: 5577" in done.stderr
    for wrong in ("seven", "0", "1.5"):
        done = at("incident", wrong)
        assert done.returncode == 2 and "a whole number from 1 on" in done.stderr, done.stderr


def test_without_a_daemon_it_says_which_command_tells_an_incident(ctl: Ctl, folder: Path, state: Path) -> None:
    done = ctl("--socket", str(folder / "none"), "--state-dir", str(state), "incident", "5577")
    assert done.returncode == 3 and not done.stdout
    assert "not reachable" in done.stderr and f"hedgegridd report incident 5577 --state-dir {state}" in done.stderr


# --- the command line ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "verb", "params"),
    [
        ("status", "status", {}),
        ("activate --reason exchange-rumour --level halt --no-wait", "activate", {"reason": "exchange-rumour", "level": "halt"}),
        ("deactivate --force --reason=tested", "deactivate", {"reason": "tested", "force": True}),
        ("flatten short --symbol BTCUSDT --reason r", "flatten", {"leg": "short", "symbol": "BTCUSDT", "reason": "r"}),
        ("breakers", "breakers", {}),
        ("breakers arm spread --reason r", "breakers.arm", {"name": "spread", "reason": "r"}),
        ("breakers disarm spread --reason r", "breakers.disarm", {"name": "spread", "reason": "r"}),
        ("breakers reset --all --reason r", "breakers.reset", {"all": True, "reason": "r"}),
        ("breakers explain spread", "breakers.explain", {"name": "spread"}),
        ("throttle 0.25 --leg long", "throttle", {"factor": 0.25, "leg": "long"}),
        ("pause --symbol BTCUSDT --leg short", "pause", {"symbol": "BTCUSDT", "leg": "short"}),
        ("resume", "resume", {}),
        ("fills --since 2026-01-01T00:00:00Z --limit 5", "fills", {"since": "2026-01-01T00:00:00Z", "limit": 5}),
        ("advance --reason r", "advance", {"reason": "r"}),
        ("journal tail --order 17", "journal.tail", {"order": "17"}),
        ("alert test", "alert.test", {}),
        ("incident", "incident", {}),
        ("incident 5577", "incident", {"id": 5577}),
    ],
)
def test_words_become_a_verb_and_its_params(
    running: Any, capsys: pytest.CaptureFixture[str], words: str, verb: str, params: dict[str, Any]
) -> None:
    cli.main(["--socket", str(running.path), "--json", *words.split()])
    asked = [(name, given) for name, given, _ in running.daemon.asked]
    assert asked[-1] == (verb, params) or asked[0] == (verb, params)  # arming asks for a preview first, activating looks on after
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "which verb?"),
        ("statsu", "did you mean 'status'"),
        ("breakers amr x --reason r", "did you mean 'breakers arm'"),
        ("journal", "journal verify, journal tail"),
        ("activate", "usage: hedgegridctl activate --reason R [--level halt|flatten]"),
        ("status --jsn", "no option '--jsn', did you mean '--json'"),
        ("activate --reason", "--reason needs a value"),
        ("activate --reason r --level panic", "halt or flatten"),
        ("activate --raeson r", "did you mean 'reason'"),
        ("throttle 2", "from 0 to 1"),
        ("throttle -1", "from 0 to 1"),
        ("throttle much", "from 0 to 1"),
        ("flatten sideways --reason r", "long, short or both"),
        ("status now", "does not take 'now'"),
        ("status --json=yes", "takes no value"),
        ("-x status", "no option '-x'"),
        ("--instance ../x status", "expected letters"),
    ],
)
def test_usage_errors_teach_and_end_with_2(running: Any, capsys: pytest.CaptureFixture[str], words: str, says: str) -> None:
    assert cli.main(["--socket", str(running.path), *words.split()]) == cli.USAGE
    assert says in capsys.readouterr().err
    assert running.daemon.asked == []


def test_help_names_every_verb_and_exit_code(ctl: Ctl) -> None:
    done = ctl("--help")
    assert done.returncode == 0
    for name in VERBS:
        assert name.replace(".", " ") in done.stdout
    assert "not flat in time" in done.stdout
    assert "--level halt|flatten" in ctl("help", "activate").stdout


def test_json_may_stand_before_or_after_the_verb(at: Ctl) -> None:
    before, after = at("--json", "status"), at("status", "--json")
    assert before.stdout == after.stdout
    assert json.loads(before.stdout)["mode"] == "paper"
    assert before.stdout.count("\n") == 1


def test_a_socket_by_the_environment(ctl: Ctl, running: Any) -> None:
    assert ctl("ping", HEDGEGRIDD_SOCKET=str(running.path)).returncode == 0
    done = ctl("--instance", "b", "ping", HEDGEGRIDD_SOCKET=str(running.path))
    assert done.returncode == 0
    assert "not --instance b" in done.stderr


def test_colours_only_on_a_terminal(at: Ctl) -> None:
    assert "\x1b" not in at("status").stdout


def test_it_imports_next_to_nothing(running: Any) -> None:
    """What `status` may load beside what Python itself has loaded. The cheapest test of its speed, and a steady one."""
    program = (
        "import sys; before = set(sys.modules); from hedgegridd.control.cli import main\n"
        f"code = main(['--socket', {str(running.path)!r}, 'status']); print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    whole = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{program}"
    done = subprocess.run([sys.executable, "-I", "-c", whole], capture_output=True, text=True, check=False)
    loaded = set(done.stderr.split())
    own = {name.removeprefix("hedgegridd") for name in loaded if name.startswith("hedgegridd")}
    assert own == {"", ".paths", ".control", ".control.cli", ".control.client", ".control.protocol", ".control.text"}
    package = {"typing", "collections", "collections.abc", "contextlib", "functools", "re", "enum"}  # by hedgegridd/__init__.py, if at all
    assert not {"json", "socket", "click", "pathlib", "argparse", "asyncio", "dataclasses"} & loaded
    assert not (package & loaded) or "import TYPE_CHECKING" in (ROOT / "hedgegridd/__init__.py").read_text()


# --- exit codes ------------------------------------------------------------------------------------------------------------


def test_status_codes(at: Ctl, running: Any) -> None:
    doc = running.daemon.doc
    assert at("status").returncode == 0
    doc["degraded"] = ["breaker spread: disarmed"]
    assert at("status").returncode == 6
    doc["kill_switch"].update(active=True, level="halt", reason="r")
    assert at("status").returncode == 5


def test_refused_and_failed_end_with_1(at: Ctl, running: Any) -> None:
    done = at("deactivate", "--reason", "r")
    assert (done.returncode, "still in breach: drawdown" in done.stderr) == (1, True)
    running.daemon.answers["alert.test"] = {"schema": 1, "channels": {"slack": {"ok": True}, "file": {"ok": False, "error": "full"}}}
    assert at("alert", "test").returncode == 1
    running.daemon.answers["journal.verify"] = {"schema": 1, "ok": False}
    assert at("journal", "verify", "--json").returncode == 1


@pytest.mark.parametrize(("status", "code"), [("flat", 0), ("failed", 4), ("closing", 4)])
def test_flatten_follows_what_the_exchange_said(at: Ctl, running: Any, status: str, code: int) -> None:
    closing = [{"symbol": "BTCUSDT", "side": "long", "size": 0.01, "order_id": "7"}]
    running.daemon.answers["flatten"] = {"schema": 1, "cancelled_orders": 3, "closing_positions": closing, "timestamp": "t", "reason": "r",
                                         "status": status}  # fmt: skip
    done = at("flatten", "long", "--reason", "r", "--json")
    assert done.returncode == code
    assert json.loads(done.stdout)["closing_positions"][0]["side"] == "long"


def test_a_reader_that_goes_away_is_no_traceback(running: Any) -> None:
    program = "import sys; from hedgegridd.control.cli import main; main()"
    command = f"{sys.executable} -c '{program}' --socket {running.path} status | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stderr == ""


# --- activate --------------------------------------------------------------------------------------------------------------


def test_activate_shows_each_phase_and_ends_flat(at: Ctl) -> None:
    done = at("activate", "--reason", "exchange rumour")
    assert done.returncode == 0
    phases = [line.split()[-1] for line in done.stdout.splitlines()[:-1]]
    assert phases == ["cancelling", "closing", "verifying", "flat"]
    assert done.stdout.splitlines()[-1].startswith("flat: 2 legs closed (BTCUSDT long 0.01, BTCUSDT short 0.014) in ")


def test_activate_counts_what_was_closed_by_the_fills(at: Ctl, running: Any) -> None:
    close = {"symbol": "BTCUSDT", "leg": "long", "role": "close", "qty": 0.006}
    running.daemon.answers["fills"] = {"fills": [close, close, {**close, "role": "entry", "qty": 9.0}]}
    found = json.loads(at("activate", "--reason", "r", "--json").stdout)
    assert found["flat"] is True
    assert {"symbol": "BTCUSDT", "side": "long", "size": 0.012} in found["legs_closed"]
    assert found["seconds"] < 30


def test_activate_halt_ends_when_no_opener_is_left(at: Ctl) -> None:
    done = at("activate", "--reason", "r", "--level", "halt")
    assert done.returncode == 0
    assert "take-profits and stops stay" in done.stdout


def test_activate_that_fails_to_get_flat_ends_with_4(at: Ctl, running: Any) -> None:
    running.daemon.phases = ["closing", "failed"]
    done = at("activate", "--reason", "r")
    assert done.returncode == 4
    assert "NOT FLAT" in done.stdout


def test_activate_without_waiting(at: Ctl, running: Any) -> None:
    assert at("activate", "--reason", "r", "--no-wait").returncode == 0
    assert [verb for verb, _, _ in running.daemon.asked] == ["activate"]


def test_activate_that_is_not_durable_says_so(at: Ctl, running: Any) -> None:
    running.daemon.on_activate = None
    running.daemon.answers["activate"] = {"schema": 1, "active": True, "durable": False}
    assert "NOT durable" in at("activate", "--reason", "r", "--no-wait").stderr


@pytest.mark.parametrize("durable", [True, False])
def test_activate_says_of_the_disk_at_its_end_what_the_status_says(at: Ctl, running: Any, durable: bool) -> None:
    plain = running.daemon.on_activate
    running.daemon.on_activate = lambda params, actor: {**plain(params, actor), "durable": not durable, "warning": "active, NOT durable: x"}
    running.daemon.doc["kill_switch"]["durable"] = durable
    found = json.loads(at("activate", "--reason", "r", "--json").stdout)
    assert (found["durable"], found["kill_switch"]["durable"], "warning" in found) == (durable, durable, not durable)


def test_activate_refused_by_right_writes_nothing(at: Ctl, running: Any, state: Path) -> None:
    running.daemon.raises["activate"] = Refused("no")
    assert at("--state-dir", str(state), "activate", "--reason", "r").returncode == 1
    assert not (state / "killswitch.json").exists()


def test_activate_in_a_broken_daemon_goes_by_the_file(at: Ctl, running: Any, state: Path) -> None:
    running.daemon.raises["activate"] = ExchangeError("boom")
    done = at("--state-dir", str(state), "activate", "--reason", "r")
    assert done.returncode == 1
    assert kill_file(state)["active"] is True


def test_at_a_terminal_a_slow_answer_is_seen_to_be_awaited(running: Any, folder: Path) -> None:
    running.daemon.on_incident = lambda *_: time.sleep(1.5) or {"schema": 1, "incident": []}
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", "from hedgegridd.control.cli import main; main()", "--socket", str(running.path), "incident"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=True
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the terminal's way to say that all was read
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    assert b"incident: 1 s" in shown and shown.endswith(b"\r\x1b[K") and b"incident: 1 s" not in done.stdout


# --- no daemon -------------------------------------------------------------------------------------------------------------


def test_activate_offline_writes_the_kill_file_and_says_what_it_did_not_do(ctl: Ctl, folder: Path, state: Path) -> None:
    done = ctl("--socket", str(folder / "none"), "--state-dir", str(state), "activate", "--reason", "exchange rumour")
    assert done.returncode == 3
    assert "Positions are NOT closed" in done.stderr
    assert "hedgegridd flatten --config CONFIG --yes" in done.stderr
    found = kill_file(state)
    assert (found["active"], found["level"], found["reason"]) == (True, "flatten", "exchange rumour")
    assert found["actor"].startswith(f"uid={os.getuid()}")
    assert found["since"].endswith("Z")
    assert stat.S_IMODE((state / "killswitch.json").stat().st_mode) == 0o640
    assert [entry.name for entry in state.iterdir() if entry.name.startswith(".")] == []


def test_activate_offline_gives_the_file_to_the_owner_of_the_folder(ctl: Ctl, folder: Path, state: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    os.chown(state, NOBODY, NOBODY)
    ctl("--socket", str(folder / "none"), "--state-dir", str(state), "activate", "--reason", "r")
    assert ((state / "killswitch.json").stat().st_uid, (state / "killswitch.json").stat().st_gid) == (NOBODY, NOBODY)


def test_activate_offline_as_json(ctl: Ctl, folder: Path, state: Path) -> None:
    done = ctl("--json", "--socket", str(folder / "none"), "--state-dir", str(state), "activate", "--reason", "r", "--level", "halt")
    found = json.loads(done.stdout)
    assert (done.returncode, found["written"], found["positions_closed"]) == (3, True, False)
    assert found["kill_switch"]["level"] == "halt"


def test_the_level_only_rises_and_the_first_reason_is_kept(ctl: Ctl, folder: Path, state: Path) -> None:
    def activate(reason: str, *more: str) -> dict[str, Any]:
        ctl("--socket", str(folder / "none"), "--state-dir", str(state), "activate", "--reason", reason, *more)
        return kill_file(state)

    first = activate("first", "--level", "halt")
    second = activate("second")
    third = activate("third", "--level", "halt")
    assert [first["level"], second["level"], third["level"]] == ["halt", "flatten", "flatten"]
    assert third["reason"] == "first"
    assert third["since"] == first["since"]
    assert len(third["later"]) == 2


@pytest.mark.parametrize("found", ["", "{", "[]", '{"active": 1}', '{"active": true, "level": [], "later": 5}', '{"active": false}'])
def test_activate_offline_over_any_file(state: Path, found: str) -> None:
    (state / "killswitch.json").write_text(found)
    offline.engage(str(state), "", {"reason": "r"}, make=False)
    assert kill_file(state)["active"] is True
    assert kill_file(state)["level"] == "flatten"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_activate_offline_without_the_right_changes_nothing_and_prints_the_sudo_line(folder: Path, state: Path) -> None:
    folder.chmod(0o755)
    words = ["--socket", str(folder / "none"), "--state-dir", str(state), "activate", "--reason", "it's bad"]
    child = os.fork()
    if child == 0:
        code = 99
        try:
            sys.stderr = (folder / "said").open("w")
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            code = cli.main(words)
            sys.stderr.flush()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    said = (folder / "said").read_text()
    assert "NOTHING has changed" in said
    assert f"sudo hedgegridctl --socket {folder}/none --state-dir {state} activate --reason 'it'\"'\"'s bad'" in said
    assert not (state / "killswitch.json").exists()


def test_activate_where_no_state_directory_is_known_changes_nothing(ctl: Ctl, folder: Path) -> None:
    done = ctl("--socket", str(folder / "none"), "--instance", "no-such", "activate", "--reason", "r", STATE_DIRECTORY=str(folder / "gone"))
    assert done.returncode == 3
    assert "NOTHING has changed" in done.stderr
    assert not (folder / "gone").exists()


def test_activate_finds_the_files_of_a_dead_daemon_by_its_pointer(ctl: Ctl, start: Callable[..., Any], state: Path) -> None:
    running = start(state_dir=state)
    running.wait(running.server.close())
    assert ctl("--socket", str(running.path), "activate", "--reason", "r").returncode == 3
    assert kill_file(state)["active"] is True


def test_activate_with_a_hung_daemon_goes_by_the_file(ctl: Ctl, folder: Path, state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(folder / "hung"))
        hung.listen()
        done = ctl("--socket", str(folder / "hung"), "--state-dir", str(state), "activate", "--reason", "r")
    assert done.returncode == 3
    assert "no answer within 2 s" in done.stderr
    assert kill_file(state)["active"] is True


def test_activate_survives_any_kill_as_all_or_nothing(folder: Path, state: Path) -> None:
    program = "import sys; from hedgegridd.control.cli import main; main()"
    words = ["--socket", str(folder / "none"), "--state-dir", str(state), "activate", "--reason", "r"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for n in range(8):
        child = subprocess.Popen([sys.executable, "-c", program, *words], env=env, stderr=subprocess.DEVNULL)
        time.sleep(0.015 * n)
        child.kill()
        child.wait()
        if (state / "killswitch.json").exists():
            assert kill_file(state)["active"] is True
            (state / "killswitch.json").unlink()


def test_status_offline_says_what_the_files_say(ctl: Ctl, folder: Path, state: Path) -> None:
    def status(*more: str) -> "subprocess.CompletedProcess[str]":
        return ctl("--socket", str(folder / "none"), "--state-dir", str(state), "status", *more)

    assert "unknown" in status().stdout
    assert json.loads(status("--json").stdout)["kill_switch"]["active"] is None
    (state / "killswitch.json").write_text(
        '{"active": true, "reason": "disk on fire", "level": "halt", "since": "2026-01-02T03:04:05.000Z"}'
    )
    done = status()
    assert done.returncode == 3
    assert "ACTIVE" in done.stdout
    assert "disk on fire" in done.stdout
    (state / "killswitch.json").write_text("{")
    found = json.loads(status("--json").stdout)
    assert (found["reachable"], found["kill_switch"]["active"]) == (False, True)
    (state / "killswitch.json").write_text('{"active": false}')
    assert "inactive" in status().stdout


def test_other_verbs_without_a_daemon(ctl: Ctl, folder: Path) -> None:
    done = ctl("--socket", str(folder / "none"), "deactivate", "--reason", "r")
    assert done.returncode == 3
    assert "daemon not reachable" in done.stderr
