"""Figures that tests measure: shown at the end of a run, kept where `HEDGEGRIDD_FIGURES` names a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIGURES: list[str] = []
_SAMPLES: dict[str, list[float]] = {}


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def note(what: str, seconds: Sequence[float]) -> None:
    """Remember some durations."""
    p50, p99, most = (f"{value * 1000:.1f}" for value in (percentile(seconds, 0.5), percentile(seconds, 0.99), max(seconds)))
    remark(f"{what}: p50 {p50} ms, p99 {p99} ms, most {most} ms, of {len(seconds)}")


def gather(what: str, seconds: float) -> None:
    """One duration of a kind that several tests measure; told together at the end."""
    _SAMPLES.setdefault(what, []).append(seconds)


def gathered() -> None:
    """Remember what was gathered."""
    for what, seconds in _SAMPLES.items():
        note(what, seconds)


def remark(line: str) -> None:
    """Remember a figure in words."""
    FIGURES.append(line)
    if os.environ.get("HEDGEGRIDD_FIGURES"):
        with Path(os.environ["HEDGEGRIDD_FIGURES"]).open("a") as file:
            file.write(f"{line}\n")


# --- from one process to another ------------------------------------------------------------------------------------------


def packed() -> dict[str, Any]:
    """What this process measured."""
    return {"lines": FIGURES, "samples": _SAMPLES}


def unpack(theirs: dict[str, Any]) -> None:
    """Add what another process measured."""
    FIGURES.extend(theirs["lines"])
    for what, seconds in theirs["samples"].items():
        _SAMPLES.setdefault(what, []).extend(seconds)
