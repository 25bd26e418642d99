"""`hedgegridd plugins`: every plugin file there is, whether it would be loaded and why not, without a daemon.

One law: it goes the daemon's own way. Shipped files are imported as the daemon imports them; each foreign file is vetted, and run
in a plugin host of its own until that says what the file registers. Nothing is armed and no account is looked at.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from hedgegridd.config import load
from hedgegridd.live.pluginfolder import PluginFolder
from hedgegridd.live.start import plugin_folders, plugin_tables
from hedgegridd.plugins import Registry, load_exchange, load_shipped, plugin_files
from hedgegridd.schema import Config

UNSETTLED = frozenset({"starting", "restarting"})
PATIENCE_SECONDS = 20.0  # three deaths with their back-off, the slowest a hello can be, and some more


def table(config_path: Path) -> list[dict[str, str]]:
    """Rows {name, kind, file, state, reason}: shipped files first, then the foreign ones. ConfigError where there is no configuration."""
    config, registry = load(config_path), load_shipped()
    if wrong := load_exchange(config.exchange.file, config_path.parent, registry):
        registry.refused[Path(config.exchange.file)] = wrong
    return asyncio.run(_rows(config, registry, plugin_folders(config, config_path)))


async def _rows(config: Config, registry: Registry, folders: list[Path]) -> list[dict[str, str]]:
    """The shipped files, and what the hosts say of those in the folders once each has said it."""
    files = {str(path) for folder in folders for path in plugin_files(folder)}
    if not files:
        return registry.rows()
    watched = PluginFolder(
        folders,
        lambda _event: None,
        asyncio.get_running_loop(),
        registry=registry,
        settings=plugin_tables(config),
        deadline_seconds=config.daemon.plugin_deadline_seconds,
        memory_bytes=config.daemon.plugin_memory_mb << 20,
    )
    watched.start()
    try:
        for _ in range(int(PATIENCE_SECONDS / 0.01)):
            rows = watched.rows()
            if {row["file"] for row in rows} >= files and not any(row["state"] in UNSETTLED for row in rows):
                break
            await asyncio.sleep(0.01)
        return watched.rows()
    finally:
        await watched.close()
