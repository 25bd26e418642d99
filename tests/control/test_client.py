import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.control.client import Client, Unreachable
from hedgegridd.control.protocol import Fault


def ask(path: str, verb: str, patience: float) -> dict[str, Any]:
    with Client(path) as client:
        return client.call(verb, {}, patience)


def serve_once(path: Path, reply: bytes | None) -> threading.Thread:
    """A listener that answers one connection with these bytes and hangs up; None = it never answers."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def work() -> None:
        line, _ = listener.accept()
        line.recv(65_536)
        if reply is None:
            line.recv(65_536)  # until the other hangs up
        else:
            line.sendall(reply)
        line.close()
        listener.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_one_connection_serves_many_calls(running: Any) -> None:
    with Client(str(running.path)) as client:
        for _ in range(3):
            assert client.call("status", {}, 5)["mode"] == "paper"
        assert running.server.connections == 1


def test_an_error_is_a_fault_and_the_line_stays(running: Any) -> None:
    with Client(str(running.path)) as client:
        with pytest.raises(Fault, match="still in breach"):
            client.call("deactivate", {"reason": "r"}, 5)
        assert client.call("ping", {}, 5)


def test_it_connects_again_after_the_daemon_came_back(start: Callable[..., Any], folder: Path) -> None:
    first = start()
    with Client(str(first.path)) as client:
        client.call("ping", {}, 5)
        first.wait(first.server.close())
        with pytest.raises(Unreachable):
            client.call("ping", {}, 5)
        first.wait(first.server.start())
        assert client.call("ping", {}, 5)


def test_nothing_there(folder: Path) -> None:
    with pytest.raises(Unreachable, match="No such file"):
        ask(str(folder / "none"), "ping", 5)


def test_a_path_that_no_socket_can_have(folder: Path) -> None:
    with pytest.raises(Unreachable):
        ask("/" + "x" * 300, "ping", 5)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "hung up"),
        (b'{"jsonrpc": "2.0", "id": 1', "hung up"),
        (b"HTTP/1.1 400 Bad Request\r\n", "no hedgegridd"),
        (b'{"jsonrpc": "2.0", "id": 1}\n', "without a result"),
        (b"\xff\n", "no hedgegridd"),
    ],
)
def test_strange_answers(folder: Path, reply: bytes, says: str) -> None:
    thread = serve_once(folder / "odd", reply)
    with pytest.raises(Unreachable, match=says):
        ask(str(folder / "odd"), "ping", 5)
    thread.join()


def test_a_daemon_that_hangs_is_left_in_time(folder: Path) -> None:
    thread = serve_once(folder / "hung", None)
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
        ask(str(folder / "hung"), "ping", 0.3)
    assert time.monotonic() - began < 10
    thread.join()


def test_a_socket_that_may_not_be_opened(running: Any) -> None:
    running.path.chmod(0)
    child = os.fork()
    if not child:  # root may open everything: ask as somebody else
        if os.geteuid() == 0:
            os.setgroups([])
            os.setuid(65534)
        try:
            ask(str(running.path), "ping", 5)
        except Unreachable as caught:
            os._exit(0 if caught.forbidden else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def crowded(folder: Path) -> tuple[socket.socket, list[socket.socket]]:
    """A listener whose queue is full of others."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "full"))
    listener.listen(0)
    crowd: list[socket.socket] = []
    while True:
        line = socket.socket(socket.AF_UNIX)
        line.setblocking(False)
        crowd.append(line)
        try:
            line.connect(str(folder / "full"))
        except BlockingIOError:
            return listener, crowd


def test_a_queue_that_is_full_is_waited_for(folder: Path) -> None:
    listener, crowd = crowded(folder)

    def work() -> None:
        time.sleep(0.2)
        for _ in crowd:
            line, _ = listener.accept()
            line.setblocking(True)
            if line.recv(65_536):
                line.sendall(b'{"jsonrpc": "2.0", "id": 1, "result": {"pong": true}}\n')
            line.close()

    for line in crowd:
        line.close()  # what they left in the queue stays there
    thread = threading.Thread(target=work)
    thread.start()
    assert ask(str(folder / "full"), "ping", 20) == {"pong": True}
    thread.join()
    listener.close()


def test_a_queue_that_stays_full_is_left_in_time(folder: Path) -> None:
    listener, crowd = crowded(folder)
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
        ask(str(folder / "full"), "ping", 0.3)
    assert 0.2 < time.monotonic() - began < 10
    for line in [listener, *crowd]:
        line.close()
