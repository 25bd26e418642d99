"""One daemon an account: a second hand on this machine is refused, whatever state directory it uses. One law: no file to leave behind.

The lease is a name in the kernel's abstract socket namespace, which ends with its process however that ends. Nobody answers there, but
the kernel tells whoever knocks which process listens, also where that one hangs: so `hedgegridd flatten` finds it. A second instance on
another machine is not seen here but by the orders it places (`heart.on_exchange`).
"""

from __future__ import annotations

import hashlib
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from hedgegridd.errors import AlreadyRunning
from hedgegridd.schema import Config

_KNOCKS = 128  # how often its holder may be asked for


class Holder(NamedTuple):
    """Who trades an account. `state`: its state directory, None where that cannot be seen."""

    pid: int
    uid: int
    state: Path | None


def take(exchange: str, key: str) -> socket.socket:
    """Hold the account with this API key for as long as the socket lives. AlreadyRunning where another process does."""
    lease = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lease.bind(_name(exchange, key))
        lease.listen(_KNOCKS)
    except OSError as error:
        lease.close()
        raise AlreadyRunning(
            "another hedgegridd on this machine trades this account: stop it first, whatever its state directory"
        ) from error
    return lease


def holder(exchange: str, key: str) -> Holder | None:
    """The process that holds this account; None where none does. Whether that process runs, hangs or is stopped makes no difference."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.setblocking(False)
        try:
            knock.connect(_name(exchange, key))
        except OSError:
            return None
        pid, uid, _ = struct.unpack("3i", knock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return Holder(pid, uid, state_of(pid))


def of(config: Config) -> socket.socket:
    """The lease of the account that this configuration trades."""
    return take(*_account(config))


def holder_of(config: Config) -> Holder | None:
    """Who holds the account that this configuration trades."""
    return holder(*_account(config))


def state_of(pid: int) -> Path | None:
    """The state directory whose journal this process has open: by what the kernel shows of it, so it need not answer."""
    try:
        opened = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # gone, or another user's
        return None
    return next((Path(name).parents[1] for name in opened if name.endswith("/journal/lock")), None)


def _account(config: Config) -> tuple[str, str]:
    table = config.exchange.other or {key: getattr(config.exchange.binance, key) for key in ("rest_url", "api_key")}
    return f"{config.exchange.name} {table.get('rest_url', '')}", str(table.get("api_key", ""))


def _name(exchange: str, key: str) -> str:
    return f"\0hedgegridd-account-{hashlib.sha256(f'{exchange}|{key}'.encode()).hexdigest()[:32]}"
