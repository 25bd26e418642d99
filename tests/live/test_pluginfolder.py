"""Plugin folders on the disk: dropped in, edited, removed, refused, while the loop runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hedgegridd import codec
from hedgegridd.live.pluginfolder import PluginFolder
from hedgegridd.live.pluginhost import host_name
from hedgegridd.model import Answer, Missed, PluginChanged
from hedgegridd.plugins import CONTRACT, Registry, read
from hedgegridd.views import Snapshot

SNAPSHOT = Snapshot(1, 1000.0, 1000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1000.0, 1000.0, 1000.0, 1000.0, 0.0, 0.0, 0, ())
PAYLOAD = codec.encode(SNAPSHOT)

TEXT = """
from hedgegridd import Trip, hookimpl

class It:
    name = "{name}"
    def check(self, snapshot):
        return Trip("{reason}")

@hookimpl
def register_{kind}(register):
    register(It)
"""


def breaker(name: str, reason: str = "one") -> str:
    return TEXT.format(name=name, reason=reason, kind="breakers")


async def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)


class Watched:
    """A PluginFolder, all that it emitted, and words to look at that with."""

    def __init__(self, *folders: Path) -> None:
        self.got: list[Any] = []
        self.folder = PluginFolder(folders, self.got.append, asyncio.get_running_loop(), registry=Registry(), now=lambda: 5)
        self.folder.start()
        self._seq = 0

    def changes(self, state: str) -> list[PluginChanged]:
        return [one for one in self.got if isinstance(one, PluginChanged) and one.state == state]

    async def change(self, state: str, count: int = 1) -> PluginChanged:
        await until(lambda: len(self.changes(state)) >= count)
        return self.changes(state)[count - 1]

    async def ask(self, host: str, name: str) -> Answer | Missed:
        self._seq += 1
        seq = self._seq
        self.folder.ask(host, seq, "check", name, PAYLOAD)
        await until(lambda: any(isinstance(one, Answer | Missed) and one.seq == seq for one in self.got))
        return next(one for one in self.got if isinstance(one, Answer | Missed) and one.seq == seq)

    async def reason(self, host: str, name: str = "it") -> str:
        answer = await self.ask(host, name)
        assert isinstance(answer, Answer)
        return str(answer.value["trip"][0])


def watch(*folders: Path, body: Callable[[Watched], Awaitable[None]]) -> None:
    async def main() -> None:
        watched = Watched(*folders)
        try:
            await body(watched)
        finally:
            await watched.folder.close()

    asyncio.run(main())


def test_a_file_dropped_in_answers_at_once(tmp_path: Path) -> None:
    async def body(at: Watched) -> None:
        await asyncio.sleep(0.3)
        begin = time.monotonic()
        (tmp_path / "it.py").write_text(breaker("it"))
        loaded = await at.change("loaded")
        assert (loaded.file, loaded.kind, loaded.names, loaded.reason) == (str(tmp_path / "it.py"), "breaker", ("it",), "")
        assert await at.reason(loaded.file) == "one"
        assert time.monotonic() - begin < 15  # a wide sanity bound: a process begins
        assert at.folder.rows() == [{"name": "it", "kind": "breaker", "file": loaded.file, "state": "loaded", "reason": ""}]
        assert at.folder.facts(host_name(read(Path(loaded.file))))[0]["on_trip"] == "halt"

    watch(tmp_path, body=body)


def test_an_edit_keeps_the_old_version_until_the_new_one_is_armed(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text(breaker("it", "one"))
    old = host_name(read(file))

    async def body(at: Watched) -> None:
        await at.change("loaded")
        file.write_text("def (:")
        refused = await at.change("refused")
        assert "SyntaxError" in refused.reason
        assert await at.reason(str(file)) == "one"
        file.write_text(breaker("it", "two"))
        new = host_name(read(file))
        await at.change("loaded", 2)
        assert [row["reason"] for row in at.folder.rows()] == ["", "edited: takes over when it is armed"]
        assert (await at.reason(str(file)), await at.reason(old), await at.reason(new)) == ("one", "one", "two")
        at.folder.armed(new)
        assert await at.reason(str(file)) == "two"
        assert isinstance(await at.ask(old, "it"), Missed)
        assert len(at.folder.rows()) == 1

    watch(tmp_path, body=body)


def test_an_edit_taken_back_returns_to_the_version_in_force(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text(breaker("it", "one"))

    async def body(at: Watched) -> None:
        first = await at.change("loaded")
        file.write_text(breaker("it", "two"))
        await at.change("loaded", 2)
        file.write_text(breaker("it", "one"))
        assert (await at.change("loaded", 3)).sha256 == first.sha256
        assert len(at.folder.rows()) == 1
        assert await at.reason(str(file)) == "one"

    watch(tmp_path, body=body)


def test_a_removed_file_goes_on_guarding_until_it_is_retired(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text(breaker("it"))
    host = host_name(read(file))

    async def body(at: Watched) -> None:
        await at.change("loaded")
        file.unlink()
        assert (await at.change("removed")).names == ("it",)
        assert await at.reason(host) == "one"
        assert at.folder.rows()[0]["state"] == "removed"
        file.write_text(breaker("it"))
        await at.change("loaded", 2)
        file.unlink()
        await at.change("removed", 2)
        at.folder.retire(host)
        assert at.folder.rows() == []
        assert isinstance(await at.ask(host, "it"), Missed)
        file.write_text(breaker("it"))
        await at.change("loaded", 3)
        assert await at.reason(host) == "one"

    watch(tmp_path, body=body)


def test_an_edited_alert_replaces_the_old_one_at_once(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    head = "from hedgegridd import hookimpl\nclass A:\n    name = 'a'\n    def send(self, alert): {}\n"
    text = head + "@hookimpl\ndef register_alerts(register): register(A)\n"
    file.write_text(text.format("pass"))

    async def body(at: Watched) -> None:
        await at.change("loaded")
        file.write_text(text.format("return"))
        await at.change("loaded", 2)
        await until(lambda: len(at.folder.rows()) == 1)

    watch(tmp_path, body=body)


def test_a_loose_file_is_refused_until_its_rights_are_mended(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text(breaker("it"))
    file.chmod(0o666)

    async def body(at: Watched) -> None:
        refused = await at.change("refused")
        assert "chmod o-w" in refused.reason
        assert at.folder.rows() == [{"name": "it", "kind": "", "file": str(file), "state": "refused", "reason": refused.reason}]
        file.chmod(0o644)
        await at.change("loaded")
        assert [row["state"] for row in at.folder.rows()] == ["loaded"]

    watch(tmp_path, body=body)


def test_a_name_is_taken_once_and_a_foreign_exchange_never(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(breaker("it"))
    methods = "".join(f"    def {m}(self, *a): pass\n" for m in CONTRACT["exchange"][1:])
    head = "from hedgegridd import hookimpl\nclass X:\n    name = 'x'\n    orders_cost_network = True\n"
    exchange = head + methods + "@hookimpl\ndef register_exchanges(register): register(X)\n"

    async def body(at: Watched) -> None:
        await at.change("loaded")
        (tmp_path / "b.py").write_text(breaker("it"))
        assert f"already registered by {tmp_path / 'a.py'}" in (await at.change("refused")).reason
        (tmp_path / "c.py").write_text(exchange)
        assert "never hot-loaded" in (await at.change("refused", 2)).reason

    watch(tmp_path, body=body)


def test_a_folder_made_later_is_found(tmp_path: Path) -> None:
    async def body(at: Watched) -> None:
        await asyncio.sleep(0.2)
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "it.py").write_text(breaker("it"))
        (tmp_path / "late" / "_not.py").write_text("1 / 0")
        await at.change("loaded")
        assert len(at.folder.rows()) == 1

    watch(tmp_path / "late", body=body)


def test_a_quarantined_file_is_tried_again_when_it_is_edited(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text("import os\nos._exit(1)\n")

    async def body(at: Watched) -> None:
        assert "status 1" in (await at.change("quarantined")).reason
        file.write_text(breaker("it"))
        await at.change("loaded")
        assert await at.reason(str(file)) == "one"

    watch(tmp_path, body=body)


def test_settings_that_changed_reach_the_file(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    text = (
        breaker("it")
        .replace('Trip("one")', "Trip(self.settings.word)")
        .replace("    def check", '    class Settings:\n        word: str = "a"\n    def check')
    )
    file.write_text(text)

    async def body(at: Watched) -> None:
        await at.change("loaded")
        assert await at.reason(str(file)) == "a"
        at.folder.configure({"breaker": {"it": {"word": "b"}}})
        await until(lambda: at.folder.rows()[0]["state"] == "loaded")
        assert await at.reason(str(file)) == "b"

    watch(tmp_path, body=body)


def test_it_ends_in_whatever_moment_a_change_comes(tmp_path: Path) -> None:
    """A notice and the end in the same turn of the loop: it went on watching, and its daemon never ended."""

    async def ended(turns: int) -> None:
        folder = Watched(tmp_path).folder
        await asyncio.sleep(0.6)  # the first scan is done, and it waits
        folder._wanted.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        closing = asyncio.create_task(folder.close())
        done, _ = await asyncio.wait([closing], timeout=20)
        assert done, "it watches on"

    async def main() -> None:
        await asyncio.gather(*(ended(turns) for turns in range(6)))

    asyncio.run(main())


def test_a_name_that_is_taken_is_told_before_what_its_table_lacks(tmp_path: Path) -> None:
    """The table is that of the name's owner, and nothing is wrong with it."""
    (tmp_path / "a.py").write_text(breaker("it").replace("    def check", "    class Settings:\n        limit: float = 1.0\n    def check"))

    async def body(at: Watched) -> None:
        at.folder.configure({"breaker": {"it": {"limit": 2.0}}})
        await at.change("loaded")
        (tmp_path / "b.py").write_text(breaker("it"))
        assert f"already registered by {tmp_path / 'a.py'}" in (await at.change("refused")).reason

    watch(tmp_path, body=body)


THIEF = """
from hedgegridd import hookimpl
class It:
    name = "slack"
    class Settings:
        webhook_url: str = ""
    def __init__(self, settings):
        open("{kept}", "w").write(settings.webhook_url)
    def send(self, alert): pass
@hookimpl
def register_alerts(register):
    register(It)
"""


def test_a_file_that_takes_the_name_of_another_is_not_given_its_table(tmp_path: Path) -> None:
    """A table may hold a secret, and it is that of the name's owner."""
    kept, folder = tmp_path / "kept", tmp_path / "plugins"
    folder.mkdir()

    async def main() -> None:
        at = Watched(folder)
        at.folder.configure({"alert": {"slack": {"webhook_url": "s3cret-address"}}})
        (folder / "mine.py").write_text(THIEF.format(kept=kept))
        await at.change("loaded")  # the name's owner is handed it
        await until(kept.exists)
        kept.unlink()
        (folder / "thief.py").write_text(THIEF.format(kept=kept))
        assert "already registered" in (await at.change("refused")).reason
        await at.folder.close()
        assert not kept.exists()

    asyncio.run(main())
