"""The parent side of a plugin host: one foreign file in a child process, asked with a deadline, killed and replaced.

One law: nothing a child does or leaves undone delays the event loop or raises into it. Every question ends in exactly one
`Answer` or `Missed`, and every child ends with its whole process group. What an answer means is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from hedgegridd.codec import encode
from hedgegridd.live.pluginprocess import Process
from hedgegridd.model import Answer, Leg, Level, Missed
from hedgegridd.plugins import KINDS, MOST_THINGS, NAME, NEEDS, Source, own_keys

Tables = dict[str, dict[str, dict[str, Any]]]  #: kind -> name -> the plugin's configuration table

MAX_QUEUE = 64
MAX_DEATHS = 3  #: within DEATHS_COUNT_FOR seconds: then the file is quarantined until it is edited
DEATHS_COUNT_FOR = 3600.0
BACKOFF = 0.25  #: seconds before the first replacement; doubles
MEMORY_BYTES = 512 << 20
LONGEST_TEXT = 1000  #: characters of a text in an answer; a child cuts its plugin's sooner
DEADLINES = {"send": 10.0}  #: seconds, where a kind of question is granted more than the host's own deadline
SUPERSEDED = frozenset({"check", "update"})  #: kinds whose older question nobody needs once there is a newer one


class Question(NamedTuple):
    seq: int
    kind: str
    name: str
    payload: Any


def host_name(source: Source) -> str:
    """What `Ask.host`, `Answer.host` and `Missed.host` call the host of this version of this file."""
    return f"{source.file}@{source.sha256[:12]}"


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Host:
    """One version of one foreign file, run in a child process that is replaced when it dies.

    `emit` receives Answer and Missed; `changed(host)` is called when `state` changes; `admit(host)` says after the hello why it
    may not be used, "" = it may, and only then is it given its tables, which may hold secrets. States: starting, loaded, restarting,
    quarantined, refused, stopped. Every method must be called in the thread of `loop`.
    """

    def __init__(
        self,
        source: Source,
        emit: Callable[[Any], None],
        loop: asyncio.AbstractEventLoop,
        *,
        settings: Tables | None = None,
        deadline_seconds: float = 1.0,
        hello_seconds: float = 5.0,
        memory_bytes: int = MEMORY_BYTES,
        now: Callable[[], int] = wall_ms,
        changed: Callable[[Host], None] | None = None,
        admit: Callable[[Host], str] = lambda host: "",
    ) -> None:
        self.source, self.name = source, host_name(source)
        self.state, self.reason, self.announced = "starting", "", False
        self.rows: list[dict[str, Any]] = []
        self._emit, self._loop, self._now, self._changed, self._admit = emit, loop, now, changed, admit
        self._settings, self._memory = settings or {}, memory_bytes
        self._deadline, self._hello = deadline_seconds, hello_seconds
        self._child: Process | None = None
        self._dying: list[Process] = []
        self._asked: Question | None = None
        self._queue: deque[Question] = deque()
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._timer: asyncio.TimerHandle | None = None
        self._acts: dict[str, Callable[[Any], None]] = {
            "hello": self._greeted,
            "refused": self._refused,
            "ready": self._readied,
            "seq": self._answered,
        }

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """(kind, name) of everything the file registered."""
        return tuple((row["kind"], row["name"]) for row in self.rows)

    def start(self) -> None:
        """Spawn the child; returns at once. The outcome is told by `changed`."""
        try:
            self._child = Process(self._loop, self._memory, self.heard, self.died)
        except OSError as error:  # no process or no memory to be had now
            self._loop.call_soon(self.died, f"no child process could be made: {error}")
            return
        self._say({"file": str(self.source.file), "source": self.source.text.decode("latin-1")})
        self._arm(self._hello, "no hello")

    def ask(self, seq: int, kind: str, name: str, payload: Any) -> None:
        """Put one question; the payload is a noun of `model` or plain JSON.

        It waits behind the one that is out; a newer check or update replaces an older waiting one.
        """
        if self.state != "loaded":
            self._miss(Question(seq, kind, name, None), f"the host is {self.state}{': ' + self.reason if self.reason else ''}")
            return
        question = Question(seq, kind, name, payload)
        if kind in SUPERSEDED:
            self._supersede(question)
        if len(self._queue) >= MAX_QUEUE:
            self._miss(question, f"{MAX_QUEUE} questions are waiting already")
            return
        self._queue.append(question)
        self._next()

    def configure(self, settings: Tables) -> None:
        """New tables: where this file's own changed, its child is replaced by one that knows them."""
        before, self._settings = self._tables(), settings
        if self.state == "loaded" and self._tables() != before:
            self._become("restarting", "its settings changed")
            self._drop("its settings changed")
            self.start()

    def refuse(self, why: str) -> None:
        """End this version for good; `changed` is not called."""
        self.state, self.reason = "refused", why
        self._drop(why)

    def stop(self) -> None:
        """End the child and its process group. Questions under way are missed."""
        self.state = "stopped"
        self._drop("the host was stopped")

    async def stopped(self) -> None:
        """Stop, and return when the child is reaped: call it before the loop ends."""
        self.stop()
        while not self.reaped:
            await asyncio.sleep(0.002)

    @property
    def reaped(self) -> bool:
        """Is nothing left of any child it ever had?"""
        self._dying = [child for child in self._dying if not child.gone]
        return self._child is None and not self._dying

    # --- questions ---

    def _supersede(self, newer: Question) -> None:
        for older in [q for q in self._queue if (q.kind, q.name) == (newer.kind, newer.name)]:
            self._queue.remove(older)
            self._miss(older, f"superseded by question {newer.seq}")

    def _next(self) -> None:
        if self._asked is None and self._queue and self.state == "loaded":
            self._asked = self._queue.popleft()
            payload = self._asked.payload
            plain = encode(payload) if isinstance(payload, tuple) else payload  # only now: one that is superseded costs nothing
            self._say({**self._asked._asdict(), "payload": plain})
            self._arm(DEADLINES.get(self._asked.kind, self._deadline), "no answer")

    def _miss(self, question: Question, why: str) -> None:
        self._emit(Missed(self._now(), self.name, question.seq, why))

    def _say(self, message: dict[str, Any]) -> None:
        if self._child is not None:
            self._child.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def _arm(self, seconds: float, what: str) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, lambda: self.died(f"{what} within {seconds:g} s"))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what the child says ---

    def heard(self, line: bytes) -> None:
        """One line from the child. What does not fit the talk at this point is nonsense, and nonsense is a death."""
        try:
            message = json.loads(line)
            word = next(word for word in _TALK if word in message)
            said = _TALK[word](message)
        except (ValueError, TypeError, KeyError, StopIteration, RecursionError, AttributeError, OverflowError) as error:
            self.died(f"answered nonsense ({type(error).__name__}: {str(error)[:80]})")
            return
        self._acts[word](said)

    @property
    def _greeting(self) -> bool:
        return self.state in ("starting", "restarting")

    def _refused(self, why: str) -> None:
        if not self._greeting:
            self.died("answered nonsense (a refusal after hello)")
            return
        self._end(why)

    def _end(self, why: str) -> None:
        self._drop(why)
        self._become("refused", why)

    def _greeted(self, rows: list[dict[str, Any]]) -> None:
        if not self._greeting or (self.rows and rows != self.rows):
            self.died("answered nonsense (a second hello, or one that differs from the first)")
            return
        self.rows = rows
        if why := self._admit(self):
            self._end(why)
        else:
            self._say({"settings": self._tables()})

    def _tables(self) -> list[dict[str, Any]]:
        return [own_keys(kind, self._settings.get(kind, {}).get(name, {})) for kind, name in self.names]

    def _readied(self, problems: str) -> None:
        if not self._greeting or not self.rows:
            self.died("answered nonsense (ready out of turn)")
            return
        self._disarm()
        if problems:
            self._drop(problems)
        self._become("refused" if problems else "loaded", problems)

    def _answered(self, said: tuple[int, dict[str, Any]]) -> None:
        seq, value = said
        asked = self._asked
        if asked is None or seq != asked.seq:
            self.died("answered nonsense (an answer to no question)")
            return
        if why := verdict_fault(value) if asked.kind == "check" else text_fault(value):
            self.died(f"answered nonsense ({why})")
            return
        self._disarm()
        self._asked = None
        self._emit(Answer(self._now(), self.name, asked.seq, value))
        self._next()

    # --- death ---

    def died(self, why: str) -> None:
        """The child is dead or deserves it: miss what is open, then replace it, or quarantine the file at the third death."""
        moment = self._loop.time()
        self._deaths.append(moment)
        recent = [death for death in self._deaths if moment - death < DEATHS_COUNT_FOR]
        self._drop(why)
        if len(recent) >= MAX_DEATHS:
            self._become("quarantined", f"died {MAX_DEATHS} times, last: {why}")
            return
        self._become("restarting", why)
        self._timer = self._loop.call_later(BACKOFF * 2 ** (len(recent) - 1), self.start)

    def _drop(self, why: str) -> None:
        self._disarm()
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            if not (self.reaped and child.gone):
                self._dying.append(child)
        asked, self._asked = self._asked, None
        waiting = ([asked] if asked else []) + list(self._queue)
        self._queue.clear()
        for question in waiting:
            self._miss(question, why)

    def _become(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        if self._changed is not None:
            self._changed(self)


# --- the shape of what a child may say ---------------------------------------------------------------------------------


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """One registered thing, taken over key by key."""
    kind, name = row["kind"], row["name"]
    if kind not in KINDS or not NAME.fullmatch(name) or not isinstance(row["schema"], dict):
        raise ValueError(f"hello of kind {kind!r:.20}, name {name!r:.50}")
    clean = {"kind": kind, "name": name, "schema": row["schema"]}
    if kind == "breaker":
        clean |= {"on_trip": str(Level[row["on_trip"].upper()].name.lower()), "needs": sorted(NEEDS.intersection(row["needs"]))}
    return clean


def _hello(message: dict[str, Any]) -> list[dict[str, Any]]:
    if not 0 < len(message["hello"]) <= MOST_THINGS:
        raise ValueError(f"hello of {len(message['hello'])} things, expected 1 to {MOST_THINGS}")
    return [_row(row) for row in message["hello"]]


def _seq(message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if not isinstance(message["value"], dict):
        raise TypeError("an answer that is no object")
    return int(message["seq"]), message["value"]


_TALK: dict[str, Callable[[dict[str, Any]], Any]] = {
    "hello": _hello,
    "refused": lambda message: str(message["refused"])[:1000],
    "ready": lambda message: "; ".join(map(str, message["ready"]))[:1000],
    "seq": _seq,
}


def text_fault(value: dict[str, Any]) -> str:
    """How the texts of an answer miss their shape; "" = not at all. They go to people, the journal and the socket's frames."""
    wrong = [key for key in ("error", "misfit", "unknown") if not _fits([value.get(key, "")], (str,))]
    return f"{wrong[0]} must be text of at most {LONGEST_TEXT} characters" if wrong else ""


def verdict_fault(value: dict[str, Any]) -> str:
    """How an answer to "check" misses its shape {trip, measure, unknown, error}; fills in what an error leaves out; "" = none."""
    whole = {"trip": None, "measure": None, "unknown": "", "error": ""}
    if more := value.keys() - whole.keys():
        return f"it has {sorted(more)!r:.60}"
    value |= {key: default for key, default in whole.items() if key not in value}
    trip, measure = value["trip"], value["measure"]
    if why := text_fault(value):
        return why
    said = (str, _NUMBER, _NUMBER, (int, _NONE), str, (int, _NONE))  # as `pluginchild.plain` makes it
    if isinstance(trip, list) and len(trip) == 4:  # the account
        trip = [*trip, "", None]
    if trip is not None and not (_fits(trip, said) and trip[3] in (None, *Level) and trip[5] in (None, *Leg)):
        return f"trip is {trip!r:.60}"
    if measure is not None and not _fits(measure, (float, float, str, str)):
        return f"measure is {measure!r:.60}"
    return ""


_NONE = type(None)
_NUMBER = (float, _NONE)


def _fits(values: Any, shape: tuple[Any, ...]) -> bool:
    return (
        isinstance(values, list)
        and len(values) == len(shape)
        and all(isinstance(v, kind) and _sized(v) for v, kind in zip(values, shape, strict=True))
    )


def _sized(value: Any) -> bool:
    return math.isfinite(value) if isinstance(value, float) else not isinstance(value, str) or len(value) <= LONGEST_TEXT
