"""Loading: layers, origins, secrets, rights of files, and every problem at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hedgegridd.check import check_file
from hedgegridd.config import load, load_to_close, read
from hedgegridd.errors import ConfigError
from hedgegridd.plugins import load_shipped

MINIMAL = """
[[instrument]]
symbol = "BTCUSDT"
[instrument.filters]
tick_size = 0.1
lot_size = 0.001
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return put(tmp_path / "hedgegridd.toml", MINIMAL)


def put(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def told(path: Path, **env: str) -> list[str]:
    return [str(one) for one in read(path, env)[1]]


def test_minimal_file_has_defaults_and_the_moderate_preset(file: Path) -> None:
    config = load(file, {})
    assert config.mode == "paper" and config.breakers["drawdown"] == {"max_drawdown_pct": 5.0}
    assert config.origin("breaker.drawdown.max_drawdown_pct") == "preset moderate"
    assert config.origin("instrument[0].symbol") == "hedgegridd.toml" and config.origin("mode") == "default"


def test_every_problem_at_once(file: Path) -> None:
    put(file, '[limits]\nmax_exposur_pct = 3\nmax_open_trades = "5"\n[kill_switch]\non_activate = "flaten"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert [one.path for one in caught.value.problems] == [
        *("limits.max_exposur_pct", "limits.max_open_trades", "kill_switch.on_activate", "instrument"),
    ]
    assert "did you mean 'max_exposure_pct'" in str(caught.value) and caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[kill_switch]\nmax_drawdown_pct = 3", "breaker.drawdown.max_drawdown_pct"),
        ("[kill_switch]\nmax_margin_ratio = 0.8", "breaker.margin.max_initial_margin_use_pct"),
        ("[limits]\nemergency_stop_pct = 3", "protect.emergency_stop_pct"),
        ("require_live_confirmation = true", "run --confirm-live"),
        ("[kill_swich]\nenabled = true", "kill_switch"),
    ],
)
def test_names_of_other_systems_are_understood(file: Path, text: str, hint: str) -> None:
    put(file, text + MINIMAL)
    assert hint in told(file)[0]


def test_common_keys_of_a_breaker(file: Path) -> None:
    put(file, MINIMAL + '[breaker.anything]\non_trip = "stop"\nwarn_fraction = 2\nown_key = "left alone"\n')
    assert [one.split(":")[0] for one in told(file)] == ["breaker.anything.on_trip", "breaker.anything.warn_fraction"]


@pytest.mark.parametrize("text", ["nonsense = = 1", "\xff"])
def test_no_toml(file: Path, text: str) -> None:
    file.write_bytes(text.encode("latin-1"))
    assert "a readable TOML file" in told(file)[0]


def test_no_file(tmp_path: Path) -> None:
    assert "No such file" in told(tmp_path / "none.toml")[0]


def test_conf_d_wins_in_order_and_instruments_meet_by_symbol(file: Path) -> None:
    put(file.parent / "conf.d" / "10-a.toml", '[limits]\nmax_open_trades = 7\n[[instrument]]\nsymbol = "BTCUSDT"\nleverage = 3\n')
    put(file.parent / "conf.d" / "20-b.toml", "[limits]\nmax_open_trades = 8\n" + MINIMAL.replace("BTC", "ETH"))
    put(file.parent / "conf.d" / "ignored.txt", "nonsense")
    config = load(file, {})
    assert config.limits.max_open_trades == 8 and config.origin("limits.max_open_trades") == "20-b.toml"
    assert [(one.symbol, one.leverage, one.filters.tick_size) for one in config.instrument] == [("BTCUSDT", 3, 0.1), ("ETHUSDT", 1, 0.1)]
    assert config.origin("instrument[0].leverage") == "10-a.toml"


