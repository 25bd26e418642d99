"""What goes over the socket: the frame and the verbs. One law: this table is the only list of verbs, for both ends.

    client  -> {"jsonrpc": "2.0", "id": 1, "method": "breakers.arm", "params": {"name": "spread", "reason": "tested"}}\\n
    server  -> {"jsonrpc": "2.0", "id": 1, "result": {"schema": 1, ...}}\\n
          or   {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "refused: ..."}}\\n

JSON-RPC 2.0, one object a line, at most `MAX_FRAME` bytes with its newline, both ways. `method` is the verb, its words joined
by a dot; `params` are the verb's long options. A list too long for a frame is cut and says `more: true`; `since` and `limit`
ask for the rest. What a verb does is not known here (live/handlers). Nothing here reads or writes.

Imported by the client on every call: no `typing`, no `json`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MAX_FRAME = 65_536
MAX_TEXT = 1_000  # characters of one text parameter
SCHEMA = 1

BAD_JSON, BAD_REQUEST, NO_SUCH_VERB, BAD_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
FAILED, REFUSED, FORBIDDEN, BUSY = -32000, -32001, -32003, -32004

READ, WRITE, LOCAL = "read", "write", "local"  # LOCAL: the client's own, never sent

LEGS, BOTH, LEVELS = ("long", "short"), ("long", "short", "both"), ("halt", "flatten")
SOURCES = ("regulatory", "market-wide")
MODES = ("normal", "take-profit-only", "graceful", "flatten")


class Fault(Exception):
    """An error that goes over the wire. Beside the error tree, which costs a client more to import than its whole call."""

    def __init__(self, code: int, text: str, ident: Any = None) -> None:
        super().__init__(text)
        self.code, self.ident = code, ident


class Param:
    """One option of a verb. `place`: given by position, not by name. `local`: the client's own, never sent."""

    __slots__ = ("help", "kind", "local", "name", "need", "place")

    def __init__(self, name: str, kind: str, text: str, *, need: bool = False, place: bool = False, local: bool = False) -> None:
        self.name, self.kind, self.help = name, kind, text
        self.need, self.place, self.local = need, place, local


class Verb:
    """One row of the table. `patience`: seconds after which a client takes the daemon for hung."""

    __slots__ = ("name", "newest", "params", "patience", "right", "summary")

    def __init__(self, name: str, right: str, summary: str, *params: Param, patience: float = 10.0, newest: bool = False) -> None:
        self.name, self.right, self.summary = name, right, summary
        self.params, self.patience, self.newest = params, patience, newest


