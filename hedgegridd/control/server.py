"""The daemon's end of the socket. One law: nothing that comes in can crash it, and nobody's flood can slow another's verb.

Who may: reads for members of the socket's group, writes for root, the daemon's own user and members of the admin group; the
kernel says who the peer is, never the frame. The socket is made under another name, given its owner and mode, listened on,
and only then put in its place, so there is no moment when a stranger could open it.
Each connection does one frame, then lets the others go first; after a burst it pauses, so a flood leaves time for trading.
One that has said nothing yet costs a descriptor and no more. A slow reader, an idle connection and the one too many of a user
are dropped. What a verb means is the handler's affair.
"""

from __future__ import annotations

import asyncio
import grp
import os
import socket
import stat
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from loguru import logger

from hedgegridd import paths
from hedgegridd.control import protocol
from hedgegridd.control.protocol import MAX_FRAME, NO_REPLY, READ, VERBS, Fault, Request, Verb, failure
from hedgegridd.errors import AlreadyRunning, ConfigError, HedgegriddError, Problem, Refused, StateError

Handle = Callable[[str, dict[str, Any], str], Awaitable[dict[str, Any]]]

SOCKET_MODE = 0o660
PER_USER, IN_ALL = 16, 128  # connections
IDLE_SECONDS, SLOW_SECONDS, LAST_WORD_SECONDS = 300.0, 5.0, 1.0
AT_ONCE = 32  # accepted in one turn of the loop
WAITING = 64  # in the kernel's queue, where a client waits for a place: a longer one would keep a person behind a crowd for longer
REST_SECONDS = 0.1  # where no descriptor is left, and none to take back
BURST, BREATH_SECONDS = 32, 0.001  # frames of one connection in a row, and the pause after them
_PEERGROUPS = 59  # SO_PEERGROUPS, which `socket` does not name


class Peer(NamedTuple):
    """Who is at the other end, by the kernel's word."""

    pid: int
    uid: int
    groups: frozenset[int]
    actor: str  #: "uid=1000(name)"


