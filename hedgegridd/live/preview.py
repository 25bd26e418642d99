"""What a breaker would have done lately, asked of `hedgegridd plugins try` in a process of its own (`aside`).

One law: it arms nothing and decides nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hedgegridd.errors import Refused
from hedgegridd.live.aside import aside, last_words

WITHIN_SECONDS = 5.0  #: what a person waits for gladly
GRACE_SECONDS = 3.0  #: to start and to end
KEPT = ("verdict", "from", "to", "whole", "asks", "unknowns", "errors", "ask_ms_p50", "ask_ms_p99", "trips", "near_misses", "peak",
        "effect", "notes")  # fmt: skip


async def preview(file: Path, name: str, state: Path, within: float = WITHIN_SECONDS) -> dict[str, Any]:
    """The newest part of the journal in `state` with the breaker looking on, in brief. Refused where that did not come about."""
    words = [
        "plugins",
        "try",
        str(file.absolute()),
        "--name",
        name,
        "--state-dir",
        str(state.absolute()),
        "--within",
        f"{within:g}",
        "--json",
    ]
    return brief(*await aside(words, within + GRACE_SECONDS, "preview"))


def brief(said: bytes, complaint: bytes) -> dict[str, Any]:
    """The document of a trial as a few figures. Refused where there is none."""
    try:
        document = json.loads(said)
    except ValueError:
        raise Refused(f"no preview: {last_words(complaint, 'the trial said nothing')}") from None
    run = next(iter(document["runs"]), None)
    if run is None:
        return {"ok": False, "verdict": f"does not load: {document['failed']}"}
    first = next(iter(run["told"]), None)
    told = None if first is None else {key: value for key, value in first.items() if key != "inputs"}
    return {"ok": document["ok"], **{key: run[key] for key in KEPT}, "first_trip": told}
