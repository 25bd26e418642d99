"""`hedgegridd` as a person types it: help, the checks, the list of plugins, replay; and what each ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner, Result

from hedgegridd import __version__
from hedgegridd.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAPER = ROOT / "etc" / "paper.toml"
COMMANDS = ("run", "check", "flatten", "replay", "plugins")


def hedgegridd(*words: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], env={"HEDGEGRIDD_KILL_SWITCH": "", **(env or {})})


def written(folder: Path, **tables: Any) -> Path:
    """A configuration that is fine, with tables of one's own."""
    instrument = {"symbol": "BTCUSDT", "filters": {"tick_size": 0.1, "lot_size": 0.001}, "params": {"grid": {"base_qty": 0.002}}}
    whole = {"feed": {"start_price": 50000.0}, "limits": {"max_exposure_pct": 80.0}, "instrument": [instrument], **tables}
    path = folder / "hedgegridd.toml"
    path.write_text(tomli_w.dumps(whole))
    path.chmod(0o600)
    return path


# --- help -----------------------------------------------------------------------------------------------------------------


def test_help_names_every_command() -> None:
    done = hedgegridd("--help")
    assert done.exit_code == 0
    assert all(f"  {name} " in done.output for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_explains_itself(name: str) -> None:
    done = hedgegridd(name, "-h")
    assert (done.exit_code, bool(main.commands[name].help)) == (0, True)


def test_the_list_of_commands_says_each_in_whole_words() -> None:
    assert "..." not in hedgegridd("--help").output.split("Commands:")[1]


def test_a_missing_configuration_is_one_problem_with_a_way_on() -> None:
    done = hedgegridd("check", "--config", "nowhere.toml")
    assert "No such file" in done.output and "etc/paper.toml" in done.output and "[[instrument]]" not in done.output
    assert done.exit_code == 1


def test_a_paper_account_needs_no_preflight_and_hears_what_does() -> None:
    done = hedgegridd("preflight", "--config", PAPER)
    assert (done.exit_code, "exchange.name" in done.output, "hedgegridd check" in done.output) == (78, True, True)


def test_version() -> None:
    assert hedgegridd("--version").output == f"hedgegridd, version {__version__}\n"


def test_a_wrong_option_is_usage() -> None:
    assert hedgegridd("check", "--nonsense").exit_code == 2
    assert hedgegridd("nonsense").exit_code == 2


# --- check ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["paper.toml", "backtest.toml", "hedgegridd.toml"])
def test_the_shipped_configurations_are_fine_without_a_warning(name: str) -> None:
    done = hedgegridd("check", "--strict", "--config", ROOT / "etc" / name)
    assert done.exit_code == 0, done.output


def test_check_tells_every_error_at_once_and_what_was_meant(tmp_path: Path) -> None:
    path = written(tmp_path, mode="papre", limits={"max_exposure_pc": 80.0, "max_open_trades": 0})
    done = hedgegridd("check", "--config", path)
    assert done.exit_code == 1
    for part in ("mode", "papre", "max_exposure_pc", "did you mean", "max_open_trades"):
        assert part in done.output, done.output


def test_check_in_json(tmp_path: Path) -> None:
    good = hedgegridd("check", "--json", "--config", written(tmp_path))
    assert (good.exit_code, isinstance(json.loads(good.output), dict)) == (0, True)
    bad = hedgegridd("check", "--json", "--config", written(tmp_path, mode="papre"))
    assert (bad.exit_code, "papre" in json.dumps(json.loads(bad.output))) == (1, True)


def test_check_shows_values_and_where_they_come_from() -> None:
    done = hedgegridd("check", "--show", "--config", PAPER)
    line = next(line for line in done.output.splitlines() if "starting_balance_usdt" in line)
    assert "10000" in line and "paper.toml" in line, line


def test_no_configuration_is_told(tmp_path: Path) -> None:
    done = hedgegridd("check", "--config", tmp_path / "none.toml")
    assert done.exit_code in (1, 78)
    assert "none.toml" in done.output
    assert "Traceback" not in done.output


# --- run ------------------------------------------------------------------------------------------------------------------


def test_run_refuses_a_wrong_configuration(tmp_path: Path) -> None:
    done = hedgegridd("run", "--config", written(tmp_path, mode="papre"), "--state-dir", tmp_path / "state")
    assert done.exit_code == 78
    assert not (tmp_path / "state").exists()


def test_run_refuses_live_while_there_is_no_exchange_for_it(tmp_path: Path) -> None:
    path = written(tmp_path, mode="live", allow_live_trading=True, exchange={"name": "binance"})
    done = hedgegridd("run", "--config", path, "--state-dir", tmp_path / "state", "--confirm-live", "main")
    assert done.exit_code == 78
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "inf", "nan"])
def test_run_wants_a_speed_that_is_one(speed: str) -> None:
    assert hedgegridd("run", "--config", PAPER, "--speed", speed).exit_code == 2