def bracket(floor: object, percent: object, cum: object = None) -> str:
    text = f"[[instrument.brackets]]\nnotional_floor_usdt = {floor}\nmaint_margin_pct = {percent}\n"
    return text if cum is None else f"{text}cum_usdt = {cum}\n"


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        ((bracket(0, 0.4), bracket(50_000, 0.5, 50), bracket(600_000, 0.65)), []),
        ((bracket(0, 0.4), bracket(50_000, 0.5, 50.9)), []),  # somebody rounded
        ((bracket(10, 0.4),), ["brackets[0].notional_floor_usdt"]),
        ((bracket(0, 0.4), bracket(0, 0.5)), ["brackets[1].notional_floor_usdt"]),
        ((bracket(0, 0.4), bracket(50, 0.5), bracket(50, 0.5)), ["brackets[2].notional_floor_usdt"]),
        ((bracket(0, 0.5), bracket(50, 0.4)), ["brackets[1].maint_margin_pct"]),
        ((bracket(0, 0.4, 2),), ["brackets[0].cum_usdt"]),
        ((bracket(0, 0.4), bracket(50_000, 0.5, 52)), ["brackets[1].cum_usdt"]),
        ((bracket(0, 0.4), bracket(50_000, 101)), ["brackets[1].maint_margin_pct"]),
        ((bracket(0, 0.4), bracket('"many"', 0.5)), ["brackets[1].notional_floor_usdt"]),
        (("[[instrument.brackets]]\nnotional_floor_usdt = 0\n",), ["brackets[0].maint_margin_pct"]),
    ],
)  # fmt: skip
def test_brackets_begin_at_nothing_and_rise_without_a_step(file: Path, rows: tuple[str, ...], problems: list[str]) -> None:
    put(file, MINIMAL + "".join(rows))
    assert [one.path.removeprefix("instrument[0].") for one in read(file, {})[1]] == problems
    check_file(file, load_shipped(), {})  # whatever is wrong is told, and nothing breaks


def test_a_symbol_twice_in_one_file_is_refused(file: Path) -> None:
    put(file, MINIMAL + MINIMAL)
    assert "each symbol once" in told(file)[0]


def test_preset_by_name_and_the_files_own_values_win(file: Path) -> None:
    put(file, 'preset = "aggressive"\n' + MINIMAL + "[breaker.drawdown]\nmax_drawdown_pct = 7\n")
    config = load(file, {})
    assert config.breakers["drawdown"]["max_drawdown_pct"] == 7 and config.limits.max_exposure_pct == 50
    put(file, 'preset = "agressive"\n' + MINIMAL)
    assert "did you mean 'aggressive'" in told(file)[0]


def test_command_line_wins(file: Path) -> None:
    config = load(file, {}, overrides={"feed": {"speed": "max"}})
    assert config.feed.speed == float("inf") and config.origin("feed.speed") == "command line"


# --- names from outside -------------------------------------------------------------------------------------------------

HOOK = MINIMAL + '[alert.slack]\nwebhook_url = "${HOOK}"\n'


