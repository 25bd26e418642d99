"""No promise without a test: what the README tells can be done, and what there is, it tells."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import tomli_w

import hedgegridd
from hedgegridd import Snapshot, Unknown, config, plugins
from hedgegridd.cli import main
from hedgegridd.control import cli as ctl
from hedgegridd.control import protocol
from hedgegridd.control.client import Client, Unreachable
from hedgegridd.heart.breakers import judge
from hedgegridd.schema import COMMON, MODES, PRESETS
from hedgegridd.settings import fields_of
from hedgegridd.views import InstrumentView, LegView

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
NEWCOMER = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/hedgegridd run --config etc/paper.toml"
DEVELOPER = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[all,test]' && .venv/bin/pytest"
#: Programs of the system that the commands use beside our own.
TOOLS = {
    "python3",
    "pip",
    "pytest",
    "python",
    "install",
    "systemctl",
    "systemd-sysusers",
    "systemd-tmpfiles",
    "journalctl",
    "cp",
    "rm",
    "uv",
}


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def commands() -> Iterator[list[str]]:
    """Every command of the README, in words: the lines of sh blocks, what is typed in console blocks, and inline code of ours."""
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    lines += [line[2:] for text in blocks("console") for line in text.splitlines() if line.startswith("$ ")]
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    lines += [" ".join(code.split()) for code in re.findall(r"`((?:hedgegridd|hedgegridctl|uv) [^`]+)`", prose)]
    for line in lines:
        for part in line.split(" && "):
            yield shlex.split(part.replace("\\|", "|"))


def ours(program: str) -> list[list[str]]:
    """What is said to be typed after one of our programs."""
    found = []
    for words in commands():
        words = words[2:] if words[:2] == ["uv", "run"] else words
        if Path(words[0]).name == program:
            found.append([word.strip("[]") for word in words[1:]])
    return found


# --- the two commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [NEWCOMER, DEVELOPER])
def test_the_two_commands_stand_there_word_for_word(command: str) -> None:
    assert f"```sh\n{command}\n```" in README


def test_the_uv_form_is_given() -> None:
    assert "uv run hedgegridd run --config etc/paper.toml" in README


# --- commands -------------------------------------------------------------------------------------------------------------


def test_there_is_no_command_of_an_unknown_program() -> None:
    assert not {Path(words[0]).name for words in commands()} - TOOLS - {"hedgegridd", "hedgegridctl"}


@pytest.mark.parametrize("words", ours("hedgegridd"), ids=" ".join)
def test_a_command_of_hedgegridd_is_one(words: list[str]) -> None:
    command: click.Command = main.commands[words[0]]
    if isinstance(command, click.Group) and len(words) > 1 and words[1] in command.commands:
        command = command.commands[words[1]]
    names = {option for param in command.params if isinstance(param, click.Option) for option in param.opts}
    assert {word for word in words if word.startswith("--")} <= names


@pytest.mark.parametrize("words", ours("hedgegridctl"), ids=" ".join)
def test_a_command_of_hedgegridctl_is_one(words: list[str]) -> None:
    typed = [word.split("|")[0] for word in words]  # of "halt|flatten" the first
    call = ctl._call(*ctl._split(typed if typed[0] != "--instance" else [*typed, "status"]))
    assert call.verb.name in protocol.VERBS


def test_every_command_of_hedgegridd_is_documented() -> None:
    for name in main.commands:
        assert f"`hedgegridd {name} " in README, name


def test_what_is_said_to_be_missing_is_missing() -> None:
    said = next(line for line in README.replace("\n  ", " ").splitlines() if "do not exist yet" in line)
    for name in re.findall(r"`(\w+)`", said.split("do not exist yet")[0]):
        assert name not in main.commands, f"{name} exists now: tell how it is used"


@pytest.mark.parametrize("path", re.findall(r"(?<![\w./-])((?:etc|systemd|tests|hedgegridd|plugins|\.ci)/[\w./@*-]+\w/?)", README))
def test_every_path_named_is_there(path: str) -> None:
    if not path.startswith("hedgegridd/shipped"):
        assert (ROOT / path).exists()


# --- verbs, hooks, modes, names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", sorted(protocol.VERBS))
def test_every_verb_is_documented(verb: str) -> None:
    table = README.split("## `hedgegridctl`")[1].split("\n## ")[0]
    assert re.search(rf"`{re.escape(protocol.spoken(verb))}[` ]", table), verb


def test_the_exit_codes_of_the_client_are_told() -> None:
    said = " ".join(README.split("## `hedgegridctl`")[1].split("\n## ")[0].split())
    for code, _ in ctl.EXIT:
        assert re.search(rf"\b{code} \w", said), code


@pytest.mark.parametrize("hook", sorted(plugins.HOOKS))
def test_every_hook_is_documented(hook: str) -> None:
    assert f"| `{hook}` |" in README
    kind = plugins.HOOKS[hook]
    row = next(line for line in README.splitlines() if line.startswith(f"| `{hook}`"))
    if kind in ("alert", "service"):
        assert all(f"`{need}" in row for need in plugins.CONTRACT[kind])


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_documented(mode: str) -> None:
    assert f"| `{mode}` |" in README


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_have_the_figures_told(name: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
    told = [float(figure) for figure in re.findall(r"([\d.]+) (?:%|USDT)", row)]
    table = PRESETS[name]["breaker"]
    assert told == [
        table["drawdown"]["max_drawdown_pct"],
        table["margin"]["max_initial_margin_use_pct"],
        table["session_loss"]["max_loss_amount_usdt"],
        table["daily_loss"]["max_daily_loss_pct"],
    ]


def test_every_shipped_breaker_is_documented_with_its_settings_and_level() -> None:
    for name, plugin in plugins.load_shipped().breakers.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.rstrip(" |").endswith(getattr(plugin.thing, "on_trip", "halt")), row
        assert set(re.findall(r"`(\w+)`", row)) - {name} <= set(plugin.schema), row
    for key in fields_of(COMMON["breaker"]):
        assert f"`{key.name}`" in README, key.name


def test_the_exported_names_are_told_and_are_there() -> None:
    paragraph = README.split("`hedgegridd` exports what a plugin needs:")[1].split(". The contracts")[0]
    assert sorted(re.findall(r"`(\w+)`", paragraph)) == sorted(hedgegridd.__all__) == sorted(dir(hedgegridd))
    for name in hedgegridd.__all__:
        thing = getattr(hedgegridd, name)
        assert thing is getattr(importlib.import_module(f"hedgegridd.{hedgegridd._HOME[name]}"), name)


def test_importing_the_package_loads_nothing() -> None:
    code = "import hedgegridd, sys; print(sorted(name for name in sys.modules if name.startswith('hedgegridd')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['hedgegridd']"


def test_the_map_names_every_room() -> None:
    house = README.split("## The house")[1].split("\n## ")[0]
    for path in (ROOT / "hedgegridd").iterdir():
        if path.is_dir() and (path / "__init__.py").exists():
            assert f"`{path.name}/" in house, path.name


# --- settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_settings_shown_are_settings(text: str, tmp_path: Path) -> None:
    whole = {**tomllib.loads((ROOT / "etc" / "paper.toml").read_text()), **tomllib.loads(text)}
    path = tmp_path / "hedgegridd.toml"
    path.write_text(tomli_w.dumps(whole))
    path.chmod(0o600)
    env = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "https://example.invalid/hook")
    is_fine(path, env)


@pytest.mark.parametrize("name", sorted({path.name for path in (ROOT / "etc").iterdir()} - {"live.toml"}))
def test_every_setting_of_the_shipped_files_is_one(name: str) -> None:
    is_fine(ROOT / "etc" / name, {})


def test_the_live_file_lacks_nothing_but_the_act_of_its_owner(tmp_path: Path) -> None:
    """As shipped it is refused; with the one word changed it is fine."""
    text, path = (ROOT / "etc" / "live.toml").read_text(), tmp_path / "live.toml"
    path.write_text(text.replace("allow_live_trading = false", "allow_live_trading = true"))
    assert path.read_text() != text
    is_fine(path, {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "s"})


def is_fine(path: Path, env: dict[str, str]) -> None:
    run = [sys.executable, "-m", "hedgegridd.cli", "check", "--strict", "--config", path]
    done = subprocess.run(run, cwd=ROOT, env={**os.environ, **env}, check=False, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("key", sorted(set(re.findall(r"`((?:daemon|kill_switch|exchange)\.\w+)[` ]", README))))
def test_every_setting_named_in_the_text_is_one(key: str) -> None:
    assert key in config._paths()


# --- the breaker ----------------------------------------------------------------------------------------------------------

BREAKER = next(text for text in blocks("python") if text.startswith("# breaker_spread.py"))
LEG = LegView(0.0, 0.0, 0.0, 0.0, 0.0, None, True)


def view(bid: float | None, ask: float | None) -> Snapshot:
    one = InstrumentView("BTCUSDT", 100.0, 100.0, 100.0, 99.9, 100.1, None, None, None, 0.0001, 0, 1, 0, LEG, LEG)
    calm = Snapshot(1, 1e4, 1e4, 0.0, 0.0, 0.0, 0.0, 0.0, 1e4, 1e4, 1e4, 1e4, 0.0, 0.0, 0, ())
    return calm._replace(instruments=(one._replace(bid=bid, ask=ask),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plugin folder with the README's breaker in it."""
    tmp_path.chmod(0o755)
    path = tmp_path / "breaker_spread.py"
    path.write_text(BREAKER)
    path.chmod(0o644)
    return tmp_path


