"""The schema says every default once, in its bounds, with its meaning; presets agree with what plugins declare."""

from collections.abc import Iterator

import pytest

from hedgegridd.config import parse
from hedgegridd.errors import ConfigError
from hedgegridd.plugins import load_shipped
from hedgegridd.schema import COMMON, PRESETS, BracketTable, Config, FiltersTable, InstrumentTable
from hedgegridd.settings import NOTHING, Field, fields_of, fill_settings, is_section, leaves

UNITS = ("_pct", "_bps", "_usdt", "_seconds", "_minutes", "_ms", "_mb", "_days")


def every(cls: type, where: str = "") -> Iterator[tuple[str, Field]]:
    for one in fields_of(cls):
        path = f"{where}.{one.name}" if where else one.name
        if is_section(one.hint):
            yield from every(one.hint, path)
        else:
            yield path, one


FIELDS = dict([*every(Config), *every(InstrumentTable, "instrument"), *((f"{k}.{p}", f) for k, c in COMMON.items() for p, f in every(c))])


@pytest.mark.parametrize("path", [path for path in FIELDS if path not in ("instrument", *COMMON)])
def test_every_setting_is_explained_and_its_default_is_legal(path: str) -> None:
    one = FIELDS[path]
    assert one.about.get("doc")
    if one.default not in (NOTHING, None):
        key = one.name
        owner = type("Owner", (), {"__annotations__": {key: one.hint}, key: one.default})
        assert fill_settings(owner, {key: one.default}, "")[1] == []


def test_the_defaults_that_the_interface_names() -> None:
    config = Config()
    assert (config.daemon.on_stop, config.daemon.stop_timeout_seconds) == ("keep", 50)
    assert (config.kill_switch.on_activate, config.kill_switch.env_var) == ("flatten", "HEDGEGRIDD_KILL_SWITCH")
    assert (config.dead_mans_switch.enabled, config.dead_mans_switch.action) == (False, "halt")
    assert (config.dead_mans_switch.timeout_minutes, config.dead_mans_switch.warning_minutes) == (120, 30)
    assert (config.feed.max_gap_minutes, config.journal.keep_inputs_days, config.protect.emergency_stop_pct) == (60, 14, 5)
    assert (config.limits.max_exposure_pct, config.limits.max_risk_per_trade_pct, config.limits.max_open_trades) == (20, 1, 5)
    assert config.allow_live_trading is False and config.mode == "paper"


def test_the_moderate_preset_is_what_plugins_and_schema_declare() -> None:
    registry = load_shipped()
    for path, value in leaves(PRESETS["moderate"]["breaker"]):
        name, key = path.split(".")
        assert getattr(registry.breakers[name].thing.Settings, key) == value, path


@pytest.mark.parametrize(
    ("preset", "figures"), [("conservative", (3, 70, 500)), ("moderate", (5, 80, 1000)), ("aggressive", (10, 85, 2000))]
)
def test_presets_carry_the_documents_figures(preset: str, figures: tuple[int, int, int]) -> None:
    table = PRESETS[preset]["breaker"]
    assert figures == (
        table["drawdown"]["max_drawdown_pct"],
        table["margin"]["max_initial_margin_use_pct"],
        table["session_loss"]["max_loss_amount_usdt"],
    )


def test_every_preset_names_settings_that_exist() -> None:
    registry = load_shipped()
    for preset in PRESETS.values():
        for path, _ in leaves(preset):
            kind, *rest = path.split(".")
            known = path in FIELDS if kind != "breaker" else hasattr(registry.breakers[rest[0]].thing.Settings, rest[1])
            assert known, path


def test_filters_become_lots() -> None:
    filters = FiltersTable(tick_size=0.1, lot_size=0.001, min_qty=0.002, max_qty=100.0)
    made = InstrumentTable("BTCUSDT", leverage=5.0, filters=filters).instrument()
    assert (made.min_qty, made.max_qty, made.market_max_qty, made.leverage) == (2, 100_000, 100_000, 5.0)


def test_the_largest_order_is_a_lot_at_least() -> None:
    filters = FiltersTable(tick_size=0.1, lot_size=1.0, market_max_qty=0.4)
    assert InstrumentTable("BTCUSDT", filters=filters).instrument().market_max_qty == 1, "pieces of nothing close nothing, and never end"


def test_filters_that_nobody_supplied() -> None:
    with pytest.raises(ConfigError, match="tick_size and lot_size"):
        InstrumentTable("BTCUSDT").instrument()


def test_raw_goes_back() -> None:
    config = parse({"instrument": [{"symbol": "BTCUSDT", "filters": {"tick_size": 0.1, "lot_size": 0.001}}], "feed": {"speed": "max"}})
    assert parse(config.raw).raw == config.raw


def test_brackets_become_the_instruments_and_cum_is_reckoned_where_it_is_left_out() -> None:
    rows = (BracketTable(0.0, 0.4), BracketTable(50_000.0, 0.5, 50.0), BracketTable(600_000.0, 0.65))
    filters = FiltersTable(tick_size=0.1, lot_size=0.001)
    made = InstrumentTable("BTCUSDT", filters=filters, brackets=rows).instrument()
    assert [bracket.floor for bracket in made.brackets] == [0.0, 50_000.0, 600_000.0]
    assert [bracket.cum for bracket in made.brackets] == pytest.approx([0.0, 50.0, 950.0])
    assert InstrumentTable("BTCUSDT", filters=filters).instrument().brackets == ()


@pytest.mark.parametrize("key", [one.name for one in fields_of(BracketTable)])
def test_every_column_of_a_bracket_is_explained(key: str) -> None:
    assert next(one for one in fields_of(BracketTable) if one.name == key).about["doc"]
