"""The client's end of the socket. One law: an answer in time, or `Unreachable`; never a wait without end.

It speaks JSON-RPC over the C-level `_socket` and reads and writes JSON with the C half of `json` alone, because a person who
wants to stop a machine should not wait for imports. It does not know what a verb means, and never writes a file.
"""

from __future__ import annotations

import _socket
import time

from hedgegridd.control.protocol import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_ANSWER = 16 << 20  # bytes; a daemon keeps to protocol.MAX_FRAME, but a longer answer is still an answer


class Unreachable(Exception):
    """No daemon answers. `forbidden`: there is a socket, but the caller may not open it.

    Beside the error tree, like `Fault`: that tree costs more to import than all the rest of a call.
    """

    def __init__(self, text: str, forbidden: bool = False) -> None:
        super().__init__(text)
        self.forbidden = forbidden


class Client:
    """One connection to a daemon, made at the first call and again after a failure."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._line: _socket.socket | None = None
        self._rest = b""
        self._calls = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, verb: str, params: dict[str, Any], patience: float) -> dict[str, Any]:
        """Ask, and wait at most `patience` seconds for the result. Raises Unreachable, or protocol's Fault with the daemon's error."""
        deadline = time.monotonic() + patience
        self._calls += 1
        frame = dumps({"jsonrpc": "2.0", "id": self._calls, "method": verb, "params": params}) + "\n"
        try:
            line = self._line or self._connect(deadline)
            line.settimeout(_left(deadline))
            line.sendall(frame.encode())
            while True:
                answer = loads(self._read(line, deadline))
                if isinstance(answer, dict) and answer.get("id") in (self._calls, None):
                    return _result(answer)
        except Fault:
            raise
        except PermissionError as err:
            self.close()
            raise Unreachable(f"{self.path}: {err.strerror}; only its group may ask, see 'ls -l', or use sudo", forbidden=True) from None
        except TimeoutError:
            self.close()
            raise Unreachable(f"{self.path}: no answer within {patience:g} s, the daemon hangs or is stopped") from None
        except OSError as err:
            self.close()
            raise Unreachable(f"{self.path}: {err.strerror or err}") from None
        except ValueError as err:
            self.close()
            raise Unreachable(f"{self.path}: this is no hedgegridd, it answered {err}") from None

    def close(self) -> None:
        """Hang up; the next call connects again."""
        if self._line is not None:
            self._line.close()
        self._line, self._rest = None, b""

    def _connect(self, deadline: float) -> _socket.socket:
        line = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            line.settimeout(_left(deadline))
            try:
                line.connect(self.path)
            except BlockingIOError:  # so many knock that the kernel's queue is full, which a connect with a timeout does not wait for
                _queue_up(line, self.path, deadline)
        except BaseException:
            line.close()
            raise
        self._line = line
        return line

    def _read(self, line: _socket.socket, deadline: float) -> bytes:
        parts, size = [self._rest], len(self._rest)
        while b"\n" not in parts[-1]:
            line.settimeout(_left(deadline))
            part = line.recv(65_536)
            if not part:
                raise OSError("the daemon hung up before it answered")
            size += len(part)
            if size > MAX_ANSWER:
                raise ValueError(f"more than {MAX_ANSWER >> 20} MiB")
            parts.append(part)
        frame, _, self._rest = b"".join(parts).partition(b"\n")
        return frame


def _queue_up(line: _socket.socket, path: str, deadline: float) -> None:
    """Connect when there is room, or raise TimeoutError."""
    from struct import pack  # rare

    left = _left(deadline)
    line.settimeout(None)
    line.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, pack("@ll", int(left), int(left % 1 * 1e6)))
    try:
        line.connect(path)
    except BlockingIOError:
        raise TimeoutError from None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    error = answer.get("error")
    if isinstance(error, dict):
        raise Fault(int(error.get("code", 0)), str(error.get("message", "no reason given")))
    result = answer.get("result")
    if not isinstance(result, dict):
        raise ValueError("without a result")
    return result


# --- JSON with the C half of `json` only: the other half imports `re` and costs more than the whole call ------------------


class _Plain:
    """What the C scanner wants to know."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int = float, int
    parse_constant = staticmethod(float)


def loads(frame: bytes) -> Any:
    """One JSON value; ValueError where it is none."""
    text = frame.decode().strip(" \t\r\n")
    try:
        from _json import make_scanner
    except ImportError:  # another Python than CPython
        import json

        return json.loads(text)
    try:
        value, end = make_scanner(_Plain)(text, 0)  # type: ignore[arg-type]
    except (StopIteration, RecursionError):
        raise ValueError(repr(text[:40])) from None
    if end != len(text):
        raise ValueError(repr(text[:40]))
    return value


def dumps(value: Any, indent: str = "") -> str:
    """JSON text of plain data, on one line, or indented where `indent` is a newline and the margin. What JSON lacks is null."""
    if isinstance(value, str):
        return _quote(value)
    if value is None or value != value or value in (_INF, -_INF):
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, dict):
        deeper = indent and f"{indent}  "
        return _wrap("{}", [f"{_quote(str(key))}: {dumps(item, deeper)}" for key, item in value.items()], indent)
    if isinstance(value, (list, tuple)):
        deeper = indent and f"{indent}  "
        return _wrap("[]", [dumps(item, deeper) for item in value], indent)
    return repr(value)


_INF = float("inf")


def _wrap(ends: str, items: list[str], indent: str) -> str:
    if not indent or not items:
        return f"{ends[0]}{', '.join(items)}{ends[1]}"
    return f"{ends[0]}{indent}  {f',{indent}  '.join(items)}{indent}{ends[1]}"


def _quote(text: str) -> str:
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json.encoder import encode_basestring_ascii
    return encode_basestring_ascii(text)