def test_the_breaker_is_no_longer_than_promised() -> None:
    assert sum(bool(line.strip()) for line in BREAKER.splitlines()) <= 20


def test_the_breaker_works(folder: Path) -> None:
    file = folder / "breaker_spread.py"
    ((kind, thing),) = plugins.collect(plugins.run(file, file.read_bytes(), "breaker_spread"), file)
    spread, problems = plugins.equip(thing, {"max_spread_bps": 25.0}, "breaker.spread")
    assert (kind, problems) == ("breaker", [])
    wide, calm = judge(spread, view(100.0, 100.3)), judge(spread, view(100.0, 100.1))
    assert wide.trip is not None and round(wide.trip.value or 0) == 30 and wide.trip.threshold == 25.0
    assert (calm.trip, calm.error) == (None, "")
    assert judge(spread, view(None, None)).unknown == "no quotes"
    with pytest.raises(Unknown):
        spread.measure(view(None, None))


# --- the first minute -----------------------------------------------------------------------------------------------------


def test_the_first_minute(folder: Path, tmp_path: Path) -> None:
    """What the README does, on the shipped configuration, with the README's breaker dropped in; the copy of the journal proves itself."""
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    text = (ROOT / "etc" / "paper.toml").read_text()
    config_path = home / "paper.toml"
    config_path.write_text(text.replace("[feed]", f'[daemon]\nplugin_dirs = ["{folder}"]\n\n[feed]', 1))
    config_path.chmod(0o600)
    where = ["--state-dir", str(home / "state"), "--socket", str(home / "s")]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home)}

    def say(*words: str) -> tuple[int, str]:
        code = "from hedgegridd.control.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *where, *words], env=env, check=False, capture_output=True, text=True, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    run = [sys.executable, "-m", "hedgegridd.cli", "run", "--config", str(config_path), *where]
    with (home / "log").open("w") as log, subprocess.Popen(run, env=env, stdout=log, stderr=log) as daemon:
        try:
            with Client(str(home / "s")) as client:
                until(client, lambda doc: doc["ready"] and sum(doc["instruments"][0]["ladders"].values()) > 0)
                found = until(client, lambda doc: any(row["name"] == "spread" and row["value"] for row in doc["breakers"]))
            row = next(row for row in found["breakers"] if row["name"] == "spread")
            assert row["state"] == "armed" and row["value"] < row["threshold"] == 30.0, row
            code, status = say("status")
            assert code in (0, 6) and "kill switch  inactive" in status, status
            code, told = say("activate", "--reason", "exchange rumour")
            assert (code, "flat: " in told) == (0, True), told
            assert say("status")[0] == 5
            code, told = say("deactivate", "--reason", "the rumour was false")
            assert (code, "active  no" in told) == (0, True), told
        finally:
            daemon.terminate()
        assert daemon.wait(60) == 0
    subprocess.run(["cp", "-a", home / "state", home / "copy"], check=True)
    log_text = (home / "log").read_text()
    assert "stop summary" in log_text and "exchange rumour" in log_text, log_text
    again = [sys.executable, "-m", "hedgegridd.cli", "replay", "--json", "--state-dir", str(home / "copy")]
    proved = subprocess.run(again, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert proved.returncode == 0, proved.stdout + proved.stderr
    assert json.loads(proved.stdout)["inputs"] > 0


def until(client: Client, true: Any) -> dict[str, Any]:
    """The status, once it is as wished."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            found = client.call("status", {}, 2.0)
            if true(found):
                return found
        except Unreachable:
            pass
        time.sleep(0.02)
    raise AssertionError("waited 90 s in vain")


def test_the_figures_measured_are_told_with_the_command_that_repeats_them() -> None:
    assert README.count("<!-- bench: begin") == README.count("<!-- bench: end -->") == 1
    assert (ROOT / "tests" / "bench" / "all.py").exists()
