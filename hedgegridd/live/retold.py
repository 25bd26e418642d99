"""An incident as the verb answers it: asked of `hedgegridd report incident` in a process of its own (`aside`), and fitted to a frame.

One law: nothing is left out in silence. Prices fill pages: they are left to the command that writes the page, and that is named.
"""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import Any

from hedgegridd.control.protocol import MAX_FRAME
from hedgegridd.errors import Refused
from hedgegridd.live.aside import aside, last_words

WITHIN_SECONDS = 30.0
FAR = ("timeline", "orders", "fills", "alerts", "other_trips")  #: lists that lose their far end where an incident is too long
ROOM = MAX_FRAME - 2_048  #: for what the frame says beside


async def retold(number: int | None, state: Path, within: float = WITHIN_SECONDS) -> dict[str, Any]:
    """One incident of the journal in `state`, or the list of all. Refused where that did not come about."""
    named = [] if number is None else [str(number)]
    said, complaint = await aside(["report", "incident", *named, "--state-dir", str(state.absolute()), "--json"], within, "incident report")
    try:
        document: dict[str, Any] = json.loads(said)
    except ValueError:
        raise Refused(last_words(complaint, "no incident report: it said nothing")) from None
    return document if number is None else fitted(document, state)


def fitted(document: dict[str, Any], state: Path) -> dict[str, Any]:
    """The document without its prices, `page` = the command that writes all of it as a page; `left_out` = rows by list."""
    command = f"hedgegridd report incident {document['id']} --state-dir {quote(str(state.absolute()))}"
    found = {**document, "prices": None, "page": command, "left_out": {}}
    while len(json.dumps(found)) > ROOM:
        name = max(FAR, key=lambda one: len(json.dumps(found[one])))
        rows = found[name]
        if not rows:
            break  # the protocol says that it is too long
        found[name] = rows[: len(rows) * 3 // 4]
        found["left_out"][name] = len(document[name]) - len(found[name])
    return found
