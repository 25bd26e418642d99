"""Reload: validate, compare, swap between two events. One law: a failure leaves the old configuration as it was.

The new heart takes over the old one's whole state, so orders that are still wished keep their exchange ids, and the journal goes
on in a new segment that opens with the new configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hedgegridd.config import load
from hedgegridd.errors import ConfigError, Refused, StateError
from hedgegridd.heart.build import build
from hedgegridd.heart.engine import Engine
from hedgegridd.live import log
from hedgegridd.live.survey import as_kept
from hedgegridd.schema import Config

if TYPE_CHECKING:
    from hedgegridd.live.daemon import Daemon
    from hedgegridd.plugins import Registry

PATIENCE_MS = 10_000  # how long to wait for a moment between two events
FIXED = ("mode", "exchange", "feed", "daemon", "journal")  # what a running daemon cannot change under itself


Checkpoint = Callable[[Config, Engine, Any], dict[str, Any]]


async def reload(
    daemon: Daemon, old: Config, registry: Registry, path: Path, actor: str, checkpoint: Checkpoint
) -> tuple[dict[str, Any], Config]:
    """Read the file again and put it in force; answers which tables changed. Raises Refused with every problem at once."""
    from hedgegridd.check import refuse

    try:
        new = as_kept(load(path), {"config": old.raw})
        refuse(new, registry)
    except ConfigError as error:
        raise Refused(f"the old configuration stays: {error}") from error
    before, after = old.raw, new.raw
    changed = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    fixed = [key for key in changed if key in FIXED]
    if fixed:
        raise Refused(f"the old configuration stays: {', '.join(fixed)} can only change with a restart")
    symbols = {item.symbol for item in new.instrument}
    if symbols != set(daemon.engine.desks):
        raise Refused("the old configuration stays: instruments are added and removed with a restart")
    for _ in range(PATIENCE_MS):
        if not daemon.busy:
            break
        await asyncio.sleep(0.001)
    else:
        raise Refused("the old configuration stays: the disk does not take the journal")
    try:
        swap(daemon, new, registry, checkpoint)
    except (OSError, StateError) as error:
        raise Refused(f"the old configuration stays: {error}") from error
    log.event("WARNING", f"configuration reloaded by {actor}: {', '.join(changed) or 'nothing changed'}")
    return {"changed": changed}, new


def swap(daemon: Daemon, config: Config, registry: Registry, checkpoint: Checkpoint) -> None:
    """Put a new heart in the old one's place, with all the old one knew."""
    old, feed = daemon.engine, daemon.feed
    engine = build(config, registry, carries=feed.carries, cadence_ms=feed.cadence_ms)
    engine.take_over(old)
    daemon.adopt(engine, checkpoint(config, engine, feed))
