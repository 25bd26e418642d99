"""`hedgegridd backtest`: artefacts, reruns, both engines, the three fill models, trips and what they were worth, a session beside it."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_grid
import tomli_w
from click.testing import CliRunner

from hedgegridd.cli import main
from hedgegridd.kernel.metrics import NAMES
from hedgegridd.plugins import shipped

START = 1_738_000_800_000
FILES = ("config.toml", "summary.json", "orders.csv", "fills.csv", "positions.csv", "equity.parquet", "metrics.csv", "environment.json",
         "report.html")  # fmt: skip
#: What scripts rely on.
KEYS = {"engine", "bars", "fills", "equity_end_usdt", "fees_usdt", "funding_usdt", "max_drawdown_pct", "breaker_trips", "fills_sha256",
        "seconds_run"}  # fmt: skip


def minutes_csv(path: Path, minutes: int, seed: int = 1, price: float = 50_000.0) -> Path:
    """Made-up minutes as the public archive has them."""
    rng, rows, last = random.Random(seed), [], round(price * 10)
    for i in range(minutes):
        close = round(last * math.exp(rng.gauss(0, 0.0012) - (0.004 if i % 900 == 500 else 0)))
        high, low = max(last, close) + rng.randrange(300), min(last, close) - rng.randrange(300)
        rows.append(f"{START + i * 60_000},{last / 10},{high / 10},{low / 10},{close / 10},{rng.randrange(1, 90_000) / 1000}")
        last = close
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")
    return path


def instrument(symbol: str, **params: Any) -> dict[str, Any]:
    regime = {"ema_fast": 3, "ema_slow": 8, "adx_len": 4, "atr_len": 4}
    filters = {"tick_size": 0.1, "lot_size": 0.001, "min_notional": 5.0}
    sections = {"grid": {"base_qty": 0.01}, "regime": regime, **params}
    return {"symbol": symbol, "leverage": 10.0, "reference_price": 50_000.0, "filters": filters, "params": sections}


def write_config(folder: Path, **tables: Any) -> Path:
    table = {"mode": "paper", "limits": {"max_exposure_pct": 400.0, "max_position_pct": 400.0}, "instrument": [instrument("BTCUSDT")],
             "backtest": {"funding_bps": 1.0, "fill_models": False}, **tables}  # fmt: skip
    path = folder / "backtest.toml"
    path.write_text(tomli_w.dumps(table))
    path.chmod(0o600)
    return path


def play(config: Path, *words: str) -> dict[str, Any]:
    """The command, in this process; its JSON."""
    done = CliRunner().invoke(main, ["backtest", "--config", str(config), "--json", *words])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    minutes_csv(folder / "BTCUSDT.csv", 4_000)
    write_config(folder)
    return folder


@pytest.fixture(scope="module")
def full(home: Path) -> dict[str, Any]:
    return play(home / "backtest.toml", "--data", str(home / "BTCUSDT.csv"), "--engine", "full", "--out", str(home / "full"))


def test_everything_promised_is_in_the_folder(home: Path, full: dict[str, Any]) -> None:
    assert {path.name for path in (home / "full").iterdir()} == set(FILES)
    assert full.keys() >= KEYS and full["bars"] == 4_000 and full["fills"] > 20
    written = json.loads((home / "full" / "summary.json").read_text())
    assert {key: full[key] for key in written} == written
    assert full["fills_sha256"] == hashlib.sha256((home / "full" / "fills.csv").read_bytes()).hexdigest()
    assert {row["name"] for row in rows(home / "full" / "metrics.csv")} == set(NAMES)


def test_the_files_agree_with_each_other(home: Path, full: dict[str, Any]) -> None:
    import pyarrow.parquet as parquet

    fills, orders = rows(home / "full" / "fills.csv"), rows(home / "full" / "orders.csv")
    assert len(fills) == full["fills"] and len(orders) == full["orders"]
    assert math.isclose(sum(float(row["fee_usdt"]) for row in fills), full["fees_usdt"], rel_tol=1e-12)
    assert math.isclose(sum(float(row["realized_usdt"]) for row in fills), full["realized_usdt"], rel_tol=1e-9)
    filled = {row["client_id"]: float(row["filled"]) for row in orders}
    for name in filled:
        assert math.isclose(sum(float(row["qty"]) for row in fills if row["client_id"] == name), filled[name], abs_tol=1e-9)
    table = parquet.read_table(home / "full" / "equity.parquet").to_pydict()
    assert len(table["time"]) == full["bars"] and table["time"] == sorted(table["time"])
    assert math.isclose(max(table["drawdown_pct"]), full["max_drawdown_pct"], rel_tol=1e-9)
    assert table["equity_usdt"][-1] == full["equity_end_usdt"]
    total = full["realized_usdt"] + full["unrealized_usdt"] - full["fees_usdt"] - full["funding_usdt"]
    assert math.isclose(full["equity_start_usdt"] + total, full["equity_end_usdt"], rel_tol=1e-9)
    positions = rows(home / "full" / "positions.csv")
    assert math.isclose(sum(float(row["realized_usdt"]) for row in positions), full["realized_usdt"], rel_tol=1e-9)
    assert math.isclose(sum(float(row["funding_usdt"]) for row in positions), full["funding_usdt"], rel_tol=1e-9, abs_tol=1e-12)


def test_a_rerun_from_the_artefacts_is_the_same_but_for_its_time(home: Path, full: dict[str, Any]) -> None:
    again = play(home / "full" / "config.toml", "--out", str(home / "again"))
    for name in set(FILES) - {"summary.json", "environment.json"}:
        assert (home / "again" / name).read_bytes() == (home / "full" / name).read_bytes(), name
    timeless = [{key: value for key, value in one.items() if key not in ("seconds_run", "out")} for one in (full, again)]
    assert timeless[0] == timeless[1]


def test_the_fast_engine_writes_the_same_files(home: Path, full: dict[str, Any]) -> None:
    fast = play(home / "backtest.toml", "--data", str(home / "BTCUSDT.csv"), "--engine", "fast", "--out", str(home / "fast"))
    assert fast["engine"] == "fast" and fast["fills_sha256"] == full["fills_sha256"]
    for name in ("fills.csv", "orders.csv", "positions.csv", "metrics.csv", "equity.parquet"):
        assert (home / "fast" / name).read_bytes() == (home / "full" / name).read_bytes(), name


def test_a_span_is_cut_out_and_warmed_up_from_before_it(home: Path) -> None:
    words = ["--data", str(home / "BTCUSDT.csv"), "--engine", "full", "--from", "2025-01-28T00:00:00Z", "--to", "2025-01-28T12:00:00Z"]
    part = play(home / "backtest.toml", *words, "--out", str(home / "part"))
    assert part["bars"] == 720 and part["start"] == "2025-01-28T00:01:00.000Z" and part["end"] == "2025-01-28T12:00:00.000Z"
    first = rows(home / "part" / "orders.csv")[0]["placed_at"]
    assert first == "2025-01-28T00:01:00.000Z", "warmed up before the first bar"


def test_a_trip_is_told_with_its_inputs_and_what_it_was_worth(home: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, breaker={"drawdown": {"max_drawdown_pct": 0.05}},
                          backtest={"funding_bps": 1.0, "fill_models": True})  # fmt: skip
    words = ["--data", str(home / "BTCUSDT.csv")]
    full = play(config, *words, "--engine", "full", "--out", str(tmp_path / "a"))
    fast = play(config, *words, "--engine", "fast", "--out", str(tmp_path / "b"))
    trip = full["breaker_trips"][0]
    assert (trip["name"], trip["level"], trip["unit"]) == ("drawdown", "flatten", "%") and trip["value"] >= 0.05 == trip["threshold"]
    assert trip["inputs"]["equity"] == trip["equity_usdt"] and trip["inputs"]["instruments"][0]["symbol"] == "BTCUSDT"
    assert full["kill_switch"]["active"] and full["kill_switch"]["reason"].startswith("breaker drawdown")
    loose = write_config(home, breaker={"drawdown": {"enabled": False}})
    without = play(loose, *words, "--engine", "full", "--out", str(tmp_path / "c"))
    assert trip["saved_usdt"] == full["equity_end_usdt"] - without["equity_end_usdt"]
    assert full["fill_models"].keys() == {"touch", "trade_through", "queue"}
    assert full["fill_models"]["trade_through"]["equity_end_usdt"] == full["equity_end_usdt"]
    assert fast["breaker_trips"] == full["breaker_trips"] and fast["fill_models"] == full["fill_models"]
    assert fast["kill_switch"] == full["kill_switch"]
    write_config(home)


def test_several_symbols_are_played_by_the_full_engine_and_it_says_so(tmp_path: Path) -> None:
    for at, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        minutes_csv(tmp_path / "data" / "klines" / "1m" / f"{symbol}.csv", 600, seed=at)
    config = write_config(tmp_path, instrument=[instrument("BTCUSDT"), instrument("ETHUSDT")])
    both = play(config, "--data", str(tmp_path / "data"), "--engine", "fast", "--out", str(tmp_path / "out"))
    assert both["engine"] == "full" and both["symbols"] == ["BTCUSDT", "ETHUSDT"] and both["bars"] == 1_200
    assert "one symbol at a time" in both["notes"][-1]
    one = play(config, "--data", str(tmp_path / "data"), "--symbol", "ETHUSDT", "--engine", "fast", "--out", str(tmp_path / "one"))
    assert one["engine"] == "fast" and one["symbols"] == ["ETHUSDT"]


def test_a_configuration_for_live_is_played_on_paper(home: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, mode="live", allow_live_trading=True, exchange={"name": "binance"})
    done = play(config, "--data", str(home / "BTCUSDT.csv"), "--to", "2025-01-28", "--engine", "full", "--out", str(tmp_path / "out"))
    assert done["bars"] > 100 and 'mode = "paper"' in (tmp_path / "out" / "config.toml").read_text()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 78, "backtest.data"),
        (["--data", "BTCUSDT.csv", "--from", "yesterday"], 78, "backtest.start"),
        (["--data", "BTCUSDT.csv", "--symbol", "BTCUSD"], 1, "did you mean BTCUSDT"),
        (["--data", "BTCUSDT.csv", "--from", "2031-01-01"], 1, "no bar"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(home: Path, tmp_path: Path, words: list[str], code: int, told: str) -> None:
    given = [str(home / word) if word.endswith(".csv") else word for word in words]
    done = CliRunner().invoke(main, ["backtest", "--config", str(home / "backtest.toml"), "--out", str(tmp_path / "out"), *given])
    assert done.exit_code == code and told in done.output and "Traceback" not in done.output


def test_data_without_funding_is_refused_until_a_rate_is_named(home: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, backtest={})
    done = CliRunner().invoke(
        main, ["backtest", "--config", str(config), "--data", str(home / "BTCUSDT.csv"), "--out", str(tmp_path / "o")]
    )
    assert done.exit_code == 1 and "no funding data" in done.output


def test_a_person_sees_the_figures_and_where_the_report_is(home: Path, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "hedgegridd.cli",
        "backtest",
        "--config",
        str(home / "backtest.toml"),
        "--data",
        str(home / "BTCUSDT.csv"),
    ]
    done = subprocess.run([*words, "--to", "2025-01-28", "--out", str(tmp_path / "out")], capture_output=True, text=True, check=True)
    assert "equity" in done.stdout and str(tmp_path / "out" / "report.html") in done.stdout and done.stderr == ""


def test_the_environment_names_the_data_by_its_hash(home: Path, full: dict[str, Any]) -> None:
    found = json.loads((home / "full" / "environment.json").read_text())
    data = home / "BTCUSDT.csv"
    assert found["files"] == [{"path": str(data), "bytes": data.stat().st_size, "sha256": hashlib.sha256(data.read_bytes()).hexdigest()}]
    assert found["packages"]["pyarrow"]


def test_a_dropped_in_strategy_outside_the_dialect_is_played_by_the_full_engine(home: Path, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o700)
    text = Path(tiny_grid.__file__).read_text()
    assert "market.close" in text
    (plugins / "strategy_tiny.py").write_text(text.replace("market.close", "int(str(market.close))"))  # text is not in the dialect
    one = {**instrument("BTCUSDT"), "strategy": "tiny", "params": {"grid": {"step_bps": 30.0}}}
    config = write_config(tmp_path, instrument=[one], daemon={"plugin_dirs": ["plugins"]})
    words = ["--data", str(home / "BTCUSDT.csv"), "--to", "2025-01-28T06:00:00Z"]
    done = CliRunner().invoke(main, ["backtest", "--config", str(config), *words, "--engine", "fast", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "the full engine plays: " in done.stderr and len(done.stderr.strip().splitlines()) <= 2
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["engine"] == "full" and found["fills"] > 5


def test_trades_are_played_by_the_full_engine(tmp_path: Path) -> None:
    rng, rows, price, time = random.Random(5), [], 500_000, START
    for i in range(30_000):
        price, time = max(1, price + round(rng.gauss(0, 60))), time + rng.randrange(1, 4_000)
        rows.append(f"{i},{price / 10},{rng.randrange(1, 400) / 1000},{price * 0.01},{time},{'true' if rng.random() < 0.5 else 'false'}")
    path = tmp_path / "BTCUSDT-trades-2025-01.csv"
    path.write_text("\n".join(rows) + "\n")
    found = play(write_config(tmp_path), "--data", str(path), "--engine", "fast", "--out", str(tmp_path / "out"))
    assert found["engine"] == "full" and found["fills"] > 10 and "plays bars" in found["notes"][-1]


def test_a_module_that_is_no_dialect_is_named_with_its_line_and_played_by_the_full_engine(home: Path, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o700)
    text = (shipped("plugins") / "strategy_hedge_grid.py").read_text().replace('name = "hedge_grid"', 'name = "other_grid"')
    spoilt = text.replace("    wish.count[0] = 0\n", "    wish.count[0] = 0\n    words = [str(market.close)]\n    words.sort()\n")
    assert spoilt != text
    (plugins / "strategy_other.py").write_text(spoilt)
    config = write_config(tmp_path, instrument=[{**instrument("BTCUSDT"), "strategy": "other_grid"}], daemon={"plugin_dirs": ["plugins"]})
    words = ["--data", str(home / "BTCUSDT.csv"), "--to", "2025-01-28T00:00:00Z", "--engine", "fast", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, ["backtest", "--config", str(config), *words])
    assert done.exit_code == 0, done.output
    said = [line for line in done.stderr.splitlines() if "the full engine plays" in line]
    assert len(said) == 1 and "outside the kernel dialect" in said[0]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["engine"] == "full"


def test_a_breaker_that_the_fast_engine_does_not_know_has_the_full_one_play(tmp_path: Path) -> None:
    data = minutes_csv(tmp_path / "BTCUSDT.csv", 400)
    for breaker, engine in (({}, "fast"), ({"price_velocity": {"enabled": True}}, "full")):
        config = write_config(tmp_path, breaker=breaker)
        found = play(config, "--data", str(data), "--engine", "fast", "--out", str(tmp_path / engine))
        assert found["engine"] == engine
    assert any("does not know breaker price_velocity" in note for note in found["notes"])
