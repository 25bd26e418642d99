"""Plugin files that misbehave, one way each. `FILES` maps a name to (text, the state its host must end in, words of the reason).

The state is "loaded" where the file does harm to nobody and is answered with an error; then the words are looked for in that.
"""

from __future__ import annotations

IMPORT = """
{body}
from hedgegridd import hookimpl
class It:
    name = "{name}"
    def check(self, snapshot):
        return None
@hookimpl
def register_breakers(register):
    register(It)
"""

CHECK = """
import ctypes, os, signal, sys, time
from hedgegridd import Measure, Trip, hookimpl
class It:
    name = "{name}"
    def check(self, snapshot):
{body}
@hookimpl
def register_breakers(register):
    register(It)
"""


def at_import(name: str, body: str) -> str:
    return IMPORT.format(name=name, body=body)


def at_check(name: str, body: str) -> str:
    return CHECK.format(name=name, body="\n".join("        " + line for line in body.splitlines()))


MANY = """
from hedgegridd import hookimpl
@hookimpl
def register_breakers(register):
    for i in range(5000):
        register(type("It", (), {"name": f"it{i}", "check": lambda self, snapshot: None}))
"""
SEGFAULT = "import ctypes\nctypes.string_at(0)"
LOCK = "sum(range(10**13))"  # one call in C: no other thread of that process ever runs again
REGEX = "import re\nre.match('(a+)+$', 'a' * 64 + 'b')"

_IMPORTS = {
    "import_loop": ("while True: pass", "quarantined", "no hello"),
    "import_holds_lock": (REGEX, "quarantined", "no hello"),
    "import_exits": ("import os\nos._exit(3)", "quarantined", "status 3"),
    "import_segfault": (SEGFAULT, "quarantined", "SIGSEGV"),
    "import_raises": ("1 / 0", "refused", "ZeroDivisionError: division by zero (line 2)"),
    "import_systemexit": ("raise SystemExit(5)", "refused", "SystemExit: 5"),
    "import_interrupt": ("raise KeyboardInterrupt", "refused", "KeyboardInterrupt"),
    "import_syntax": ("def (:", "refused", "SyntaxError"),
    "import_sleeps": ("import time\ntime.sleep(3600)", "quarantined", "no hello"),
}

#: Its own hand writes the answer, past all that the child would make of it.
BY_HAND = """import json
frame = sys._getframe()
while "question" not in frame.f_locals:
    frame = frame.f_back
value = {{"trip": None, "measure": None, "unknown": "", "error": ""}} | {more}
os.write(int(sys.argv[1]), json.dumps({{"seq": frame.f_locals["question"]["seq"], "value": value}}).encode() + b"\\n")
time.sleep(3600)"""


def by_hand(more: str) -> str:
    return BY_HAND.format(more=more)


_CHECKS = {
    "check_loop": ("while True: pass", "quarantined", "no answer"),
    "check_holds_lock": (LOCK, "quarantined", "no answer"),
    "check_exits": ("os._exit(4)", "quarantined", "status 4"),
    "check_segfault": (SEGFAULT, "quarantined", "SIGSEGV"),
    "check_stops_itself": ("os.kill(os.getpid(), signal.SIGSTOP)", "quarantined", "no answer"),
    "check_closes_socket": ("os.closerange(3, 256)\ntime.sleep(3600)", "quarantined", "closed its socket"),
    "check_floods_socket": ("while True: os.write(int(sys.argv[1]), b'x' * 65536)", "quarantined", "flooded"),
    "check_lies": ('os.write(int(sys.argv[1]), b\'{"seq": 99999, "value": {}}\\n\' * 500)', "quarantined", "nonsense"),
    "check_deep_json": ("os.write(int(sys.argv[1]), b'[' * 100000 + b'\\n')", "quarantined", "nonsense"),
    "check_trips_at_length": (by_hand('{"trip": ["x" * 100000, 1.0, 2.0, None]}'), "quarantined", "nonsense (trip is"),
    "check_errs_at_length": (by_hand('{"error": "x" * 100000}'), "quarantined", "error must be text of at most"),
    "check_unknown_at_length": (by_hand('{"unknown": "x" * 100000}'), "quarantined", "unknown must be text of at most"),
    "check_measures_at_length": (by_hand('{"measure": [1.0, 2.0, "x" * 100000, ""]}'), "quarantined", "nonsense (measure is"),
    "check_says_more": (by_hand('{"more": ["x"] * 10000}'), "quarantined", "nonsense (it has ['more'])"),
    "check_raises_a_long_name": ("raise type('E' * 10**5, (Exception,), {})('why')", "loaded", "EEE"),
    "check_raises": ("raise RuntimeError('no luck')", "loaded", "RuntimeError: no luck"),
    "check_systemexit": ("sys.exit(7)", "loaded", "SystemExit: 7"),
    "check_interrupt": ("raise KeyboardInterrupt", "loaded", "KeyboardInterrupt"),
    "check_nonsense": ("return {'trip': object()}", "loaded", "returned dict"),
    "check_huge_text": ("return Trip('x' * 10**7)", "loaded", "xxx"),
    "check_huge_number": ("return Trip('big', 10**400)", "loaded", "OverflowError"),
    "check_asks_memory": ("bytearray(10**11)", "loaded", "MemoryError"),
    "check_eats_memory": ("x = []\nwhile True: x.append(bytearray(10**6))", "", ""),  # out of memory or out of time
    "check_floods_stdout": ("for _ in range(2000): print('x' * 1000, file=sys.stderr)\nprint('y' * 10**7)", "loaded", ""),
    "check_forks": ("for _ in range(3):\n    if os.fork() == 0:\n        time.sleep(3600)\nos._exit(9)", "quarantined", "status 9"),
    "check_environ": (
        "raise RuntimeError(f'environ {dict(os.environ)} {open(\"/proc/self/environ\").read()!r}')",
        "loaded",
        "environ {} ''",
    ),
    "check_lost_number": ("return Trip('lost', float('nan'))", "loaded", "lost"),
}

FILES = {
    **{name: (at_import(name, body), state, words) for name, (body, state, words) in _IMPORTS.items()},
    **{name: (at_check(name, body), state, words) for name, (body, state, words) in _CHECKS.items()},
    "registers_many": (MANY, "refused", "registers 5000 things, expected at most 64"),
    "duplicate": (at_check("drawdown", "return None"), "refused", "already registered"),
    "recursion": (
        at_check("recursion", "sys.setrecursionlimit(10**9)\nf = lambda n: [f(n + 1)].sort(key=f)\nf(0)"),
        "",  # the interpreter may fall or may run out of memory in good order
        "",
    ),
}
