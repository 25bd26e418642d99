import asyncio
import json
import os
import random
import resource
import select
import signal
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.control import protocol, server
from hedgegridd.control.client import Client, Unreachable
from hedgegridd.control.protocol import MAX_FRAME, Fault
from hedgegridd.errors import AlreadyRunning, ConfigError, ExchangeError, Refused, StateError

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


def ask(path: str, verb: str, patience: float) -> dict[str, Any]:
    with Client(path) as client:
        return client.call(verb, {}, patience)


def line_to(path: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(10)
    line.connect(str(path))
    return line


def exchange(line: socket.socket, frame: bytes) -> dict[str, Any]:
    line.sendall(frame)
    got = b""
    while not got.endswith(b"\n"):
        part = line.recv(65_536)
        assert part, "hung up"
        got += part
    found: dict[str, Any] = json.loads(got)
    return found


def request(method: str, ident: Any = 1, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params}).encode() + b"\n"


def as_nobody(act: Callable[[], int], groups: tuple[int, ...] = ()) -> int:
    """The exit code of `act` in a child that is nobody."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setgroups(groups)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            code = act()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_verb_reaches_its_handler_with_who_asked(running: Any) -> None:
    with line_to(running.path) as line:
        reply = exchange(line, request("throttle", factor=0.5, symbol="BTCUSDT"))
    assert reply == {"jsonrpc": "2.0", "id": 1, "result": {"schema": 1, "throttle": []}}
    verb, params, actor = running.daemon.asked[0]
    assert (verb, params) == ("throttle", {"factor": 0.5, "symbol": "BTCUSDT"})
    assert actor.startswith(f"uid={os.getuid()}")
    assert actor.endswith("(root)") or os.getuid()


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (Refused("a flatten is unfinished"), protocol.REFUSED, "a flatten is unfinished"),
        (ExchangeError("no answer"), protocol.FAILED, "no answer"),
        (ZeroDivisionError("oops"), protocol.INTERNAL, "ZeroDivisionError: oops"),
    ],
)
def test_what_a_handler_raises_is_an_answer(running: Any, raised: Exception, code: int, says: str) -> None:
    running.daemon.raises["pnl"] = raised
    with line_to(running.path) as line:
        error = exchange(line, request("pnl"))["error"]
        assert error["code"] == code
        assert says in error["message"]
        assert "result" in exchange(line, request("status"))


def test_unknown_verbs_and_options_are_told_the_nearest(running: Any) -> None:
    with line_to(running.path) as line:
        assert "did you mean 'status'" in exchange(line, request("statsu"))["error"]["message"]
        assert "did you mean 'reason'" in exchange(line, request("activate", reasn="x"))["error"]["message"]
        assert exchange(line, request("watch"))["error"]["code"] == protocol.NO_SUCH_VERB
    assert running.daemon.asked == []


def test_a_notification_acts_and_is_not_answered(running: Any) -> None:
    with line_to(running.path) as line:
        line.sendall(b'{"jsonrpc": "2.0", "method": "pause", "params": {}}\n')
        assert exchange(line, request("ping", 7))["id"] == 7
    assert [verb for verb, _, _ in running.daemon.asked] == ["pause", "ping"]


def test_a_frame_has_at_most_64_kib(running: Any) -> None:
    with line_to(running.path) as line:
        head, tail = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{}', b"}\n"
        whole = head + b" " * (MAX_FRAME - len(head) - len(tail)) + tail
        assert "result" in exchange(line, whole)
        assert exchange(line, b" " + whole)["error"]["code"] == protocol.BAD_REQUEST
        assert "result" in exchange(line, request("ping"))
        assert exchange(line, b"x" * (5 * MAX_FRAME) + b"\n")["error"]["code"] == protocol.BAD_REQUEST
        assert "result" in exchange(line, request("ping"))


def test_the_socket_has_its_mode_whatever_the_umask(start: Callable[..., Any], folder: Path) -> None:
    before = os.umask(0o000)
    try:
        running = start()
    finally:
        os.umask(before)
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o660
    assert [entry.name for entry in folder.iterdir()] == ["s"]


@as_root
def test_group_owns_the_socket(start: Callable[..., Any]) -> None:
    assert start(group="nogroup").path.stat().st_gid == NOBODY


def test_groups_that_do_not_exist_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"daemon\.admin_group.*a group of this machine"):
        server.Server(folder / "s", lambda *_: asyncio.sleep(0, {}), admin_group="no-such-group")


@as_root
def test_another_user_cannot_open_the_socket(running: Any, folder: Path) -> None:
    folder.chmod(0o755)

    def act() -> int:
        try:
            ask(str(running.path), "status", 5)
        except Unreachable as err:
            return 0 if err.forbidden else 1
        return 2

    assert as_nobody(act) == 0
    assert running.daemon.asked == []


@as_root
@pytest.mark.parametrize(
    ("options", "groups", "read", "write"),
    [
        ({}, (), protocol.FORBIDDEN, protocol.FORBIDDEN),
        ({"group": "games"}, (60,), 0, protocol.FORBIDDEN),
        ({"group": "games"}, (), protocol.FORBIDDEN, protocol.FORBIDDEN),
        ({"admin_group": "games"}, (60,), 0, 0),
    ],
)
def test_rights_follow_the_peers_groups(
    start: Callable[..., Any], folder: Path, options: dict[str, str], groups: tuple[int, ...], read: int, write: int
) -> None:
    """Even where somebody opened the socket to the world."""
    running = start(**options)
    folder.chmod(0o755)
    running.path.chmod(0o666)

    def answer_to(verb: str) -> Callable[[], int]:
        def act() -> int:
            try:
                ask(str(running.path), verb, 5)
            except Fault as err:
                return -err.code - 32_000
            return 0

        return act

    assert as_nobody(answer_to("status"), groups) == (-read - 32_000 if read else 0)
    assert as_nobody(answer_to("pause"), groups) == (-write - 32_000 if write else 0)
    assert [actor for _, _, actor in running.daemon.asked] == ["uid=65534(nobody)"] * len([right for right in (read, write) if not right])


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(start: Callable[..., Any], folder: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "s"))
    dead.close()
    running = start()
    assert ask(str(running.path), "ping", 5)
    with pytest.raises(AlreadyRunning, match="another hedgegridd answers there"):
        asyncio.run(server.Server(running.path, running.daemon.handle).start())
    assert ask(str(running.path), "ping", 5)


def test_what_is_no_socket_is_left_alone(folder: Path) -> None:
    (folder / "s").write_text("precious")
    with pytest.raises(StateError, match="expected a socket or nothing"):
        asyncio.run(server.Server(folder / "s", lambda *_: asyncio.sleep(0, {})).start())
    assert (folder / "s").read_text() == "precious"


def test_a_path_too_long_is_told_so(folder: Path) -> None:
    with pytest.raises(StateError, match="at most 107 bytes"):
        asyncio.run(server.Server(folder / ("x" * 120), lambda *_: asyncio.sleep(0, {})).start())


def test_a_removed_socket_is_made_again_and_old_connections_live_on(running: Any) -> None:
    with line_to(running.path) as old:
        assert "result" in exchange(old, request("ping"))
        running.path.unlink()
        assert running.wait(running.server.ensure()) is True
        assert "result" in exchange(old, request("ping"))
        assert ask(str(running.path), "ping", 5)
        assert running.wait(running.server.ensure()) is True


def test_a_strangers_thing_in_its_place_is_reported_not_fought(running: Any) -> None:
    running.path.unlink()
    running.path.mkdir()
    assert running.wait(running.server.ensure()) is False
    running.path.rmdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(running.path))
        other.listen()
        assert running.wait(running.server.ensure()) is False
    assert running.wait(running.server.ensure()) is True


def test_closing_removes_our_socket_and_leaves_the_pointer(folder: Path, start: Callable[..., Any]) -> None:
    running = start(state_dir=folder / "state")
    running.wait(running.server.close())
    assert not running.path.exists()
    assert (folder / "s.state").readlink() == folder / "state"


def test_a_user_with_too_many_connections_loses_the_idlest(running: Any) -> None:
    lines = [line_to(running.path) for _ in range(server.PER_USER)]
    for line in lines[1:]:
        exchange(line, request("ping"))
    extra = line_to(running.path)
    assert "result" in exchange(extra, request("ping"))
    with suppress(ConnectionResetError):
        assert lines[0].recv(1) == b""
    assert "result" in exchange(lines[1], request("ping"))
    for line in [*lines, extra]:
        line.close()


def test_a_reader_that_does_not_read_is_dropped(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SLOW_SECONDS", 0.3)
    with line_to(running.path) as line:
        line.setblocking(False)
        deadline = time.monotonic() + 90
        with pytest.raises(OSError):
            while time.monotonic() < deadline:
                with suppress(BlockingIOError):
                    line.send(request("status") * 50)
        assert time.monotonic() < deadline
    assert ask(str(running.path), "ping", 5)


def test_an_idle_connection_is_dropped(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.2)
    with line_to(running.path) as line:
        line.sendall(b'{"half": ')
        assert line.recv(1) == b""


def garbage(rng: random.Random) -> bytes:
    """A frame as a broken or hostile client might send it."""
    good = request(rng.choice(("status", "ping", "activate", "nonsense")), rng.randrange(9))
    match rng.randrange(5):
        case 0:
            return rng.randbytes(rng.randrange(200)) + b"\n"
        case 1:
            return good[: rng.randrange(len(good))] + b"\n"
        case 2:
            spoiled = bytearray(good)
            spoiled[rng.randrange(len(good))] = rng.randrange(256)
            return bytes(spoiled)
        case 3:
            return rng.choice((b"{}", b"[]", b"null", b"1", b'""', b"[" * 300, b'{"jsonrpc":"2.0","method":[]}')) + b"\n"
    return b"\n" * rng.randrange(1, 4)


def flood(path: Path, frames: int, seed: int) -> None:
    """Send so many, over one connection after another, reading just enough not to be dropped."""
    rng, sent = random.Random(seed), 0
    while sent < frames:
        with suppress(OSError), line_to(path) as line:
            line.setblocking(False)
            for _ in range(rng.randrange(1, 3000)):
                readable, writable, _ = select.select([line], [line], [], 1.0)
                if readable:
                    line.recv(65_536)
                if writable:
                    line.send(garbage(rng))
                    sent += 1


def test_a_flood_of_garbage_neither_crashes_nor_slows(running: Any) -> None:
    children = []
    for seed in range(2):
        child = os.fork()
        if child == 0:
            flood(running.path, 40_000, seed)
            os._exit(0)
        children.append(child)
    slowest, asked = 0.0, 0
    while children:
        began = time.monotonic()
        assert ask(str(running.path), "status", 10)["pid"] == 42
        slowest, asked = max(slowest, time.monotonic() - began), asked + 1
        children = [child for child in children if os.waitpid(child, os.WNOHANG)[0] == 0]
        time.sleep(0.005)
    assert asked > 5
    assert slowest < 5.0


def crowd(path: Path, first: bytes) -> None:
    """Connect without end, say this, and wait for nothing; as somebody else where we may be."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    lines: list[socket.socket] = []
    while True:
        line = socket.socket(socket.AF_UNIX)
        line.setblocking(False)
        with suppress(OSError):
            line.connect(str(path))
            line.send(first)
        lines = [*lines[-200:], line]


