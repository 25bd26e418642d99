"""The folder of a backtest: config, summary, metrics, environment and report beside what the recorder wrote.

One law: a rerun from `config.toml` gives every file again, but for `environment.json` and the seconds it took.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from hedgegridd import __version__
from hedgegridd.kernel.metrics import Metric
from hedgegridd.research.recorder import Table, number, quoted
from hedgegridd.savefile import save

METRICS = "group,name,value,unit,definition"
PACKAGES = ("numpy", "pyarrow", "numba", "llvmlite", "pluggy")


def write(folder: Path, job: Any, summary: dict[str, Any], rows: Iterable[Metric], feed: Any) -> None:
    """Everything that is written at the end."""
    save(folder / "config.toml", config_text(job), mode=0o644)
    results(folder, summary, rows)
    save(folder / "environment.json", json.dumps(environment(feed), indent=1) + "\n", mode=0o644)


def results(folder: Path, summary: dict[str, Any], rows: Iterable[Metric]) -> None:
    """What it came to."""
    save(folder / "summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n", mode=0o644)
    table = Table(folder / "metrics.csv", METRICS)
    for row in rows:
        value = "" if row.value is None else number(float(row.value))
        table.line(f"{row.group},{row.name},{value},{quoted(row.unit)},{quoted(row.definition)}")
    table.close()


def config_text(job: Any) -> str:
    """Every value in force; the folder it was written to is no part of the result."""
    import tomli_w

    return tomli_w.dumps(replace(job.config, backtest=replace(job.table, out="")).raw)


def environment(feed: Any) -> dict[str, Any]:
    """What it ran on, and the data by their hashes."""
    return {
        "hedgegridd": __version__,
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "files": [{"path": str(path), "bytes": path.stat().st_size, "sha256": _hash(path)} for path in files(feed)],
    }


def files(feed: Any) -> list[Path]:
    """The files of market data that a feed reads."""
    return sorted({path for tape in getattr(feed, "tapes", ()) for path in getattr(tape, "files", ())})


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
