"""One daemon an account: a second hand on this machine is refused, whatever state directory it uses. One law: no file to leave behind.

The lease is a name in the kernel's abstract socket namespace, which ends with its process however that ends. A second instance on
another machine is not seen here but by the orders it places (`heart.on_exchange`).
"""

from __future__ import annotations

import hashlib
import socket

from hedgegridd.errors import AlreadyRunning
from hedgegridd.schema import Config


def take(exchange: str, key: str) -> socket.socket:
    """Hold the account with this API key for as long as the socket lives. AlreadyRunning where another process does."""
    name = hashlib.sha256(f"{exchange}|{key}".encode()).hexdigest()[:32]
    lease = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lease.bind(f"\0hedgegridd-account-{name}")
    except OSError as error:
        lease.close()
        raise AlreadyRunning(
            "another hedgegridd on this machine trades this account: stop it first, whatever its state directory"
        ) from error
    return lease


def of(config: Config) -> socket.socket:
    """The lease of the account that this configuration trades."""
    table = config.exchange.other or {key: getattr(config.exchange.binance, key) for key in ("rest_url", "api_key")}
    return take(f"{config.exchange.name} {table.get('rest_url', '')}", str(table.get("api_key", "")))
