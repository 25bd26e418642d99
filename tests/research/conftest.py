"""What tests of research measure: shown at the end of a run, kept where `HEDGEGRIDD_FIGURES` names a file (as journeys do)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LINES: list[str] = []
IN_CI = 150
FIRST_SEED = 100_000


def pytest_addoption(parser: Any) -> None:
    """`--cases N`: how many random backtests both engines play; `--first-case S`: from which on."""
    parser.addoption("--cases", type=int, default=int(os.environ.get("HEDGEGRIDD_CASES", IN_CI)), help="random backtests for parity")
    parser.addoption("--first-case", type=int, default=FIRST_SEED, help="of the first of them, so that several runs can share the work")


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    """The random backtests to play."""
    first = int(request.config.getoption("--first-case", FIRST_SEED))
    return range(first, first + int(request.config.getoption("--cases", int(os.environ.get("HEDGEGRIDD_CASES", IN_CI)))))


@pytest.fixture
def measured() -> Callable[[str], None]:
    """Remember a figure in words."""

    def remark(line: str) -> None:
        LINES.append(line)
        if os.environ.get("HEDGEGRIDD_FIGURES"):
            with Path(os.environ["HEDGEGRIDD_FIGURES"]).open("a") as file:
                file.write(f"{line}\n")

    return remark


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what was measured."""
    for line in LINES:
        terminalreporter.write_line(f"measured: {line}")