def test_flatten_is_not_done_by_accident(tmp_path: Path) -> None:
    done = hedgegridd("flatten", "--config", PAPER, "--state-dir", tmp_path)
    assert done.exit_code == 2
    assert "--yes" in done.output
    assert not list(tmp_path.iterdir())


# --- plugins --------------------------------------------------------------------------------------------------------------

SPREAD = """
from hedgegridd import Trip, hookimpl

class Spread:
    name = "spread"
    def check(self, snapshot):
        return None

@hookimpl
def register_breakers(register):
    register(Spread)
"""


def test_plugins_lists_what_is_shipped() -> None:
    done = hedgegridd("plugins", "--json", "--config", PAPER)
    found = {(row["kind"], row["name"]): row for row in json.loads(done.output)["plugins"]}
    for name in ("drawdown", "session_loss", "daily_loss", "funding", "margin", "position_size", "order_errors", "stale_data"):
        assert found["breaker", name]["state"] == "loaded"
    assert {("strategy", "hedge_grid"), ("exchange", "paper"), ("alert", "log"), ("alert", "slack"), ("alert", "telegram")} <= found.keys()


def test_plugins_says_of_each_foreign_file_whether_and_why_not(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o755)
    files = {
        "breaker_good": SPREAD,
        "breaker_open": SPREAD.replace("spread", "open"),
        "breaker_raises": "1 / 0",
        "breaker_exits": "import os; os._exit(0)",
        "breaker_none": "x = 1",
        "breaker_taken": SPREAD.replace("spread", "order_errors"),
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
        (folder / f"{name}.py").chmod(0o644)
    (folder / "breaker_open.py").chmod(0o666)
    path = written(tmp_path, daemon={"plugin_dirs": ["mine"]})
    done = hedgegridd("plugins", "--json", "--config", path)
    found = {Path(row["file"]).stem: row for row in json.loads(done.output)["plugins"] if str(folder) in row["file"]}
    assert {name: row["state"] for name, row in found.items()} == {
        "breaker_good": "loaded", "breaker_open": "refused", "breaker_raises": "refused", "breaker_taken": "refused",
        "breaker_exits": "quarantined", "breaker_none": "refused",
    }  # fmt: skip
    assert (found["breaker_good"]["name"], found["breaker_good"]["kind"]) == ("spread", "breaker")
    for name, says in (("open", "writable by everybody"), ("raises", "ZeroDivisionError"), ("exits", "died 3 times"),
                       ("none", "registers nothing"), ("taken", "already registered")):  # fmt: skip
        assert says in found[f"breaker_{name}"]["reason"], found[f"breaker_{name}"]


def test_plugins_as_text(tmp_path: Path) -> None:
    done = hedgegridd("plugins", "--config", written(tmp_path))
    assert done.exit_code == 0
    assert "breaker   drawdown" in done.output


# --- replay ---------------------------------------------------------------------------------------------------------------


def test_replay_of_a_folder_without_a_journal_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    done = hedgegridd("replay", "--state-dir", tmp_path)
    assert (done.exit_code, "there is no journal" in done.output) == (78, True), done.output


def test_replay_needs_a_folder(tmp_path: Path) -> None:
    for command in ("replay", "verify", "report"):
        done = hedgegridd(command, "--state-dir", tmp_path / "none")
        assert done.exit_code == 2 and "none' is no folder" in done.output


@pytest.mark.parametrize("command", ["replay", "verify", "report"])
def test_the_configuration_says_where_the_journal_is(tmp_path: Path, command: str) -> None:
    config = written(tmp_path, daemon={"state_dir": str(tmp_path / "there")})
    done = hedgegridd(command, "--config", config)
    assert done.exit_code == 78 and f"{tmp_path / 'there'}/journal" in done.output
