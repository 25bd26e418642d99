"""Alert channels and services of plugin files, in real host processes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from rig import config_of

from hedgegridd.live.alerts import Alerts, Pace
from hedgegridd.live.errands import Errands
from hedgegridd.live.hostchannel import HostChannels
from hedgegridd.live.pluginfolder import PluginFolder
from hedgegridd.live.services import Services, tables
from hedgegridd.model import Answer, Missed, PluginChanged, Severity
from hedgegridd.plugins import Registry, load_shipped
from hedgegridd.views import Alert

CHANNEL = """
import pathlib
from hedgegridd import hookimpl
class Note:
    name = "note"
    class Settings:
        path: str = ""
    def send(self, alert):
        if "{fails}" and alert.title != "test":
            raise OSError("{fails}")
        with pathlib.Path(self.settings.path).open("a") as file:
            file.write(alert.severity + " " + alert.title + "{mark}\\n")
@hookimpl
def register_alerts(register): register(Note)
"""
BOARD = """
import json, pathlib, time
from hedgegridd import hookimpl
class Board:
    name = "board"
    class Settings:
        path: str = ""
        rest: float = 0.0
    def start(self):
        self.n = 0
    def update(self, status):
        self.n += 1
        pathlib.Path(self.settings.path).write_text(json.dumps([self.n, status]))
        time.sleep(self.settings.rest)
@hookimpl
def register_services(register): register(Board)
"""
QUICK = Pace(0.02, 0.1, 60.0, 100)


class Home:
    """What the shell has, without a daemon: hosts, errands, channels, services."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, registry: Registry | None = None, **config: Any) -> None:
        self.plugins, self.loop = folder / "plugins", loop
        self.plugins.mkdir(exist_ok=True)
        self.config = config_of(**config)
        self.heard: list[Any] = []
        registry = registry or Registry()
        kinds = {"alert": self.config.alert, "service": tables(self.config)}
        self.hosts = PluginFolder([self.plugins], self._heard, loop, registry=registry, settings=kinds)
        self.alerts = Alerts(folder / "alerts", pace=QUICK)
        self.errands = Errands(self.hosts)
        self.channels = HostChannels(self.alerts, self.errands, self.hosts, registry.alerts, loop)
        self.channels.configure(self.config.alert)
        self.documents = 0
        self.services = Services(self.hosts, self.errands, registry, self._status, self.config)
        self.hosts.start()

    def _heard(self, event: Any) -> None:
        if not self.errands.heard(event):
            self.heard.append(event)
        if isinstance(event, PluginChanged):
            self.channels.changed(event)
            self.services.changed(event)

    def _status(self) -> dict[str, Any]:
        self.documents += 1
        return {"number": self.documents}

    def drop(self, name: str, text: str) -> None:
        (self.plugins / name).write_text(text)
        (self.plugins / name).chmod(0o600)

    async def close(self) -> None:
        self.services.close()
        self.channels.close()
        await self.loop.run_in_executor(None, self.alerts.close, 1.0)
        await self.hosts.close()


async def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


def run(home: Callable[[asyncio.AbstractEventLoop], Home], body: Callable[[Home], Awaitable[None]]) -> None:
    async def main() -> None:
        made = home(asyncio.get_running_loop())
        try:
            await body(made)
        finally:
            await made.close()

    asyncio.run(main())


def alert(title: str, severity: Severity = Severity.CRITICAL) -> Alert:
    return Alert(1, severity, "test", title, "text", {"x": 1})


def channel(fails: str = "", mark: str = "") -> str:
    return CHANNEL.replace("{fails}", fails).replace("{mark}", mark)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


# --- channels -----------------------------------------------------------------------------------------------------------


