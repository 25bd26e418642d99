"""`--seeds N`: how many seeded runs the simulation makes; `--first-seed S`: where it begins."""

from __future__ import annotations

import os
from typing import Any


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--seeds", type=int, default=int(os.environ.get("HEDGEGRIDD_SEEDS", "0")), help="seeded runs, 0 = as many as CI makes")
    parser.addoption("--first-seed", type=int, default=0, help="the first seed")
