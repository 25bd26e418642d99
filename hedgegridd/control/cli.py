"""`hedgegridctl`. One law: stopping works with the daemon up, hung or dead, and the text never claims more than is known.

The words of the command line are read by `protocol.VERBS`, the one table of verbs; click only lays out the help. Everything
imported at the top is light: a call ends before heavier libraries would have been loaded. It knows the socket and, through
`offline`, the kill switch file, nothing else of the daemon. Exit codes: `EXIT`.
"""

from __future__ import annotations

import os
import sys
import time

from hedgegridd import paths
from hedgegridd.control import protocol
from hedgegridd.control.client import Client, Unreachable, dumps
from hedgegridd.control.protocol import VERBS, Fault, Param, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hedgegridd.control.text import Ink

DONE, FAILED, USAGE, UNREACHABLE, NOT_FLAT, KILLED, DEGRADED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130
EXIT = (
    (DONE, "done (status: running, kill switch inactive, not degraded)"),
    (FAILED, "refused or failed"),
    (USAGE, "usage"),
    (UNREACHABLE, "daemon not reachable"),
    (NOT_FLAT, "not flat in time"),
    (KILLED, "status: kill switch active"),
    (DEGRADED, "status: degraded"),
)

SOON_SECONDS = 10.0  # a verb that may take longer shows that it does
NEXT = "start one: hedgegridd run --config F; for one that runs elsewhere: --socket S or --instance NAME"
_GLOBALS = (
    Param("socket", "text", "the daemon's socket"),
    Param("instance", "text", "the daemon of this name"),
    Param("state-dir", "text", "where its files are, for when it does not answer"),
    Param("json", "flag", "JSON instead of text"),
    Param("help", "flag", "this text, or that of a verb"),
    Param("version", "flag", "the version of this program"),
)
_GLOBAL = {param.name for param in _GLOBALS}
_NAMES = {param.name for verb in VERBS.values() for param in verb.params if not param.place} | _GLOBAL
_FLAGS = {param.name for verb in VERBS.values() for param in verb.params if param.kind == "flag"} | {"json", "help", "version"}


class Usage(Exception):
    """The command line is wrong; `verb` is the one that was meant, where that is clear."""

    def __init__(self, text: str, verb: Verb | None = None) -> None:
        super().__init__(text)
        self.verb = verb


class Call:
    """One command line: the verb, its options, and where the daemon is."""

    def __init__(self, verb: Verb, params: dict[str, Any], options: dict[str, str]) -> None:
        self.verb, self.params, self.options = verb, params, options
        self.json, self.instance = "json" in options, options.get("instance", "")
        self.socket = paths.client_socket(options.get("socket", ""), self.instance, os.environ)
        self.client = Client(self.socket)

    @property
    def state_dir(self) -> str:
        """Where the daemon that does not answer keeps its files."""
        return paths.client_state_dir(self.options.get("state-dir", ""), self.instance, os.environ, self.socket)

    def ask(self) -> dict[str, Any]:
        """The daemon's answer to this call."""
        local = {param.name for param in self.verb.params if param.local}
        sent = {name: value for name, value in self.params.items() if name not in local}
        return self.client.call(self.verb.name, sent, self.verb.patience)


