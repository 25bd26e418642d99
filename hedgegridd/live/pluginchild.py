"""The child process of a plugin host: runs one foreign file and answers questions about it over a socket.

One law: whatever the file does, an answer is either well-formed plain data or no answer at all; the parent judges silence.
It dies with its parent. It opens no other connection, holds no secret and keeps no state of account.

Talk, one JSON object per line: parent {"file", "source": its bytes as latin-1} -> child {"hello": [rows]} or {"refused": why};
parent {"settings": [table per row]} -> child {"ready": [problems]}; then {"seq", "kind", "name", "payload"} -> {"seq", "value"}.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from hedgegridd import plugins
from hedgegridd.errors import PluginError
from hedgegridd.heart.breakers import judge
from hedgegridd.model import Level, Severity, new_wish
from hedgegridd.views import Alert, Snapshot, Trip

PR_SET_PDEATHSIG = 1
MAX_TEXT, MAX_NAME = 500, 100

Things = dict[tuple[str, str], Any]


def main(fd: int, parent: int, memory_bytes: int) -> None:
    """Serve until the parent closes the socket; never returns."""
    harden(parent, memory_bytes)
    inbox, outbox = os.fdopen(os.dup(fd), "rb"), os.fdopen(fd, "wb", buffering=0)

    def say(message: dict[str, Any]) -> None:
        outbox.write(json.dumps(message, separators=(",", ":"), default=scalar).encode() + b"\n")

    try:
        first = json.loads(inbox.readline())
        things = load(Path(first["file"]), first["source"], say)
        serve(things, json.loads(inbox.readline())["settings"], inbox, say)
    except (OSError, ValueError):  # the parent is gone, or the plugin closed our socket
        pass
    finally:
        os._exit(0)  # not sys.exit: the file's own atexit hooks and threads have no say in this


def scalar(value: Any) -> Any:
    """What a plugin's numeric library calls a number or a list, as JSON knows it."""
    return value.tolist() if hasattr(value, "tolist") else str(value)[:MAX_TEXT]


def harden(parent: int, memory_bytes: int) -> None:
    """Die with the parent, leave nothing behind, go first where memory runs out."""
    os.environ.clear()
    _die_with_parent()
    os.register_at_fork(after_in_child=_die_with_parent)  # a fork would otherwise outlive us
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:  # no /proc: then the kernel chooses as ever
        pass


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def load(file: Path, source: str, say: Callable[[dict[str, Any]], None]) -> Things:
    """Run the file and say hello, or say why not and end."""
    try:
        found = plugins.collect(plugins.run(file, source.encode("latin-1"), file.stem), file)
        rows = [plugins.describe(kind, thing) for kind, thing in found]
        say({"hello": rows})
    except BaseException as error:  # a fence: the file may raise anything, SystemExit included
        say({"refused": explain(error)})
        os._exit(0)
    return {(kind, thing.name): thing for kind, thing in found}


def serve(things: Things, tables: list[dict[str, Any]], inbox: Any, say: Callable[[dict[str, Any]], None]) -> None:
    problems: list[str] = []
    for (key, thing), table in zip(list(things.items()), tables, strict=True):
        try:
            if key[0] == "strategy":  # its settings differ per instrument, and come with each question
                things[key] = thing() if isinstance(thing, type) else thing
            else:
                things[key], wrong = plugins.equip(thing, table, ".".join(key))
                problems += map(str, wrong)
        except BaseException as error:  # a fence: the file's own constructor
            problems.append(f"{key[0]} {key[1]!r} cannot be made: {explain(error)}")
    say({"ready": problems})
    while line := inbox.readline():
        question = json.loads(line)
        say({"seq": question["seq"], "value": answer(things, question)})


def answer(things: Things, question: dict[str, Any]) -> dict[str, Any]:
    """The plain answer to one question; what the plugin raises becomes {"error": text}."""
    try:
        kind, thing = WORK[question["kind"]]
        return kind(things[thing, question["name"]], question["payload"])
    except BaseException as error:  # a fence: plugin code, which may raise SystemExit
        return {"error": explain(error)}


def explain(error: BaseException) -> str:
    """The error as one line, with the line of the plugin's file that raised it where there is one."""
    if isinstance(error, PluginError):
        return str(error)[:MAX_TEXT]
    trace, where = error.__traceback__, ""
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(os.path.dirname(os.path.dirname(__file__))):  # noqa: PTH120 - no object per frame
            where = f" (line {trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__[:MAX_NAME]}: {str(error)[:MAX_TEXT]}{where}"


# --- one function per kind of question -------------------------------------------------------------------------------