@as_root
@pytest.mark.parametrize("first", [b"", b'{"jsonrpc": ', b"\n" * 60_000], ids=["silent", "half a frame", "blank lines"])
def test_a_crowd_of_another_user_keeps_nobody_from_being_heard(start: Callable[..., Any], folder: Path, first: bytes) -> None:
    folder.chmod(0o755)
    running = start(group="nogroup")
    child = os.fork()
    if child == 0:
        crowd(running.path, first)
    try:
        time.sleep(0.3)
        for _ in range(10):
            assert ask(str(running.path), "ping", 20)
        assert running.server.connections <= server.IN_ALL + server.PER_USER
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_what_a_dropped_connection_had_said_is_not_served_any_more(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BREATH_SECONDS", 0.5)  # after each 32 lines: all of them would take a quarter of an hour
    with line_to(running.path) as talker:
        talker.sendall(b"\n" * 60_000)
        others = [line_to(running.path) for _ in range(server.PER_USER)]
        for line in others:
            line.sendall(b'{"half": ')
        deadline = time.monotonic() + 60
        while running.server.connections > server.PER_USER:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for line in others:
            line.close()


def test_who_says_nothing_too_long_is_dropped_at_the_next_look(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with line_to(running.path) as line:
        deadline = time.monotonic() + 60
        while not running.server.connections:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        monkeypatch.setattr(server, "IDLE_SECONDS", 0.0)
        assert running.wait(running.server.ensure())
        assert line.recv(1) == b"" and not running.server.connections


def test_without_a_descriptor_left_who_says_nothing_makes_room(start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PER_USER", 1_000)
    running = start()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path("/dev/null").open() as next_one:
        few = next_one.fileno() + 8
    child = os.fork()
    if child == 0:  # it has a table of its own
        try:
            lines = [line_to(running.path) for _ in range(40)]
            time.sleep(0.2)
            os._exit(0 if lines and ask(str(running.path), "ping", 20) else 1)
        finally:
            os._exit(2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, before[1]))
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