def test_a_dropped_in_channel_delivers(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def body(home: Home) -> None:
        home.drop("alert_note.py", channel())
        await until(home.alerts.channels)
        home.alerts.put(alert("kill"))
        home.alerts.put(alert("quiet", Severity.INFO))
        await until(lambda: home.alerts.counts()["sent"])
        assert lines(out) == ["CRITICAL kill"]
        result = await home.loop.run_in_executor(None, home.alerts.test)
        assert result["note"]["ok"]
        assert all(isinstance(event, PluginChanged) for event in home.heard), "none of it reaches the heart"

    run(lambda loop: Home(tmp_path, loop, alert={"note": {"path": str(out), "min_severity": "WARNING"}}), body)


def test_without_its_table_or_switched_off_it_is_not_used(tmp_path: Path) -> None:
    for table in ({}, {"note": {"enabled": False}}):

        async def body(home: Home) -> None:
            home.drop("alert_note.py", channel())
            await until(lambda: home.heard)
            await asyncio.sleep(0.1)
            assert not home.alerts.channels()
            assert home.hosts.rows()[0]["state"] == "loaded"

        run(lambda loop, table=table: Home(tmp_path, loop, alert=table), body)  # type: ignore[misc]


def test_what_it_raises_is_told_and_tried_again_and_an_edit_mends_it(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def body(home: Home) -> None:
        home.drop("alert_note.py", channel("no ink"))
        await until(home.alerts.channels)
        home.alerts.put(alert("kill"))
        await until(lambda: "no ink" in home.alerts.channels()[0]["error"])
        home.drop("alert_note.py", channel(mark="!"))
        await until(lambda: home.alerts.counts()["sent"] == 1)
        assert lines(out) == ["CRITICAL kill!"] and home.alerts.counts()["queued"] == 0

    run(lambda loop: Home(tmp_path, loop, alert={"note": {"path": str(out)}}), body)


def test_a_removed_file_drops_its_channel_and_ends_its_process(tmp_path: Path) -> None:
    async def body(home: Home) -> None:
        home.drop("alert_note.py", channel())
        await until(lambda: home.heard)
        (home.plugins / "alert_note.py").unlink()
        await until(lambda: not home.alerts.channels())
        await until(lambda: not home.hosts.rows())
        home.drop("alert_note.py", channel())
        await until(home.alerts.channels)

    run(lambda loop: Home(tmp_path, loop, alert={"note": {"path": str(tmp_path / "out")}}), body)


def test_what_is_told_before_the_file_is_there_is_delivered_when_it_comes(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def body(home: Home) -> None:
        await until(home.alerts.channels)
        home.alerts.put(alert("started"))
        await until(lambda: "no plugin file" in home.alerts.channels()[0]["error"])
        home.drop("alert_note.py", channel())
        await until(lambda: lines(out) == ["CRITICAL started"])

    run(lambda loop: Home(tmp_path, loop, alert={"note": {"path": str(out)}}), body)


def test_a_shipped_channel_is_left_to_the_daemon(tmp_path: Path) -> None:
    async def body(home: Home) -> None:
        await asyncio.sleep(0.1)
        assert not home.alerts.channels()

    run(lambda loop: Home(tmp_path, loop, load_shipped(), alert={"slack": {}}), body)


def test_an_edit_without_the_channel_drops_it(tmp_path: Path) -> None:
    async def body(home: Home) -> None:
        home.drop("alert_note.py", channel())
        await until(lambda: home.heard)
        home.drop("alert_note.py", channel().replace('"note"', '"other"'))
        await until(lambda: not home.alerts.channels())

    run(lambda loop: Home(tmp_path, loop, alert={"note": {"path": str(tmp_path / "out")}}), body)


def test_a_table_that_comes_with_a_reload_takes_it_up(tmp_path: Path) -> None:
    async def body(home: Home) -> None:
        home.drop("alert_note.py", channel())
        await until(lambda: home.heard)
        home.channels.configure({"note": {}})
        await until(home.alerts.channels)
        home.channels.configure({})
        await until(lambda: not home.alerts.channels())

    run(lambda loop: Home(tmp_path, loop), body)


def test_a_host_that_dies_while_sending_fails_that_send_only(tmp_path: Path) -> None:
    out = tmp_path / "out"
    dies = channel().replace("def send(self, alert):", "def send(self, alert):\n        import os; os._exit(3)")

    async def body(home: Home) -> None:
        home.drop("alert_note.py", dies)
        await until(home.alerts.channels)
        home.alerts.put(alert("kill"))
        await until(lambda: "status 3" in home.alerts.channels()[0]["error"])
        home.drop("alert_note.py", channel())
        await until(lambda: lines(out) == ["CRITICAL kill"])

    run(lambda loop: Home(tmp_path, loop, alert={"note": {"path": str(out)}}), body)


def test_errands_are_told_from_the_hearts_questions() -> None:
    class Echo:
        asked: list[tuple[Any, ...]] = []  # noqa: RUF012

        def ask(self, *question: Any) -> None:
            self.asked.append(question)

    ended: list[str] = []
    errands = Errands(Echo())
    for _ in range(3):
        errands.run("f", "send", "n", {}, ended.append)
    assert [question[1] for question in Echo.asked] == [-1, -2, -3]
    assert not errands.heard(Answer(1, "f", 1, {})) and not errands.heard(PluginChanged(1, "", "", "", (), "", ""))
    assert errands.heard(Answer(1, "f", -2, {"error": "no"})) and errands.heard(Missed(1, "f", -1, "late"))
    assert errands.heard(Answer(1, "f", -3, {"sent": True})) and errands.heard(Answer(1, "f", -3, {}))
    assert ended == ["no", "late", ""]


# --- services -----------------------------------------------------------------------------------------------------------


def shown(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):  # not there, or half written
        return [0, {}]


def test_a_dropped_in_service_gets_the_newest_status_again_and_again(tmp_path: Path) -> None:
    out = tmp_path / "board"

    async def body(home: Home) -> None:
        home.services.start()
        home.drop("service_board.py", BOARD)
        await until(lambda: shown(out)[0] >= 2)
        number, status = shown(out)
        assert status["number"] == number
        (home.plugins / "service_board.py").unlink()
        await until(lambda: not home.hosts.rows())

    run(lambda loop: Home(tmp_path, loop, service={"board": {"path": str(out)}}), body)


def test_while_one_is_unanswered_it_gets_no_other(tmp_path: Path) -> None:
    out = tmp_path / "board"

    async def body(home: Home) -> None:
        home.drop("service_board.py", BOARD)
        await until(lambda: home.heard)
        for _ in range(5):
            home.services.update()
        assert home.documents == 1
        await until(lambda: shown(out)[0] == 1)

        def answered_again() -> bool:
            home.services.update()
            return bool(shown(out)[0] >= 2)

        await until(answered_again)

    run(lambda loop: Home(tmp_path, loop, service={"board": {"path": str(out), "rest": 0.3}}), body)


def test_one_that_is_switched_off_gets_nothing(tmp_path: Path) -> None:
    async def body(home: Home) -> None:
        home.drop("service_board.py", BOARD)
        await until(lambda: home.heard)
        home.services.update()
        assert home.documents == 0

    run(lambda loop: Home(tmp_path, loop, service={"board": {"enabled": False}}), body)


def test_one_that_fails_is_shown_and_a_good_update_clears_it(tmp_path: Path) -> None:
    out = tmp_path / "sub" / "board"

    async def body(home: Home) -> None:
        home.drop("service_board.py", BOARD)
        await until(lambda: home.heard)
        home.services.update()
        await until(lambda: home.hosts.rows()[0]["state"] == "error")
        assert "FileNotFoundError" in home.hosts.rows()[0]["reason"]
        out.parent.mkdir()
        home.services.update()
        await until(lambda: home.hosts.rows()[0]["state"] == "loaded")

    run(lambda loop: Home(tmp_path, loop, service={"board": {"path": str(out)}}), body)


def test_the_shipped_endpoint_is_hosted_only_where_it_is_asked_for(tmp_path: Path) -> None:
    registry = load_shipped()

    async def body(home: Home) -> None:
        home.services.start()
        await asyncio.sleep(0.3)
        assert not home.heard
        home.services.configure(config_of(metrics={"enabled": True}))
        await until(lambda: home.heard)
        assert (home.heard[0].kind, home.heard[0].names, home.heard[0].state) == ("service", ("prometheus",), "loaded")
        home.services.configure(config_of(metrics={"enabled": True}))
        home.services.configure(config_of())
        await until(lambda: home.heard[-1].state == "removed")
        assert len(home.heard) == 2

    run(lambda loop: Home(tmp_path, loop, registry), body)


def test_the_endpoints_settings_come_from_metrics() -> None:
    assert tables(config_of())["prometheus"] == {"enabled": False, "host": "127.0.0.1", "port": 9090}
    named = tables(config_of(metrics={"port": 9999}, service={"prometheus": {"host": "::1"}}))["prometheus"]
    assert named == {"enabled": True, "host": "::1", "port": 9999}
    assert not tables(config_of(metrics={"enabled": True}, service={"prometheus": {"enabled": False}}))["prometheus"]["enabled"]
