"""What tests of the journal count: shown at the end of a run, kept where `HEDGEGRIDD_FIGURES` names a file (as journeys do)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LINES: list[str] = []


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
    """Show what was counted."""
    for line in LINES:
        terminalreporter.write_line(f"measured: {line}")
