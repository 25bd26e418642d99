"""Windows of maintenance: withheld ahead of them, stopped as they begin, resumed after them; by the data's clock, through restarts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig import MINUTE, START, Rig, config_of, instrument_table, steady

from hedgegridd.errors import ConfigError
from hedgegridd.heart.maintenance import DAY_MS, Maintenance, windows
from hedgegridd.model import Level, Role
from hedgegridd.schema import MaintenanceTable
from hedgegridd.settings import fill_settings

HOUR = 60 * MINUTE
WEDNESDAY = START  # 2025-01-01


def table(**keys: Any) -> Any:
    made, problems = fill_settings(MaintenanceTable, {"start": "02:00", "end": "03:00", **keys}, "")
    assert not problems, problems
    return made


def window(**keys: Any) -> Any:
    (made,), problems = windows([table(**keys)], ["BTCUSDT", "ETHUSDT"])
    assert not problems, problems
    return made


def test_a_daily_window_is_ahead_then_on_then_over() -> None:
    one = window(minutes_ahead=10)
    at = [one.at(START + 2 * HOUR + minutes * MINUTE)[0] for minutes in (-11, -10, -1, 0, 59, 60)]
    assert at == ["", "ahead", "ahead", "on", "on", ""]
    edges = [START + 110 * MINUTE, START + 2 * HOUR, START + 3 * HOUR, START + DAY_MS + 110 * MINUTE]
    assert [one.next(time) for time in (START, edges[0], edges[1], edges[2])] == edges


def test_it_may_cross_midnight_and_keep_to_days() -> None:
    one = window(start="23:30", end="00:30", days=["wed"], minutes_ahead=0)
    assert [one.at(START + DAY_MS + minutes * MINUTE)[0] for minutes in (-31, -30, 29, 30)] == ["", "on", "on", ""]
    assert one.at(START + 2 * DAY_MS)[0] == "" and one.at(START + 8 * DAY_MS)[0] == "on"


def test_one_that_happens_once_happens_once() -> None:
    one = window(start="2025-01-01T02:00:00Z", end="2025-01-01T02:30:00Z", minutes_ahead=0)
    assert [one.at(START + 2 * HOUR + minutes * MINUTE)[0] for minutes in (-1, 0, 29, 30)] == ["", "on", "on", ""]
    assert one.at(START + DAY_MS + 2 * HOUR)[0] == "" and one.next(START + DAY_MS) == float("inf")


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"start": "25:00"}, "start", "HH:MM"),
        ({"start": "soon"}, "start", "HH:MM"),
        ({"end": "02:00"}, "end", "after start 02:00"),
        ({"end": "2025-01-01T03:00:00Z"}, "end", "of the same kind"),
        ({"start": "2025-01-02T02:00:00Z", "end": "2025-01-01T03:00:00Z"}, "end", "after start"),
        ({"start": "2025-01-01T02:00:00Z", "end": "2025-01-01T03:00:00Z", "days": ["mon"]}, "days", "nothing"),
        ({"days": ["monday"]}, "days", "mon, tue"),
        ({"symbols": ["DOGEUSDT"]}, "symbols", "BTCUSDT"),
    ],
)
def test_what_cannot_be_is_said_with_where_and_what_was_expected(keys: dict[str, Any], path: str, told: str) -> None:
    made, (problem,) = windows([table(**keys)], ["BTCUSDT"])
    assert not made and problem.path == f"maintenance[0].{path}" and told in problem.expected


def test_an_engine_is_not_built_on_it() -> None:
    with pytest.raises(ConfigError, match=r"maintenance\[0\].start"):
        Rig(config_of(maintenance=[{"start": "soon", "end": "03:00"}]))


def rig(*tables: dict[str, Any], **more: Any) -> Rig:
    """A grid that rests at 01:00; windows are 02:00 to 03:00 unless said."""
    quiet = {"funding": {"enabled": False}, "stale_data": {"enabled": False}}
    rows = [{"start": "02:00", "end": "03:00", "minutes_ahead": 10, **one} for one in tables]
    made = steady(Rig(config_of(maintenance=rows, breaker=quiet, **more)).start())
    assert made.engine.now == START + HOUR and made.resting(Role.ENTRY)
    return made


def test_a_pause_withholds_ahead_and_resumes_after() -> None:
    one = rig({"reason": "the exchange upgrades"})
    one.bars([500_000] * 49)
    assert one.resting(Role.ENTRY)
    one.bars([500_000])
    assert not one.resting(Role.ENTRY)
    assert one.engine.gate.hold() == "maintenance window ahead: the exchange upgrades"
    one.bars([500_000] * 10)
    assert one.engine.gate.hold() == "maintenance window is on: the exchange upgrades"
    again = one.restarted()
    again.bars([500_000] * 59)
    assert not again.resting(Role.ENTRY) and not again.engine.kill.active
    again.bars([500_000])
    assert again.resting(Role.ENTRY)
    assert [act["phase"] for act in one.of("maintenance") + again.of("maintenance")] == ["ahead", "on", "over"]
    assert {act["source"] for act in one.of("maintenance")} == {"maintenance"}
    assert "maintenance begins" in [alert.fields["what"] for alert in one.alerts if alert.rule == "state_change"]


def test_time_alone_begins_it() -> None:
    one = rig({})
    one.timer(50 * 60)
    assert not one.resting(Role.ENTRY)


@pytest.mark.parametrize("level", ["halt", "flatten"])
def test_halt_and_flatten_engage_the_latch_once_with_their_own_source(level: str) -> None:
    one = rig({"level": level})
    one.bars([497_490], reach=0)
    assert one.desk().held(0)
    one.bars([497_490] * 60, reach=0)
    kill = one.engine.kill
    assert (kill.active, kill.level.name.lower(), kill.source) == (True, level, "maintenance")
    assert bool(one.desk().held(0)) == (level == "halt")
    assert one.of("kill")[0]["source"] == "maintenance" and one.latch and one.latch["source"] == "maintenance"
    one.verb("deactivate", reason="I know")
    one.bars([497_490] * 2, reach=0)
    assert not kill.active and not one.resting(Role.ENTRY), "not engaged twice, and nothing opens before its end"
    one.bars([497_490] * 60, reach=0)
    assert one.resting(Role.ENTRY)


def test_named_symbols_are_stopped_alone_and_stay_so() -> None:
    tables = [instrument_table("BTCUSDT"), instrument_table("ETHUSDT", tick=0.01, base_qty=0.05)]
    one = rig({"level": "halt", "symbols": ["ETHUSDT"]}, instrument=tables)
    one.timer(61 * 60)
    assert not one.engine.kill.active and not one.engine.gate.hold()
    standing = one.desk("ETHUSDT").standing[0]
    assert (standing.mode.word, standing.source) == ("take-profit-only", "maintenance")
    assert one.engine.gate.leg_hold(one.desk("ETHUSDT"), 0) and not one.engine.gate.leg_hold(one.desk(), 0)
    one.timer(2 * 3600)
    assert one.desk("ETHUSDT").standing[0].shut, "after a halt a person goes on"


def test_what_is_on_comes_out_of_a_checkpoint_and_forgets_other_windows() -> None:
    one = rig({"level": "halt"})
    one.timer(61 * 60)
    kept = json.loads(json.dumps(one.engine.maintenance.dump()))
    assert kept["phases"] and kept["struck"]
    same, other = Maintenance(one.engine.maintenance.windows), Maintenance([window(start="04:00", end="05:00")])
    same.load(kept)
    other.load(kept)
    assert same.dump() == kept and other.dump() == {"phases": {}, "struck": {}}
    assert one.engine.kill.level == Level.HALT
