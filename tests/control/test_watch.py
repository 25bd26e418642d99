import os
import pty
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.control import watch
from hedgegridd.control.client import Client
from hedgegridd.control.text import Ink

PLAIN = Ink(False)
ROOT = Path(__file__).parents[2]
RUNGS = [
    {"symbol": "BTCUSDT", "leg": leg, "role": "entry", "price": 50000.0 + side * 250 * k, "qty": 0.001, "client_id": name}
    for leg, side, name in (("long", -1, "x"), ("short", 1, None))
    for k in range(1, 9)
]


def test_the_screen_has_everything(running: Any) -> None:
    fill = {"time": "2026-01-02T03:04:05.000Z", "symbol": "BTCUSDT", "leg": "long", "side": "buy", "qty": 0.001, "price": 49750.0}
    running.daemon.answers = {
        "ladders": {"ladders": RUNGS},
        "fills": {"fills": [fill]},
        "alerts": {"alerts": [{"time": "2026-01-02T03:04:05.000Z", "severity": "INFO", "title": "hello"}]},
    }
    docs: watch.Docs = {}
    with Client(str(running.path)) as client:
        assert watch.ask(client, docs) == ""
    screen = "\n".join(watch.screen(docs, "", PLAIN))
    for word in ("paper", "inactive", "drawdown", "####", "BTCUSDT", "<- mark", "49,750", "not resting", "last fills", "alerts", "hello"):
        assert word in screen


def test_the_ladder_is_the_rungs_next_to_the_price() -> None:
    lines = watch.ladder(50000.5, RUNGS, PLAIN)
    prices = [float(line.split()[0].replace(",", "")) for line in lines]
    assert prices == sorted(prices, reverse=True)
    assert len(prices) == 2 * watch.RUNGS + 1
    assert prices[watch.RUNGS] == 50000.5
    assert watch.ladder(None, RUNGS, PLAIN) == []


def test_trouble_is_said_and_the_old_picture_stays(running: Any, folder: Path) -> None:
    docs: watch.Docs = {"status": running.daemon.doc}
    with Client(str(folder / "nobody")) as client:
        trouble = watch.ask(client, docs)
    lines = watch.screen(docs, trouble, PLAIN)
    assert "daemon not reachable" in lines[0]
    assert "paper" in lines[1]
    assert "waiting for the daemon" in watch.screen({}, trouble, PLAIN)


@given(st.lists(st.tuples(st.sampled_from(["", "red", "alarm"]), st.text(alphabet="abcm[1;", max_size=9)), max_size=5), st.integers(1, 30))
@settings(max_examples=100)
def test_a_cut_line_has_its_width_and_ends_its_colour(parts: list[tuple[str, str]], columns: int) -> None:
    ink, bare = Ink(True), "".join(text for _, text in parts)
    cut = watch.fit("".join(ink(text, colour) for colour, text in parts), columns)
    plain = "".join(piece.partition("m")[2] if i else piece for i, piece in enumerate(cut.split("\x1b[")))
    assert plain == bare[:columns]
    assert cut.count("\x1b[") == 0 or cut.rfind("\x1b[0m") == cut.rfind("\x1b[")


def test_it_draws_on_a_terminal_and_q_leaves(running: Any) -> None:
    child, terminal = pty.fork()
    if child == 0:
        program = "import sys; from hedgegridd.control.cli import main; main()"
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "150", "LINES": "50"}
        os.execve(sys.executable, [sys.executable, "-c", program, "--socket", str(running.path), "watch"], env)
    seen = b""
    try:
        deadline = time.monotonic() + 90
        while b"BTCUSDT" not in seen and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                seen += os.read(terminal, 65_536)
        os.write(terminal, b"q")
        while time.monotonic() < deadline:
            try:
                seen += os.read(terminal, 65_536)
            except OSError:  # the child closed its side
                break
    finally:
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
        code = os.waitpid(child, 0)[1]
    assert code == 0
    assert seen.startswith(b"\x1b[?1049h")
    assert seen.endswith(b"\x1b[?25h\x1b[?1049l")


def test_without_a_terminal_it_says_what_to_use(ctl: Any, running: Any) -> None:
    done = ctl("--socket", str(running.path), "watch")
    assert done.returncode == 2
    assert "status --json" in done.stderr
