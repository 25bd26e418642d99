"""What the exchange says completes the configuration, and one wrong fact is enough to stay out."""

from __future__ import annotations

import dataclasses

import click
import pytest
from rig import config_of

from hedgegridd.errors import ConfigError
from hedgegridd.hookspecs import Fact
from hedgegridd.live import survey
from hedgegridd.model import Bracket, Instrument
from hedgegridd.schema import Config

FOUND = Instrument(0.1, 0.001, 1, 1_000_000, 120_000, 100.0, 1.8, 4.5, 10.0, 0.4, (Bracket(0.0, 0.4, 0.0), Bracket(50_000.0, 0.5, 50.0)))


def live(**tables: object) -> Config:
    bare = {"symbol": "BTCUSDT", "leverage": 10.0}
    table = {"mode": "live", "exchange": {"name": "binance"}, "limits": {"equity_usdt": 10_000.0}, "instrument": [bare], **tables}
    return config_of(**table)


def test_sizes_fees_and_brackets_are_the_exchanges_own() -> None:
    config = survey.complete(live(), {"BTCUSDT": FOUND}, {"BTCUSDT": 50_000.0})
    assert config.instrument[0].instrument() == FOUND
    assert config.instrument[0].reference_price == 50_000.0
    assert config.origin("instrument[0].filters.tick_size") == "binance"


def test_a_symbol_it_does_not_trade_is_named() -> None:
    with pytest.raises(ConfigError, match="a symbol that binance trades"):
        survey.complete(live(), {})


def test_a_journal_keeps_them_for_a_life_without_the_exchange() -> None:
    kept = survey.complete(live(), {"BTCUSDT": FOUND}).raw
    assert survey.as_kept(live(), {"config": kept}).instrument[0].instrument() == FOUND
    assert survey.as_kept(live(), None).instrument[0].filters.tick_size is None


@pytest.mark.parametrize(
    ("found", "before", "used"),
    [
        ("spares stops", None, True),
        ("takes stops", True, False),
        ("not tried: orders rest", True, True),
        ("not tried: orders rest", None, False),
        ("unknown: no answer", True, False),
        ("", None, False),
    ],
)
def test_the_countdown_is_used_only_where_stops_outlive_it(found: str, before: bool | None, used: bool) -> None:
    facts = [Fact("countdown", True, found)] if found else []
    assert survey.as_probed(live(), facts, before).exchange_countdown.enabled is used
    off = live(exchange_countdown={"enabled": False})
    assert survey.as_probed(off, facts, before).exchange_countdown.enabled is False


@pytest.mark.parametrize(("wallet", "reckoned"), [("12000", 10_000.0), ("4000.5", 4_000.5)])
def test_the_grid_must_fit_what_is_there(wallet: str, reckoned: float) -> None:
    surveyed = survey.Surveyed(live(), None, [Fact("balance", True, wallet)])
    assert survey.as_funded(surveyed).limits.equity_usdt == reckoned
    assert surveyed.wrong == []


def test_the_table_says_what_was_expected_only_where_it_is_wrong() -> None:
    facts = [Fact("clock", True, "+3 ms", "within 1000 ms"), Fact("position mode", False, "one-way", "hedge", "Switch it.")]
    lines = survey.table(facts, plain=True)
    assert lines == ["ok   clock          +3 ms", "FAIL position mode  one-way, expected hedge; Switch it."]
    assert [click.unstyle(line) for line in survey.table(facts)] == lines
    assert survey.table([]) == []


def test_terms_carry_what_only_the_configuration_knows() -> None:
    terms = survey.terms_of(live())["BTCUSDT"]
    assert (terms.leverage, terms.margin_type) == (10.0, "cross")
    assert dataclasses.asdict(live().instrument[0].filters)["maker_bps"] == terms.maker_bps


@pytest.mark.parametrize(
    ("before", "written", "used"), [(True, None, True), (False, None, False), (False, True, False), (True, False, False)]
)
def test_a_reload_does_not_switch_on_a_countdown_that_takes_stops(before: bool, written: bool | None, used: bool) -> None:
    ran, table = live(exchange_countdown={"enabled": before}).raw, {} if written is None else {"enabled": written}
    assert survey.as_kept(live(exchange_countdown=table), {"config": ran}).exchange_countdown.enabled is used
    assert survey.as_kept(live(), None).exchange_countdown.enabled is False, "nothing was ever seen of it"
