"""For all tests: what was measured is told at the end, and with HEDGEGRIDD_REQUIRE_ALL=1 a test that would be skipped fails.

The latter so that a build that leaves out the systemd tests because something is not installed is red, not silently smaller. Four kinds of
skip stay skips: what needs the folder HEDGEGRIDD_SHARED where that is absent; a peer that a developer may install ("peers: ..."); what
takes root, where this is not root; and what root cannot try ("as root: ...", where the reason names the test that does it instead).

Under pytest-xdist (`.ci/run` has two processes) each process takes a file at a time, but a single test of those that take long and
share nothing, and a whole folder where that saves work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import Any

import figures
import pytest

#: What takes long comes first, so that no process waits long for the other at the end.
LONG_FIRST = ("tests/systemd/", "tests/research/", "tests/simulation/", "tests/journeys/", "tests/peers/", "tests/bench/")
APART = ("tests/journeys/", "tests/simulation/")  # each test has a world of its own
SHARING = ("tests/journeys/test_try.py", "tests/simulation/test_network.py")  # but these share what is made once
#: One private systemd at a time takes enough of the machine; and what research compiles is compiled once, and kept on the disk.
TOGETHER = ("tests/systemd/", "tests/research/")

REQUIRE_ALL = os.environ.get("HEDGEGRIDD_REQUIRE_ALL") == "1"
EXCUSED = ("HEDGEGRIDD_SHARED", "peers:", "as root:" if os.geteuid() == 0 else "root")


def required(report: Any) -> None:
    """Turn a skip into a failure, unless it is excused."""
    if not (REQUIRE_ALL and report.skipped) or hasattr(report, "wasxfail"):
        return
    where = report.longrepr if isinstance(report.longrepr, tuple) else (report.nodeid, 0, str(report.longrepr))
    if not any(word in where[2] for word in EXCUSED):
        report.outcome = "failed"
        report.longrepr = f"{where[0]}:{where[1]}: HEDGEGRIDD_REQUIRE_ALL=1 and {where[2]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    report = yield
    required(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    required(report)
    return report


# --- figures --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def measured() -> Callable[[str], None]:
    """Remember a figure in words: it is told at the end."""
    return figures.remark


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    figures.gathered()
    for line in figures.FIGURES:
        terminalreporter.write_line(f"measured: {line}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several hands its figures to the first."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["measured"] = figures.packed()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    figures.unpack(getattr(node, "workeroutput", {}).get("measured", {"lines": [], "samples": {}}))


# --- several processes ----------------------------------------------------------------------------------------------------


def share_of(test: str) -> str:
    """The tests that one process takes at a time, named by this test's id."""
    file = test.partition("::")[0]
    folder = next((folder for folder in TOGETHER if file.startswith(folder)), "")
    return folder or (test if file.startswith(APART) and file not in SHARING else file)


def place_of(test: str) -> int:
    """Where in a run it comes."""
    return next((place for place, folder in enumerate(LONG_FIRST) if test.startswith(folder)), len(LONG_FIRST))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Shares(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return share_of(nodeid)

    config.option.loadscopereorder = False
    return Shares(config, log)
