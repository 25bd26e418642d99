"""Triggers that are no person's whim: a window of maintenance in recorded time, and a regulator; each with a source of its own."""

from __future__ import annotations

from collections.abc import Callable

from journeys.daemon_process import DaemonProcess, holding

Home = Callable[..., DaemonProcess]


def test_a_window_in_recorded_time_withholds_ahead_and_resumes_after(home: Home) -> None:
    window = {"start": "02:30", "end": "06:30", "minutes_ahead": 120, "reason": "the exchange upgrades"}
    daemon = home(minutes=3_000, maintenance=[window]).start(speed="1800")
    found = daemon.until(lambda status: status["hold"].startswith("maintenance window ahead"))
    assert found["time"][11:16] >= "00:30" and found["instruments"][0]["ladders"] == {"long": 0, "short": 0}
    daemon.kill()
    daemon.start(speed="1800")
    found = daemon.until(lambda status: status["hold"] == "maintenance window is on: the exchange upgrades")
    assert found["instruments"][0]["ladders"] == {"long": 0, "short": 0} and not found["kill_switch"]["active"]
    found = daemon.until(lambda status: not status["hold"] and any(status["instruments"][0]["ladders"].values()))
    assert found["time"][11:16] >= "06:30"
    daemon.kill()
    acts = daemon.acts("maintenance")
    assert [act["phase"] for act in acts] == ["ahead", "on", "over"] and {act["source"] for act in acts} == {"maintenance"}
    daemon.sound()


def test_a_window_of_level_flatten_is_in_file_journal_and_status(home: Home) -> None:
    daemon = home(minutes=3_000, maintenance=[{"start": "12:00", "end": "23:30", "level": "flatten"}]).start(speed="6000")
    daemon.until(lambda status: status["kill_switch"]["active"] and status["kill_switch"]["durable"])
    found = daemon.flat()
    assert (found["kill_switch"]["source"], found["kill_switch"]["level"]) == ("maintenance", "flatten")
    assert daemon.engaged()["source"] == "maintenance"
    daemon.kill()
    assert daemon.acts("kill")[0]["source"] == "maintenance"
    daemon.sound()


def test_a_regulator_is_named_in_file_journal_status_and_alert(home: Home) -> None:
    daemon = holding(home(minutes=3_000))
    done = daemon.ctl("activate", "--source", "regulatory", "--reason", "order 7 of the authority")
    assert done.returncode == 0, done.stderr
    found = daemon.flat()["kill_switch"]
    assert (found["source"], found["reason"]) == ("regulatory", "order 7 of the authority")
    assert daemon.engaged()["source"] == "regulatory"
    daemon.until(lambda _: "(source regulatory, by" in daemon.log)  # people are told
    daemon.kill()
    assert daemon.acts("kill")[0]["source"] == "regulatory"
    daemon.sound()


def test_it_is_named_without_a_daemon_too_and_known_to_the_next_life(home: Home) -> None:
    daemon = holding(home(minutes=3_000))
    daemon.kill()
    done = daemon.ctl("activate", "--source", "market-wide", "--reason", "everything is halted", "--level", "halt")
    assert done.returncode == 3 and daemon.engaged()["source"] == "market-wide"
    assert daemon.start(speed="1").status()["kill_switch"]["source"] == "market-wide"