class Server:
    """The control socket of one daemon. `handle(verb, params, actor)` answers a verb with the JSON body of its result.

    `group` owns the socket (default: the daemon's own); `state_dir` is pointed at beside the socket.
    """

    def __init__(self, path: str | Path, handle: Handle, *, admin_group: str = "", group: str = "", state_dir: str | Path = "") -> None:
        self.path, self.handle = Path(path), handle
        self._admins = _group_id("daemon.admin_group", admin_group)
        self._group = _group_id("daemon.group", group)
        self._state_dir = str(state_dir)
        self._door: socket.socket | None = None
        self._inode = (0, 0)
        self._silent: dict[socket.socket, _Silent] = {}  # connected, and nothing said; the first has been so longest
        self._connections: list[_Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many are connected now."""
        return len(self._silent) + len(self._connections)

    async def start(self) -> None:
        """Bind and listen. AlreadyRunning where another daemon answers there; StateError where the path cannot be used."""
        found = _kind_of(self.path)
        if found == "other":
            raise StateError(f"{self.path}: expected a socket or nothing, found something else; move it away or set daemon.socket")
        if found == "socket" and _answers(self.path):
            raise AlreadyRunning(f"{self.path}: another hedgegridd answers there; for one beside it name a --socket and a --state-dir")
        await self._listen()

    async def ensure(self) -> bool:
        """Make the socket again if somebody removed it or left a dead one in its place. True = it is there and ours."""
        for line in [line for line, one in self._silent.items() if time.monotonic() - one.since > IDLE_SECONDS]:
            self._hang_up(line)
        if self._ours():
            return True
        found = _kind_of(self.path)
        if found == "other" or (found == "socket" and _answers(self.path)):
            return False
        try:
            await self._listen()
        except (OSError, StateError) as err:
            logger.error("control socket {} cannot be made again: {}", self.path, err)
            return False
        return True

    async def close(self) -> None:
        """Stop listening, hang up on everybody, remove our own socket. The pointer to the state directory stays for the client."""
        self._shut(self._door)
        self._door = None
        for line in list(self._silent):
            self._hang_up(line)
        busy = [connection.task for connection in self._connections if connection.busy]
        if busy:
            await asyncio.wait(busy, timeout=LAST_WORD_SECONDS)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._ours():
            self.path.unlink()

    async def _listen(self) -> None:
        try:
            bound = self._bind()
        except OSError as err:
            raise StateError(f"{self.path}: {err.strerror or err}") from err
        old, self._door = self._door, bound
        asyncio.get_running_loop().add_reader(bound, self._knocked, bound)
        self._shut(old)

    @staticmethod
    def _shut(door: socket.socket | None) -> None:
        if door is not None:
            asyncio.get_running_loop().remove_reader(door)
            door.close()

    def _bind(self) -> socket.socket:
        """A listening socket at our path: bound beside it, then owned, then listening, then in place."""
        stage = self.path.with_name(f".{os.getpid()}.new")
        if len(os.fsencode(self.path)) > 107:
            raise StateError(f"{self.path}: a socket's path has at most 107 bytes; set daemon.socket")
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        stage.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            bound.bind(str(stage))
            if self._group >= 0:
                os.chown(stage, -1, self._group)
            stage.chmod(SOCKET_MODE)
            bound.listen(WAITING)
            found = stage.lstat()
            stage.replace(self.path)
        except BaseException:
            bound.close()
            stage.unlink(missing_ok=True)
            raise
        self._inode = (found.st_dev, found.st_ino)
        if self._state_dir:
            with suppress(OSError):  # a help for the client, no more
                paths.point(str(self.path), self._state_dir)
        return bound

    def _ours(self) -> bool:
        try:
            found = self.path.lstat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._inode

    # --- connections ----------------------------------------------------------------------------------------------------

    def _knocked(self, door: socket.socket) -> None:
        """Let in who waits; the loop calls again while somebody does."""
        for _ in range(AT_ONCE):
            try:
                line, _ = door.accept()
            except BlockingIOError:
                return
            except OSError:  # mostly no descriptor is left
                self._find_room(door)
                return
            line.setblocking(False)
            self._let_in(line, _peer(line))

    def _find_room(self, door: socket.socket) -> None:
        """Take a descriptor back from who says nothing, or else knock again later."""
        if self._silent:
            self._hang_up(next(iter(self._silent)))
        elif idle := [connection for connection in self._connections if not (connection.busy or connection.dropped)]:
            min(idle, key=lambda connection: connection.last).drop()
        else:
            loop = asyncio.get_running_loop()
            loop.remove_reader(door)
            loop.call_later(REST_SECONDS, lambda: door is self._door and loop.add_reader(door, self._knocked, door))

    def _let_in(self, line: socket.socket, peer: Peer) -> None:
        self._make_room(peer)
        if self.connections >= IN_ALL and not self.may_write(peer):
            with suppress(OSError):
                line.send(failure(None, protocol.BUSY, f"busy: {IN_ALL} connections"))
            line.close()
            return
        self._silent[line] = _Silent(peer, time.monotonic())
        if _has_said(line):
            self._spoke(line)
        else:
            asyncio.get_running_loop().add_reader(line, self._spoke, line)

    def _spoke(self, line: socket.socket) -> None:
        """Its first bytes, or its end, are there: from now on a task attends to it."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(line)
        task = loop.create_task(self._attend(line, self._silent.pop(line).peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: line.close())  # also of one that was cancelled before it began

    async def _attend(self, line: socket.socket, peer: Peer) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=line, limit=MAX_FRAME - 1)
        connection = _Connection(self, reader, writer, peer)
        self._make_room(peer)  # again: others may have come meanwhile
        self._connections.append(connection)
        try:
            await connection.serve()
        finally:
            self._connections.remove(connection)
            connection.drop()

    def _hang_up(self, line: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(line)
        del self._silent[line]
        line.close()

    def _make_room(self, peer: Peer) -> None:
        """One user cannot take every place: beyond its share who said nothing goes first, then who is idle longest. So nobody keeps
        another from `activate`."""
        silent = [line for line, one in self._silent.items() if one.peer.uid == peer.uid]
        same = [connection for connection in self._connections if connection.peer.uid == peer.uid and not connection.dropped]
        if len(silent) + len(same) < PER_USER:
            return
        if silent:
            self._hang_up(silent[0])
        else:
            min(same, key=lambda connection: (connection.busy, connection.last)).drop()

    def may_read(self, peer: Peer) -> bool:
        """Members of the socket's group, and whoever may write."""
        group = self._group if self._group >= 0 else os.getegid()
        return group in peer.groups or self.may_write(peer)

    def may_write(self, peer: Peer) -> bool:
        """Root, the daemon's own user, members of the admin group."""
        return peer.uid in (0, os.geteuid()) or self._admins in peer.groups

    async def answer(self, line: bytes, peer: Peer) -> bytes:
        """The reply to one frame, b"" where none is wanted. Raises nothing but cancellation."""
        ident: Any = None
        try:
            request = protocol.parse(line)
            ident = request.ident
            verb = self._allowed(request, peer)
            result = await self.handle(verb.name, request.params, peer.actor)
            reply = protocol.success(request, result)
        except Fault as fault:
            reply = failure(fault.ident if ident is None else ident, fault.code, str(fault))
        except Refused as err:
            reply = failure(ident, protocol.REFUSED, str(err))
        except HedgegriddError as err:
            reply = failure(ident, protocol.FAILED, str(err))
        except Exception as err:  # the fence around handlers: a broken verb must not take the socket with it
            logger.opt(exception=True).error("verb failed: {}", err)
            reply = failure(ident, protocol.INTERNAL, f"internal error, see the log: {type(err).__name__}: {err}")
        return b"" if ident is NO_REPLY else reply

    def _allowed(self, request: Request, peer: Peer) -> Verb:
        verb = VERBS.get(request.verb)
        if verb is None or verb.right == protocol.LOCAL:
            hint = protocol.did_you_mean(request.verb, VERBS)
            raise Fault(protocol.NO_SUCH_VERB, f"no verb {request.verb[:40]!r}{hint}")
        if not (self.may_read(peer) if verb.right == READ else self.may_write(peer)):
            raise Fault(protocol.FORBIDDEN, f"{peer.actor} may not {protocol.spoken(verb.name)}: {_WHO_MAY[verb.right]}")
        wrong = protocol.problem(verb, request.params)
        if wrong:
            raise Fault(protocol.BAD_PARAMS, wrong)
        return verb


_WHO_MAY = {
    READ: "reads are for the socket's group",
    protocol.WRITE: "writes are for root, the daemon's own user and members of daemon.admin_group",
}


class _Silent(NamedTuple):
    """Who is connected and has said nothing, and since when."""

    peer: Peer
    since: float


class _Connection:
    """One peer's line: frames in turn, one at a time."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        self.server, self.reader, self.writer, self.peer = server, reader, writer, peer
        self.last, self.busy, self.dropped = time.monotonic(), False, False
        task = asyncio.current_task()
        assert task is not None  # made inside the accepting task
        self.task = task

    async def serve(self) -> None:
        """Answer until the peer hangs up, idles or stops reading."""
        served = 0
        with suppress(OSError, TimeoutError, EOFError):
            while not self.dropped:  # what it had said already is not served any more
                async with asyncio.timeout(IDLE_SECONDS):
                    line = await self._frame()
                self.last = time.monotonic()
                if line.strip():
                    await self._serve_one(line)
                served += 1
                await asyncio.sleep(0 if served % BURST else BREATH_SECONDS)

    async def _serve_one(self, line: bytes) -> None:
        self.busy = True
        try:
            await self._reply(await self.server.answer(line, self.peer))
        finally:
            self.busy = False

    def drop(self) -> None:
        """Hang up without waiting for anything to be sent. What it asked for last is done."""
        self.dropped = True
        self.writer.transport.abort()

    async def _reply(self, reply: bytes) -> None:
        self.writer.write(reply)
        async with asyncio.timeout(SLOW_SECONDS):
            await self.writer.drain()

    async def _frame(self) -> bytes:
        """The next line. One that is too long is answered, then skipped a piece at a time; a torn last one is nothing."""
        too_long = False
        while True:
            try:
                line = await self.reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as err:
                if not too_long:
                    await self._reply(failure(None, protocol.BAD_REQUEST, f"a frame has at most {MAX_FRAME} bytes"))
                too_long = True
                await self.reader.readexactly(err.consumed)
                await asyncio.sleep(0)
                continue
            if not too_long:
                return line
            too_long = False


# --- who is there -------------------------------------------------------------------------------------------------------


def _peer(line: socket.socket) -> Peer:
    pid, uid, gid = struct.unpack("iII", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid, frozenset((gid, *_more_groups(line))), f"uid={uid}{_name_of(uid)}")


def _has_said(line: socket.socket) -> bool:
    """Are its first bytes there, or its end?"""
    try:
        line.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:  # its end too
        return True
    return True


def _more_groups(line: socket.socket) -> tuple[int, ...]:
    """The peer's supplementary groups when it connected; none where the kernel cannot say (then only its own group counts)."""
    try:
        raw = line.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, 1024)
    except OSError:
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)


@lru_cache(256)
def _name_of(uid: int) -> str:
    """'(name)' from the local file, else ''. Not by `pwd`: a directory server that hangs must not stop the trading loop."""
    try:
        with Path("/etc/passwd").open(errors="replace") as file:
            return next((f"({row[0]})" for row in (line.split(":") for line in file) if len(row) > 2 and row[2] == str(uid)), "")
    except OSError:
        return ""


def _group_id(key: str, name: str) -> int:
    """-1 where no group is named."""
    if not name:
        return -1
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError([Problem(key, name, "a group of this machine")]) from None


def _kind_of(path: Path) -> str:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return "nothing"
    return "socket" if stat.S_ISSOCK(mode) else "other"


def _answers(path: Path) -> bool:
    """Does somebody listen there? A full or forbidden socket has an owner too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True
