"""How many random backtests the tests of research play."""

from __future__ import annotations

import os
from typing import Any

import pytest

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