def test_name_takes_a_credential_before_the_environment(file: Path, tmp_path: Path) -> None:
    put(file, HOOK)
    assert load(file, {"HOOK": "http://env"}).alert["slack"]["webhook_url"] == "http://env"
    put(tmp_path / "credentials" / "hook", "http://credential\n", 0o400)
    config = load(file, {"HOOK": "http://env", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
    assert config.alert["slack"]["webhook_url"] == "http://credential"
    assert config.origin("alert.slack.webhook_url") == "credential hook"
    assert config.secrets == ("http://credential",)
    assert "http://credential" not in str(config.raw) + str(config.rows())


def test_a_name_that_is_not_there(file: Path) -> None:
    put(file, HOOK)
    assert "a credential or environment variable named HOOK" in told(file)[0]
    put(file, HOOK + "enabled = false\n")
    assert told(file) == []
    put(file, MINIMAL + '[exchange.binance]\napi_key = "${KEY}"\n')
    assert told(file) == [], "the paper exchange needs no key"


def test_whoever_must_close_does_not_need_what_only_tells(file: Path) -> None:
    put(file, HOOK)
    assert load_to_close(file).alert["slack"]["enabled"] is False
    put(file, HOOK + '[limits]\nequity_usdt = "much"\n')
    with pytest.raises(ConfigError) as raised:
        load_to_close(file)
    assert [problem.path for problem in raised.value.problems] == ["limits.equity_usdt"]


def test_a_number_from_outside(file: Path) -> None:
    put(file, MINIMAL + '[limits]\nequity_usdt = "${EQUITY}"\n')
    assert load(file, {"EQUITY": "2500"}).limits.equity_usdt == 2500.0
    assert "***" in told(file, EQUITY="hunter2")[0]


def test_environment_may_only_tighten(file: Path) -> None:
    config = load(file, {"MAX_DRAWDOWN_PERCENT": "3", "MAX_POSITION_VALUE": "20000", "LIQUIDATION_TIMEOUT_SECONDS": "10"})
    assert config.breakers["drawdown"]["max_drawdown_pct"] == 3
    assert config.origin("breaker.drawdown.max_drawdown_pct") == "environment MAX_DRAWDOWN_PERCENT"
    assert config.breakers["position_size"]["max_position_usdt"] == 10_000 and "may only tighten" in str(config.notes[0])
    assert config.flatten.deadline_seconds == 10
    assert "a number above 0" in told(file, MAX_DRAWDOWN_PERCENT="lots")[0]


def test_the_master_switch_only_switches_on(file: Path) -> None:
    put(file, MINIMAL + "[kill_switch]\nenabled = false\n")
    assert load(file, {"EMERGENCY_STOP_ENABLED": "true"}).kill_switch.enabled
    put(file, MINIMAL)
    assert load(file, {"EMERGENCY_STOP_ENABLED": "false"}).notes
    put(file, 'mode = "live"\n' + MINIMAL)
    assert told(file, EMERGENCY_STOP_ENABLED="false")


# --- rights of files ----------------------------------------------------------------------------------------------------


def test_a_file_that_others_may_write_is_refused(file: Path) -> None:
    file.chmod(0o646)
    assert "chmod go-w" in told(file)[0]


def test_a_literal_secret_in_a_readable_file_is_refused(file: Path) -> None:
    put(file, MINIMAL + '[alert.telegram]\ntoken = "123:abc"\n')
    assert "no secret in a file that others may read" in told(file)[0] and "123:abc" not in told(file)[0]
    file.chmod(0o600)
    assert told(file) == []


def test_a_loose_credential_is_refused(file: Path, tmp_path: Path) -> None:
    put(file, HOOK)
    put(tmp_path / "credentials" / "HOOK", "http://x", 0o644)
    assert "others may read" in told(file, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away takes root")
def test_a_strangers_file_is_refused(file: Path) -> None:
    os.chown(file, 12345, 12345)
    assert "belongs to uid 12345" in told(file)[0]


def test_a_secret_of_the_wrong_kind_is_not_shown(file: Path) -> None:
    put(file, MINIMAL + "[exchange.binance]\napi_key = 987654321\n", 0o600)
    assert "987654321" not in told(file)[0]


def test_a_foreign_exchanges_table_is_kept(file: Path) -> None:
    put(file, MINIMAL + '[exchange]\nname = "kraken"\nfile = "/x.py"\n[exchange.kraken]\naccount = "a"\n')
    config = load(file, {})
    assert config.exchange.other == {"account": "a"} and config.raw["exchange"]["kraken"] == {"account": "a"}


def test_import_is_light() -> None:
    heavy = ["numpy", "pyarrow", "pydantic", "click", "requests", "pluggy", "binance"]
    code = f"import sys, hedgegridd.config; sys.exit(any(one in sys.modules for one in {heavy!r}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("place", ["the file", "conf.d"])
def test_a_pipe_in_the_place_of_a_file_is_told_and_not_waited_for(tmp_path: Path, place: str) -> None:
    (tmp_path / "conf.d").mkdir()
    main = tmp_path / "it.toml"
    pipe = main if place == "the file" else tmp_path / "conf.d" / "more.toml"
    os.mkfifo(pipe, 0o600)  # nobody will ever write into it
    if pipe != main:
        main.write_text('mode = "paper"\n')
        main.chmod(0o600)
    with pytest.raises(ConfigError, match="expected a regular file"):
        load(main)