def main(argv: list[str] | None = None) -> int:
    """Run one command line; the exit code. Without `argv` the process ends here: tidying up an interpreter costs more than a call."""
    code = _guarded(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _flush()
        os._exit(code)
    return code


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody is left to read
            pass


def _guarded(argv: list[str]) -> int:
    try:
        code = _run(argv)
        sys.stdout.flush()
    except Usage as err:
        return _complain([f"{err}", f"usage: hedgegridctl {_usage(err.verb)}" if err.verb else "try: hedgegridctl --help"], USAGE)
    except Fault as err:
        return _complain([str(err)], USAGE if err.code in (protocol.BAD_PARAMS, protocol.NO_SUCH_VERB) else FAILED)
    except Unreachable as err:
        if err.forbidden:
            return _complain([f"daemon not reachable: {err}"], FAILED)
        return _complain([f"daemon not reachable: {err}", NEXT], UNREACHABLE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `hedgegridctl fills | head`: nobody is left to read
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    return code


def _run(argv: list[str]) -> int:
    words, options = _split(argv)
    if "version" in options:
        from hedgegridd import __version__

        return _say([f"hedgegridctl {__version__}"], DONE)
    if "help" in options or words[:1] == ["help"]:
        return _help(words)
    call = _call(words, options)
    with call.client:
        return _OWN_WAY.get(call.verb.name, _plain)(call)


# --- the command line -----------------------------------------------------------------------------------------------------


def _split(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """Words and options, in any order; an option that is a flag has the value ''."""
    words: list[str] = []
    options: dict[str, str] = {}
    rest = iter(argv)
    for token in rest:
        if token == "--":  # noqa: S105
            words += rest
        elif token == "-h":  # noqa: S105
            options["help"] = ""
        elif token.startswith("--"):
            name, equals, value = token[2:].partition("=")
            if name in _FLAGS and equals:
                raise Usage(f"--{name} takes no value")
            if name not in _FLAGS and not equals:
                value = next(rest, "")
                if not value and name not in _NAMES:
                    raise Usage(f"no option '--{name}'{protocol.did_you_mean(f'--{name}', [f'--{known}' for known in _NAMES])}")
                if not value:
                    raise Usage(f"--{name} needs a value")
            options[name] = value
        elif token.startswith("-") and not token[1:2].isdigit():
            raise Usage(f"no option {token!r}")
        else:
            words.append(token)
    return words, options


def _call(words: list[str], options: dict[str, str]) -> Call:
    """The call these words mean. Usage where they mean none."""
    verb, rest = _verb(words)
    params: dict[str, Any] = {name: value for name, value in options.items() if name not in _GLOBAL}
    places = [param.name for param in verb.params if param.place]
    if len(rest) > len(places):
        raise Usage(f"{protocol.spoken(verb.name)} does not take {rest[len(places)]!r}", verb)
    params.update(zip(places, rest, strict=False))
    kinds = {param.name: param.kind for param in verb.params}
    params = {name: _value(kinds.get(name, ""), value) for name, value in params.items()}
    local = {param.name for param in verb.params if param.local}
    wrong = protocol.problem(verb, {name: value for name, value in params.items() if name not in local})
    if wrong:
        raise Usage(wrong, verb)
    return Call(verb, params, _places(options))


def _places(options: dict[str, str]) -> dict[str, str]:
    """The options that say where the daemon is, checked."""
    instance = options.get("instance")
    if instance is not None and paths.instance_problem(instance):
        raise Usage(paths.instance_problem(instance))
    if instance and "socket" not in options and os.environ.get("HEDGEGRIDD_SOCKET"):
        _complain([f"note: $HEDGEGRIDD_SOCKET={os.environ['HEDGEGRIDD_SOCKET']} decides, not --instance {instance}"], DONE)
    return {name: value for name, value in options.items() if name in _GLOBAL}


def _verb(words: list[str]) -> tuple[Verb, list[str]]:
    if not words:
        raise Usage(f"which verb? {', '.join(name for name in VERBS if '.' not in name)}")
    if ".".join(words[:2]) in VERBS and len(words) > 1:
        return VERBS[".".join(words[:2])], words[2:]
    under = [name for name in VERBS if name.startswith(f"{words[0]}.")]
    if words[0] in VERBS and not (under and words[1:]):
        return VERBS[words[0]], words[1:]
    known = under or [name for name in VERBS if "." not in name]
    given = " ".join(words[: 2 if under else 1])
    listed = f"; there are {', '.join(protocol.spoken(name) for name in under)}" if under else ""
    meant = protocol.did_you_mean(".".join(words[:2]), known) if words[1:] or not under else ""
    raise Usage(f"no verb {given!r}{meant}{listed}")


def _value(kind: str, text: str) -> Any:
    """What the text says; a text that says nothing of the kind stays, for `protocol.problem` to name."""
    if kind == "flag":
        return True
    try:
        return {"factor": float, "count": int, "id": int}.get(kind, str)(text)
    except ValueError:
        return text


def _help(words: list[str]) -> int:
    """The whole table, or one verb. The only use of click, so only here."""
    import click

    page = click.HelpFormatter(max_width=100)
    named = [word for word in words if word != "help"]
    verbs = [_verb(named)[0]] if named else list(VERBS.values())
    page.write_usage("hedgegridctl", "[--socket S | --instance NAME] [--state-dir D] [--json] VERB")
    with page.section("Verbs"):
        page.write_dl([(_usage(verb), verb.summary) for verb in verbs], col_max=40)
    with page.section("Options"):
        own = [param for verb in verbs for param in verb.params] if named else []
        page.write_dl([(_shown(param), param.help) for param in (*own, *_GLOBALS)])
    if not named:
        with page.section("Exit codes"):
            page.write_dl([(str(code), text) for code, text in EXIT])
    return _say(page.getvalue().splitlines(), DONE)


def _usage(verb: Verb) -> str:
    return " ".join([protocol.spoken(verb.name), *(_shown(p) if p.need else f"[{_shown(p)}]" for p in verb.params)])


def _shown(param: Param) -> str:
    words = "|".join(protocol.KINDS[param.kind][1])
    if param.place:
        return words or param.name.upper()
    return f"--{param.name}" if param.kind == "flag" else f"--{param.name} {words or param.name[0].upper()}"


# --- verbs -----------------------------------------------------------------------------------------------------------------


def _plain(call: Call) -> int:
    """Ask, show, done."""
    result = _awaited(call)
    _show(call, result)
    return DONE if _good(result) else FAILED


def _awaited(call: Call) -> dict[str, Any]:
    """The answer; at a terminal one sees that it is waited for."""
    if call.verb.patience <= SOON_SECONDS or not sys.stderr.isatty():
        return call.ask()
    from hedgegridd.control import progress

    with progress.waiting(call.verb.name, sys.stderr):
        return call.ask()


def _good(result: Any) -> bool:
    """No part of it says `ok: false`."""
    if not isinstance(result, dict):
        return True
    return result.get("ok") is not False and all(_good(part) for part in result.values())


def _status(call: Call) -> int:
    try:
        found = call.ask()
    except Unreachable as err:
        if err.forbidden:
            raise
        from hedgegridd.control import offline, text

        found = offline.picture(call.state_dir, call.socket, str(err))
        return _say([_json(found)] if call.json else [*text.offline(found, _ink()), NEXT], UNREACHABLE)
    _show(call, found)
    if found.get("kill_switch", {}).get("active"):
        return KILLED
    return DEGRADED if found.get("degraded") else DONE


def _flatten(call: Call) -> int:
    """The daemon answers when the exchange reports flat, or when its time is over."""
    result = _awaited(call)
    _show(call, result)
    return DONE if result.get("status") == "flat" else NOT_FLAT


def _activate(call: Call) -> int:
    began = time.monotonic()
    try:
        result = call.ask()
    except Unreachable as err:
        return _activate_offline(call, str(err), UNREACHABLE)
    except Fault as err:
        if err.code not in (protocol.INTERNAL, protocol.FAILED):
            raise
        return _activate_offline(call, f"it answered {err}", FAILED)  # alive but broken: the file is the other way to it
    if result.get("durable") is False:
        _complain(["kill switch active, NOT durable: the disk refused it, a restart would not know"], DONE)
    if "no-wait" in call.params:
        _show(call, result)
        return DONE
    from hedgegridd.control import progress

    tell = None if call.json else lambda line: _say([line], DONE, flush=True)
    found = progress.follow(call.client, result, began, tell)
    _say([_json(found)] if call.json else progress.verdict(found), DONE)
    return DONE if found["flat"] or found["halted"] else NOT_FLAT


def _activate_offline(call: Call, why: str, code: int) -> int:
    from hedgegridd.control import offline

    folder, named = call.state_dir, "state-dir" in call.options
    try:
        content = offline.engage(folder, call.instance, call.params, make=named)
    except offline.NotWritten as err:
        where = {"socket": call.options.get("socket", ""), "instance": call.instance, "state-dir": folder}
        _complain(offline.refused_text(why, str(err), call.instance, offline.sudo_line(where, call.params)), code)
        content = {}
    else:
        _complain(offline.engaged_text(folder, content, why, call.instance), code)
    if call.json:
        facts = {"reachable": False, "written": bool(content), "state_dir": folder, "kill_switch": content or None}
        _say(
            [_json({"schema": protocol.SCHEMA, **facts, "positions_closed": False, "close_with": offline.close_line(call.instance)})], code
        )
    return code


def _arm(call: Call) -> int:
    """What the breaker would have done comes first; that it cannot be had keeps nobody from arming."""
    found: dict[str, Any] | None = None
    if "no-preview" not in call.params:
        verb = VERBS["breakers.preview"]
        try:
            found = call.client.call(verb.name, {"name": call.params["name"]}, verb.patience)
        except (Fault, Unreachable) as err:
            found = {"failed": str(err)}
        if not call.json and "failed" not in found:
            _preview(found)
    result = call.ask()
    if found and "failed" in found and not call.json:
        _preview(found)
    _show(call, {**result, "preview": found} if call.json else result)
    return DONE if _good(result) else FAILED


def _preview(found: dict[str, Any]) -> None:
    from hedgegridd.control import text

    _say(text.render("breakers.preview", found, _ink()), DONE, flush=True)


def _drill(call: Call) -> int:
    if call.json or "list" in call.params:
        return _plain(call)
    from hedgegridd.control import drill

    try:
        report = drill.follow(call.socket, call.ask, lambda line: _say([line], DONE, flush=True))
    except KeyboardInterrupt:
        return _complain(["the drill goes on in the daemon, its report will be in: hedgegridctl drill --list"], INTERRUPTED)
    _show(call, report)
    return DONE if report.get("ok") else FAILED


def _incident(call: Call) -> int:
    """The journal tells it without a daemon too: then by which command is said."""
    try:
        return _plain(call)
    except Unreachable as err:
        if err.forbidden:
            raise
        number = f" {call.params['id']}" if "id" in call.params else ""
        command = f"hedgegridd report incident{number} --state-dir {call.state_dir}"
        return _complain([f"daemon not reachable: {err}", "the journal tells it without a daemon:", f"    {command}"], UNREACHABLE)


def _watch(call: Call) -> int:
    from hedgegridd.control import watch

    return watch.run(call.client, _ink())


_OWN_WAY: dict[str, Callable[[Call], int]] = {
    "status": _status,
    "activate": _activate,
    "flatten": _flatten,
    "breakers.arm": _arm,
    "drill": _drill,
    "incident": _incident,
    "watch": _watch,
}


# --- what is printed --------------------------------------------------------------------------------------------------------


def _show(call: Call, result: dict[str, Any]) -> None:
    if call.json:
        _say([_json(result)], DONE)
        return
    from hedgegridd.control import text

    _say(text.render(call.verb.name, result, _ink()), DONE)


def _json(result: dict[str, Any]) -> str:
    return dumps(result, "\n" if sys.stdout.isatty() else "")


def _ink() -> Ink:
    from hedgegridd.control.text import Ink

    return Ink(sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


def _say(lines: list[str], code: int, flush: bool = False) -> int:
    sys.stdout.write("\n".join([*lines, ""]))
    if flush:
        sys.stdout.flush()
    return code


def _complain(lines: list[str], code: int) -> int:
    sys.stderr.write("\n".join([f"hedgegridctl: {lines[0]}", *lines[1:], ""]))
    return code
