"""Whom a trial asks: a stranger's file in a real host process, a shipped one here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from live.hostile import at_check, at_import

from hedgegridd.errors import PluginError
from hedgegridd.plugins import load_shipped, shipped
from hedgegridd.schema import Config, DaemonTable
from hedgegridd.trial.asked import Asked, Hosted, file_of
from hedgegridd.views import Snapshot

CALM = Snapshot(1, 9_000.0, 9_000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10_000.0, 10_000.0, 10_000.0, 10_000.0, 0.0, 0.0, 0, ())
REGISTRY = load_shipped()


def config() -> Config:
    return replace(Config(), daemon=replace(DaemonTable(), plugin_deadline_seconds=0.3))


@contextmanager
def opened(folder: Path, text: str) -> Iterator[Asked]:
    path = folder / "breaker_it.py"
    path.write_text(text)
    one = file_of(path, REGISTRY).open(config())
    try:
        yield one
    finally:
        one.close()


def test_a_strangers_file_answers_from_another_process(tmp_path: Path) -> None:
    with opened(tmp_path, at_check("it", "return Trip(str(os.getpid()), 1.0, 1.0)")) as one:
        assert isinstance(one, Hosted) and [facts.name for facts in one.facts] == ["it"]
        pids = {one.judge("it", CALM).trip.reason for _ in range(5)}  # type: ignore[union-attr]
    assert len(pids) == 1 and int(next(iter(pids))) != os.getpid()


def test_one_that_raises_is_an_error_each_time(tmp_path: Path) -> None:
    with opened(tmp_path, at_check("it", "1 / 0")) as one:
        assert ["ZeroDivisionError" in one.judge("it", CALM).error for _ in range(5)] == [True] * 5


@pytest.mark.parametrize(("body", "why"), [("while True: pass", "no answer"), ("os._exit(4)", "status 4")])
def test_one_that_hangs_or_exits_is_replaced_twice_and_then_given_up(tmp_path: Path, body: str, why: str) -> None:
    with opened(tmp_path, at_check("it", body)) as one:
        for _ in range(3):
            assert why in one.judge("it", CALM).error
        with pytest.raises(PluginError, match="quarantined"):
            one.judge("it", CALM)


@pytest.mark.parametrize(("body", "why"), [("1 / 0", "ZeroDivisionError"), ("import os\nos._exit(3)", "status 3")])
def test_one_that_does_not_load_says_why(tmp_path: Path, body: str, why: str) -> None:
    with pytest.raises(PluginError, match=why), opened(tmp_path, at_import("it", body)):
        pass


def test_a_file_that_others_may_write_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "breaker_it.py"
    path.write_text(at_check("it", "return None"))
    path.chmod(0o666)
    with pytest.raises(PluginError, match="writable"):
        file_of(path, REGISTRY)


def test_a_shipped_file_is_asked_here_with_its_settings() -> None:
    file = file_of(shipped("plugins") / "breaker_drawdown.py", REGISTRY)
    assert file.shipped
    mild = replace(config(), breaker={"drawdown": {"max_drawdown_pct": 20.0, "on_trip": "halt"}})
    assert file.open(config()).judge("drawdown", CALM).trip is not None
    assert file.open(mild).judge("drawdown", CALM).trip is None