_REASON = Param("reason", "text", "why, for the journal", need=True)
_SYMBOL = Param("symbol", "text", "this symbol only")
_LEG = Param("leg", "leg", "this leg only")
_MODE = Param("mode", "mode", " | ".join(MODES), need=True, place=True)
_BREAKER = Param("name", "text", "the breaker", need=True, place=True)
_SINCE = Param("since", "time", "from this UTC time on, ISO 8601")
_LIMIT = Param("limit", "count", "at most so many")

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("status", READ, "the whole picture", patience=2.0),
        Verb(
            "activate",
            WRITE,
            "engage the kill switch and show progress until flat",
            _REASON,
            Param("level", "level", "halt: no openers; flatten: close everything (default: kill_switch.on_activate)"),
            Param("source", "source", "who asks for it, where it is not your own wish: regulatory, market-wide"),
            Param("no-wait", "flag", "do not wait until flat", local=True),
            patience=2.0,
        ),
        Verb(
            "deactivate",
            WRITE,
            "let the kill switch go",
            _REASON,
            Param("force", "flag", "disarm breakers still in breach until the next UTC day"),
        ),
        Verb(
            "flatten",
            WRITE,
            "close legs without the kill switch, and pause them",
            Param("leg", "legs", "long, short or both", place=True),
            _SYMBOL,
            _REASON,
            patience=300.0,
        ),
        Verb("breakers", READ, "every breaker, its state and how near it is"),
        Verb(
            "breakers.arm",
            WRITE,
            "show the preview of a breaker, then arm it",
            _BREAKER,
            _REASON,
            Param("no-preview", "flag", "arm it at once", local=True),
        ),
        Verb("breakers.preview", READ, "what a breaker says now, and would have done lately", _BREAKER, patience=15.0),
        Verb("breakers.disarm", WRITE, "disarm a breaker; survives restarts", _BREAKER, _REASON),
        Verb(
            "breakers.reset",
            WRITE,
            "let a tripped breaker go; re-bases an equity breaker",
            Param("name", "text", "the breaker", place=True),
            Param("all", "flag", "every tripped breaker"),
            _REASON,
        ),
        Verb("breakers.explain", READ, "the inputs of the last trip, computed again", _BREAKER),
        Verb("throttle", WRITE, "scale new quantities by 0..1", Param("factor", "factor", "0..1", need=True, place=True), _SYMBOL, _LEG),
        Verb("pause", WRITE, "cancel and withhold openers; closers and stops stay", _SYMBOL, _LEG),
        Verb("resume", WRITE, "end a pause", _SYMBOL, _LEG),
        Verb("mode", WRITE, "what a leg may still do", _MODE, _SYMBOL, _LEG, _REASON),
        Verb("orders", READ, "resting orders", _LIMIT),
        Verb("positions", READ, "both legs of every symbol"),
        Verb("fills", READ, "executions", _SINCE, _LIMIT, newest=True),
        Verb("ladders", READ, "what should rest"),
        Verb("pnl", READ, "profit and loss"),
        Verb("plugins", READ, "what is loaded and why not"),
        Verb("alerts", READ, "messages sent, queued and undelivered", _LIMIT, newest=True),
        Verb("metrics", READ, "the numbers that Prometheus sees"),
        Verb("config", READ, "effective settings and their origin, secrets masked"),
        Verb("why", READ, "why each wished rung has no resting order now"),
        Verb("confirm", WRITE, "say that a person is here (dead man's switch)"),
        Verb("advance", WRITE, "the next stage of a staged return", _REASON, patience=300.0),
        Verb(
            "journal.verify",
            READ,
            "check the hash chain, and that a head an alert carried is in it",
            Param("head", "text", "SEQ:HASH of records that must be there, comma between"),
            patience=300.0,
        ),
        Verb("journal.tail", READ, "the last acts", Param("order", "text", "acts of this order or client id"), _LIMIT, newest=True),
        Verb("alert.test", WRITE, "send a test message through every channel", patience=60.0),
        Verb("reload", WRITE, "read the configuration again", patience=30.0),
        Verb(
            "drill",
            WRITE,
            "stop a twin of the live account under faults, and judge it; live trades on",
            Param("name", "text", "one scenario only", place=True),
            Param("list", "flag", "past drills"),
            patience=900.0,
        ),
        Verb(
            "incident",
            READ,
            "what stopped the account, on which inputs, and what proves the end; without ID all there were",
            Param("id", "id", "its number", place=True),
            patience=45.0,
            newest=True,
        ),
        Verb("ping", READ, "is anybody there", patience=2.0),
        Verb("watch", LOCAL, "a live terminal screen", patience=2.0),
    )
}

# kind -> (what was expected, the words allowed or none)
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "text": (f"text of 1 to {MAX_TEXT} characters", ()),
    "time": ("a UTC time such as 2026-01-31T12:00:00Z", ()),
    "factor": ("a number from 0 to 1", ()),
    "count": ("a whole number from 1 to 1000", ()),
    "id": ("a whole number from 1 on", ()),
    "flag": ("true or false", ()),
    "leg": ("long or short", LEGS),
    "legs": ("long, short or both", BOTH),
    "level": ("halt or flatten", LEVELS),
    "mode": (", ".join(MODES), MODES),
    "source": (" or ".join(SOURCES), SOURCES),
}


def fits(kind: str, value: object) -> bool:
    """Is this value of this kind?"""
    words = KINDS[kind][1]
    if words:
        return value in words if isinstance(value, str) else False
    if kind == "flag":
        return isinstance(value, bool)
    if kind in ("factor", "count", "id"):
        return _number_fits(kind, value)
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT or not _encodable(value):
        return False
    return kind != "time" or _is_time(value)


def _number_fits(kind: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind == "factor" else int):
        return False
    return 0.0 <= value <= 1.0 if kind == "factor" else 1 <= value <= (1000 if kind == "count" else 10**15)


def _is_time(text: str) -> bool:
    from hedgegridd.times import ms  # lazy: no common verb has a time

    try:
        ms(text)
    except ValueError:
        return False
    return True


