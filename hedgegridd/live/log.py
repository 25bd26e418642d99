"""The log: one line for people, fields for machines. One law: a registered secret never leaves, whatever text it hides in.

Under systemd each record goes to journald with native fields (`HEDGEGRIDD_SYMBOL`, `MESSAGE_ID`, ...); elsewhere it is a line on
standard error, in UTC and saying so, coloured on a terminal. A log that cannot be written never stops trading: lines are
counted and given up. It is text only; what must be remembered is in the journal of acts.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO
from urllib.parse import quote

from loguru import logger

from hedgegridd.model import Leg, Level, Role, Side

if TYPE_CHECKING:
    from loguru import Message, Record

JOURNAL_SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "hedgegridd"
MESSAGE_LIMIT = 64 * 1024  # bytes of MESSAGE; journald refuses datagrams of some MB
FIELD_LIMIT = 8 * 1024
PATIENCE_SECONDS = 0.2  # for a journald that is behind; after one failure the log waits no more until it answers
SHORTEST_SECRET = 4  # anything shorter is no secret, and hiding it would only make the log unreadable
LONG_PART = 16  # a line of a key, a part of an address: long enough to be a secret by itself
MASK = "***"

#: For `journalctl MESSAGE_ID=...`; never change one, people's searches rest on them.
MESSAGE_IDS = {
    "kill": "5d1c2a9be43f4f0f9c0b6de7a5f1c801",
    "trip": "a3f4e1d07c5b4b7a8f2d9160c4be3702",
    "flat": "0e9b7c52d6184a3db1f07a86e5c29403",
    "unprotected": "c86f30ab914e4d2794d5e2b7f01a6804",
}
_PRIORITIES = ((50, 2), (40, 3), (30, 4), (20, 6))  # loguru's level number at least -> syslog priority; 25 is SUCCESS
_SUCCESS, _NOTICE, _DEBUG = 25, 5, 7
_LINE = "<dim>{time:YYYY-MM-DD HH:mm:ss.SSS!UTC} UTC</dim> <level>{level: <8}</level> {message}"
_NOT_NAME = re.compile(r"[^A-Z0-9_]")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), 127)}  # all but tab and newline
_DEBUG_NUMBER = 10
_DRESSES: tuple[Callable[[str], str], ...] = (
    lambda text: quote(text, safe=""),
    lambda text: json.dumps(text)[1:-1],
    lambda text: repr(text)[1:-1],
)
_secrets: re.Pattern[str] | None = None
_level = _DEBUG_NUMBER


# --- secrets ------------------------------------------------------------------------------------------------------------


def _disguises(secret: str) -> set[str]:
    """A secret as it may appear: plain, in a URL, in JSON, in a repr, in one of these in another; each long line of it; and of an
    address what a server sees of it, which its error pages show: the path, and each long part of it."""
    shapes = {secret.strip(), *(line for line in secret.split("\n") if len(line) >= LONG_PART)}
    if "://" in secret:
        path = secret.strip().split("://", 1)[1].partition("/")[2]
        shapes |= {part for part in (path, *re.split(r"[/?&=#]", path)) if len(part) >= LONG_PART}
    for _ in range(2):
        shapes |= {dress(shape) for shape in shapes for dress in _DRESSES}
    return shapes


def register(secrets: Iterable[str]) -> None:
    """From now on these values are replaced wherever they appear; those registered before are forgotten."""
    global _secrets
    shapes = {shape for secret in secrets if len(secret.strip()) >= SHORTEST_SECRET for shape in _disguises(secret)}
    _secrets = re.compile("|".join(re.escape(shape) for shape in sorted(shapes, key=len, reverse=True))) if shapes else None


def hide(text: str) -> str:
    """The text with every registered secret replaced."""
    return _secrets.sub(MASK, text) if _secrets else text


# --- journald -----------------------------------------------------------------------------------------------------------


def under_journald(environ: Mapping[str, str] = os.environ, fd: int = 2) -> bool:
    """Is this file descriptor the stream that systemd connected to journald?"""
    try:
        stat = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM", "") == f"{stat.st_dev}:{stat.st_ino}"


def priority(number: int) -> int:
    """Syslog priority of a loguru level number."""
    if number == _SUCCESS:
        return _NOTICE
    return next((syslog for least, syslog in _PRIORITIES if number >= least), _DEBUG)


def _plain(value: object) -> str:
    if isinstance(value, IntEnum):
        return value.name.lower()
    return json.dumps(value, default=str) if isinstance(value, list | tuple | dict) else str(value)


def _cut(text: str, limit: int) -> bytes:
    raw = text.encode(errors="replace")
    return raw if len(raw) <= limit else raw[:limit].decode(errors="ignore").encode()


def _field(name: str, value: str, limit: int = FIELD_LIMIT) -> bytes:
    raw = _cut(value, limit)
    if b"\n" in raw:
        return name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"
    return name.encode() + b"=" + raw + b"\n"


def datagram(text: str, record: Record, identifier: str = IDENTIFIER) -> bytes:
    """One record in journald's native form: `text` is the message with its traceback, `extra` becomes HEDGEGRIDD_* fields."""
    extra: dict[str, Any] = dict(record["extra"])
    message_id = extra.pop("message_id", None)
    parts = [
        _field("MESSAGE", hide(text), MESSAGE_LIMIT),
        _field("PRIORITY", str(priority(record["level"].no))),
        _field("SYSLOG_IDENTIFIER", identifier),
        _field("LOGGER", record["name"] or ""),
        _field("CODE_FILE", record["file"].path),
        _field("CODE_LINE", str(record["line"])),
        _field("CODE_FUNC", record["function"]),
    ]
    if message_id:
        parts.append(_field("MESSAGE_ID", MESSAGE_IDS.get(message_id, message_id)))
    parts += [_field(_name(key), hide(_plain(value))) for key, value in extra.items() if value is not None]
    return b"".join(parts)