def check(breaker: Any, payload: Any) -> dict[str, Any]:
    """A breaker's verdict on a snapshot. A number that is no number is unknown, never a neutral one."""
    from hedgegridd.codec import decode

    snapshot = decode(payload)
    if not isinstance(snapshot, Snapshot):
        return {"error": "the question held no snapshot"}
    verdict = judge(breaker, snapshot)
    measure = None
    if (m := verdict.measure) is not None:
        value, threshold = number(m.value, "measure.value"), number(m.threshold, "measure.threshold")
        if (value is None or threshold is None) and verdict.trip is None:
            return verdict_of(unknown=f"measure() gave value {m.value!r:.40}, threshold {m.threshold!r:.40}")
        if value is not None and threshold is not None:
            measure = [value, threshold, str(m.unit)[:MAX_TEXT], str(m.reason)[:MAX_TEXT]]
    return verdict_of(plain(verdict.trip), measure, verdict.unknown[:MAX_TEXT], verdict.error[:MAX_TEXT])


def verdict_of(trip: list[Any] | None = None, measure: list[Any] | None = None, unknown: str = "", error: str = "") -> dict[str, Any]:
    return {"trip": trip, "measure": measure, "unknown": unknown, "error": error}


def plain(trip: Trip | None) -> list[Any] | None:
    if trip is None:
        return None
    level = None if trip.level is None else int(Level(trip.level))
    said = [str(trip.reason)[:MAX_TEXT], number(trip.value, "trip.value"), number(trip.threshold, "trip.threshold"), level]
    place = [str(trip.symbol)[:MAX_TEXT], trip.leg if trip.leg is None else int(trip.leg)]
    return [*said, *place] if trip.narrow else said


def number(value: Any, what: str) -> float | None:
    """A finite float; None for None, nan and infinity. Raises TypeError for what is no number at all."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{what} is a {type(value).__name__}, expected a number")
    value = float(value)
    return value if math.isfinite(value) else None


def send(channel: Any, payload: Any) -> dict[str, Any]:
    """Deliver one alert; the fields come as a list in the order of `Alert`, perhaps led by its name."""
    time, severity, *rest = payload[1:] if payload[0] == "Alert" else payload
    channel.send(Alert(time, Severity(severity), *rest))
    return {"sent": True}


_started: set[int] = set()


def update(service: Any, payload: Any) -> dict[str, Any]:
    """Hand a service the newest status; it is started by the first one."""
    if id(service) not in _started:
        service.start()
        _started.add(id(service))
    service.update(payload)
    return {}


_params: dict[str, Any] = {}


def step(strategy: Any, payload: Any) -> dict[str, Any]:
    """One step of a strategy: {"settings", "shared", "instrument", "state"|null, "market"|null}
    -> {"state", "wish", "warmup_bars", "describe"}, {"misfit": why} where the state is another version's, or {"error": why}.

    The state goes out and comes back with the next question, so a replaced child goes on where the old one stopped.
    """
    from hedgegridd.codec import decode

    params = _params_of(strategy, payload)
    try:
        state = strategy.initial(params) if payload["state"] is None else rebuild(strategy.State, payload["state"])
    except (ValueError, TypeError) as error:
        return {"misfit" if payload["state"] is not None else "error": explain(error)}
    wish = new_wish()
    if payload["market"] is not None:
        state = strategy.step(params, state, decode(payload["market"]), wish)
    rows = [[int(column[row]) for column in (wish.leg, wish.role, wish.price, wish.qty)] for row in range(int(wish.count[0]))]
    describe = {str(key): number(float(value), f"describe()[{key!r}]") for key, value in strategy.describe(params, state).items()}
    return {"state": state, "wish": rows, "warmup_bars": int(strategy.warmup_bars(params)), "describe": describe}


def _params_of(strategy: Any, payload: Any) -> Any:
    """The strategy's params for one symbol, made once. The engine's own sections go to a strategy only where it declares them."""
    from hedgegridd.codec import decode

    key = json.dumps([strategy.name, payload["settings"], payload["instrument"]])
    if key not in _params:
        declared = plugins.schema(strategy.Settings)
        table = {name: value for name, value in payload["settings"].items() if name in declared or name not in payload.get("shared", ())}
        settings, problems = plugins.fill(strategy.Settings, table, f"instrument.params ({strategy.name})")
        if problems:
            raise PluginError("; ".join(map(str, problems)))
        _params[key] = strategy.params(settings, decode(payload["instrument"]))
    return _params[key]


def rebuild(shape: Any, values: Any) -> Any:
    """A NamedTuple of numbers, lists and NamedTuples from the nested lists that JSON made of it."""
    if not hasattr(shape, "_fields"):
        return values
    hints = get_type_hints(shape)
    return shape(*(rebuild(hints[field], value) for field, value in zip(shape._fields, values, strict=True)))


#: kind of question -> what does it, and the kind of thing that is asked
WORK: dict[str, tuple[Callable[[Any, Any], dict[str, Any]], str]] = {
    "check": (check, "breaker"),
    "send": (send, "alert"),
    "update": (update, "service"),
    "step": (step, "strategy"),
}

if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
