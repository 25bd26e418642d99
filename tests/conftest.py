"""For all tests: with HEDGEGRIDD_REQUIRE_ALL=1 a test that would be skipped fails.

So that a build that leaves out the systemd tests because something is not installed is red, not silently smaller. Four kinds of
skip stay skips: what needs the folder HEDGEGRIDD_SHARED where that is absent; a peer that a developer may install ("peers: ..."); what
takes root, where this is not root; and what root cannot try ("as root: ...", where the reason names the test that does it instead).
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

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