def _name(key: str) -> str:
    return ("HEDGEGRIDD_" + _NOT_NAME.sub("_", key.upper()))[:64]


class JournalSink:
    """Sends records to journald. `lost` counts lines given up since it last answered."""

    def __init__(self, path: str = JOURNAL_SOCKET, identifier: str = IDENTIFIER) -> None:
        self.path, self.identifier, self.lost = path, identifier, 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def write(self, message: Message) -> None:
        """loguru calls it with each record."""
        if self._send(datagram(str(message).rstrip("\n"), message.record, self.identifier)) and self.lost:
            note, self.lost = f"{self.lost} log lines were lost while journald did not answer", 0
            self._send(_field("MESSAGE", note) + b"PRIORITY=4\n" + _field("SYSLOG_IDENTIFIER", self.identifier))

    def _send(self, payload: bytes) -> bool:
        self._socket.settimeout(0.0 if self.lost else PATIENCE_SECONDS)
        try:
            self._socket.sendto(payload, self.path)
        except OSError:  # hung, or being restarted
            self.lost += 1
            return False
        return True

    def stop(self) -> None:
        """loguru calls it when the sink is removed."""
        self._socket.close()


# --- set-up -------------------------------------------------------------------------------------------------------------


class _Stream:
    """Lines on a stream; one that is closed or full is no reason to stop."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, message: Message) -> None:
        try:
            self.stream.write(hide(str(message)))
            self.stream.flush()
        except (OSError, ValueError):  # nobody reads it, or the disk is full: the journal of acts is elsewhere
            pass


class _FromLogging(logging.Handler):
    """What libraries say through the standard library's logging, so that it is masked and has a priority too."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception as error:  # a fence: a library's own log call is wrong
            text = f"unreadable log record: {type(error).__name__}"
        level = record.levelname if record.levelname in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL") else record.levelno
        logger.bind(library=record.name).opt(exception=record.exc_info).log(level, text)


def _clean(record: Record) -> None:
    record["message"] = record["message"].translate(_CONTROL)