def _encodable(text: str) -> bool:
    """A lone surrogate is a str that no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def problem(verb: Verb, params: dict[str, Any]) -> str:
    """What is wrong with these params of this verb, as one sentence that teaches; '' = nothing."""
    known = {param.name: param for param in verb.params if not param.local}
    for name, value in params.items():
        if name not in known:
            takes = ", ".join(known) or "nothing"
            return f"{spoken(verb.name)} takes no {name!r}{did_you_mean(name, known)}; it takes {takes}"
        if not fits(known[name].kind, value):
            return f"{spoken(verb.name)}: {name} is {_short(value)}, expected {KINDS[known[name].kind][0]}"
    missing = [param.name for param in known.values() if param.need and param.name not in params]
    if missing:
        return f"{spoken(verb.name)} needs {' and '.join(missing)}"
    if verb.name == "breakers.reset" and ("name" in params) == bool(params.get("all")):
        return "breakers reset needs the name of a breaker or --all, not both"
    return ""


def spoken(name: str) -> str:
    """The verb as a person types it."""
    return name.replace(".", " ")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """', did you mean X?' or ''. Loads its library only when somebody was wrong."""
    from difflib import get_close_matches

    near = get_close_matches(word[:40], list(known), n=1, cutoff=0.6)
    return f", did you mean {spoken(near[0])!r}?" if near else ""


# --- the daemon's frames -------------------------------------------------------------------------------------------------

NO_REPLY = object()  # the id of a notification


class Request:
    """What a frame asks. `ident` is JSON-RPC's id, `NO_REPLY` where the sender wants no answer."""

    __slots__ = ("ident", "params", "verb")

    def __init__(self, ident: Any, verb: str, params: dict[str, Any]) -> None:
        self.ident, self.verb, self.params = ident, verb, params


def parse(line: bytes) -> Request:
    """A frame as a request. Raises Fault; whatever the bytes, nothing else."""
    import json

    try:
        data = json.loads(line.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Fault(BAD_JSON, "not JSON: expected one object on one line") from None
    if not isinstance(data, dict):
        raise Fault(BAD_REQUEST, "expected an object {jsonrpc, id, method, params}")
    ident, verb, params = data.get("id", NO_REPLY), data.get("method"), data.get("params", {})
    if ident is not NO_REPLY and not _is_ident(ident):
        raise Fault(BAD_REQUEST, f"id: expected a number or text of at most {MAX_TEXT} characters")
    if data.get("jsonrpc") != "2.0" or not isinstance(verb, str):
        raise Fault(BAD_REQUEST, 'expected "jsonrpc": "2.0" and a "method"', ident)
    if not isinstance(params, dict):
        raise Fault(BAD_PARAMS, "params: expected an object of the verb's options", ident)
    return Request(ident, verb, params)


def _is_ident(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def success(request: Request, result: dict[str, Any]) -> bytes:
    """The frame of a result, cut to fit: the longest list loses its far end and `more` says so. Fault where nothing can be cut."""
    reply = _frame(request.ident, "result", result)
    keep_end = VERBS[request.verb].newest and "since" not in request.params
    while len(reply) > MAX_FRAME:
        lists = {key: value for key, value in result.items() if isinstance(value, list) and value}
        if not lists:
            raise Fault(INTERNAL, f"the answer has {len(reply)} bytes, more than a frame of {MAX_FRAME}")
        longest = max(lists, key=lambda key: len(lists[key]))
        rows = lists[longest]
        keep = min(len(rows) - 1, len(rows) * MAX_FRAME // len(reply))
        result = {**result, longest: rows[len(rows) - keep :] if keep_end else rows[:keep], "more": True}
        reply = _frame(request.ident, "result", result)
    return reply


def failure(ident: Any, code: int, text: str) -> bytes:
    """The frame of an error."""
    return _frame(ident, "error", {"code": code, "message": text[:MAX_TEXT]})


def _frame(ident: Any, key: str, body: dict[str, Any]) -> bytes:
    import json

    whole = {"jsonrpc": "2.0", "id": None if ident is NO_REPLY else ident, key: body}
    try:
        text = json.dumps(whole, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(whole))
    return text.encode() + b"\n"


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _finite(value: Any) -> Any:
    """A number that JSON lacks is unknown, which is null."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