def setup(level: str = "INFO", secrets: Iterable[str] = (), *, stream: TextIO | None = None) -> None:
    """Where the log goes and from which level on. May be called again; `stream` (default standard error) is where lines go
    when not under journald. `secrets` are values never to be shown."""
    global _level
    register(secrets)
    _level = logger.level(level.upper()).no
    target = stream or sys.stderr
    native = stream is None and under_journald()
    sink = JournalSink() if native else _Stream(target)
    logger.remove()
    logger.configure(patcher=_clean, extra={})
    # diagnose would print the values of variables in tracebacks; catch would print whole records when a sink fails.
    logger.add(
        sink,
        level=level.upper(),
        format="{message}" if native else _LINE,
        colorize=not native and target.isatty() and not os.environ.get("NO_COLOR"),
        backtrace=False,
        diagnose=False,
        catch=False,
    )
    logging.basicConfig(handlers=[_FromLogging()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)


def event(level: str, message: str, /, message_id: str | None = None, **fields: Any) -> None:
    """One act that matters. `level` is INFO, WARNING, CRITICAL, ... (a `Severity` will do); `message_id` a key of MESSAGE_IDS;
    each field becomes HEDGEGRIDD_<FIELD> in journald, None = leave out. The message is for people: say there what they need."""
    bound = {**fields, "message_id": message_id} if message_id else fields
    logger.bind(**bound).opt(depth=1).log(str(level), message)


# --- acts of the journal ------------------------------------------------------------------------------------------------


class _Line(NamedTuple):
    """How an act is told: `text` is filled from its data."""

    level: str
    text: str
    message_id: str = ""


#: By kind, or by "kind:value" of the key in _SPLIT. What is not here is told at DEBUG. Units are those of the data given.
_ACTS = {
    "start": _Line("INFO", "started in mode {mode}"),
    "stopping": _Line("INFO", "stopping: {reason}"),
    "stop": _Line("INFO", "stopped"),
    "feed_end": _Line("INFO", "the feed is over"),
    "gap": _Line("WARNING", "gap in the data of {symbol}: openers withdrawn, warm-up again"),
    "kill:True": _Line("CRITICAL", "kill switch engaged at {level}: {reason} (source {source}, by {actor})", "kill"),
    "kill:False": _Line("WARNING", "kill switch released (was: {reason})", "kill"),
    "kill_phase": _Line("WARNING", "kill switch: {phase}"),
    "trip": _Line("CRITICAL", "breaker {name} tripped at {level}: {reason}", "trip"),
    "breaker": _Line("WARNING", "breaker {name}: {what}: {text}"),
    "rebased": _Line("WARNING", "breaker {name} re-based: was {old}, equity {equity} USDT"),
    "flatten": _Line("CRITICAL", "flatten started: {reason}"),
    "flat": _Line("CRITICAL", "flat: {reason} ({cancelled_orders} orders cancelled)", "flat"),
    "emergency_stop": _Line("CRITICAL", "{symbol} {leg} unprotected: emergency stop at {trigger} (0 = closed)", "unprotected"),
    "stranger": _Line("CRITICAL", "{symbol}: a fill that was not ours: {reason}"),
    "reconciled": _Line("WARNING", "reconciled with the exchange: {what}, {whose}"),
    "rejected": _Line("WARNING", "order {client_id} refused: {code} {reason}"),
    "withdrawn": _Line("WARNING", "order {client_id} withdrawn: {reason}"),
    "fill": _Line("INFO", "fill {symbol} {leg} {side} {qty} @ {price}, {role}{made}"),
    "funding": _Line("INFO", "funding {symbol} {leg}: {paid} USDT"),
    "transfer": _Line("INFO", "transfer: {amount} USDT"),
    "storage:True": _Line("WARNING", "the disk works again"),
    "storage:False": _Line("CRITICAL", "the disk failed, openers are withheld: {why}"),
    "plugin": _Line("INFO", "plugin {file}: {state} {reason}"),
    "stage": _Line("WARNING", "staged return: {stage}: {reason}"),
    "verb": _Line("INFO", "{actor} asked for {name}"),
    "refused": _Line("WARNING", "{name} refused: {reason}"),
}
_SPLIT = {"kill": "active", "storage": "ok"}
_ENUMS: dict[str, type[IntEnum]] = {"leg": Leg, "side": Side, "role": Role, "level": Level}
_WORDS = {key: {int(member): member.name.lower() for member in enum} for key, enum in _ENUMS.items()}
_BREAKER_ACTS = frozenset({"trip", "breaker", "rebased"})


class _Known(dict[str, Any]):
    """An act that lacks a key is still told."""

    def __missing__(self, key: str) -> str:
        return "?"


def worded(data: Mapping[str, Any]) -> dict[str, Any]:
    """An act with words for its leg, side, role and level."""
    return {key: _word(key, value) for key, value in data.items()}


def _word(key: str, value: Any) -> Any:
    return _WORDS[key].get(value, value) if key in _WORDS and isinstance(value, int) else value


def _in_words(data: Mapping[str, Any]) -> dict[str, str]:
    """What an act says of money and of whose it is, for its line: numbers as people read them."""
    said = {key: f"{value:,.10g}" for key, value in data.items() if isinstance(value, float)}
    made, amount = data.get("realized") or 0.0, data.get("amount") or 0.0
    said["made"] = f", realised {made:+,.4f} USDT" if made else ""
    said["paid"] = f"{'received' if amount < 0 else 'paid'} {abs(amount):,.4f}"
    said["whose"] = data.get("client_id") or f"{data.get('symbol', '?')} {data.get('leg', '?')}"
    return said


def tells(kind: str) -> bool:
    """Is an act of this kind told at all? Most acts of a trading day are not, and then nothing need be made ready for it."""
    return kind in _ACTS or kind in _SPLIT or _level <= _DEBUG_NUMBER


def act(kind: str, data: Mapping[str, Any]) -> None:
    """Tell an act of the journal, where it matters to people; its plain values become fields (`name` of a breaker: BREAKER)."""
    line = _ACTS.get(f"{kind}:{data.get(_SPLIT[kind])}" if kind in _SPLIT else kind)
    if line is None:
        if _level <= _DEBUG_NUMBER:
            event("DEBUG", f"{kind} {json.dumps(dict(data), default=str)}", act=kind)
        return
    known = _Known(worded(data))
    fields: dict[str, Any] = {key: value for key, value in known.items() if isinstance(value, str | int | float) and value != ""}
    known |= _in_words(known)
    if kind in _BREAKER_ACTS:
        fields["breaker"] = fields.pop("name", None)
    fields.setdefault("order_id", fields.get("client_id"))
    event(line.level, line.text.format_map(known), line.message_id or None, **{**fields, "act": kind})
