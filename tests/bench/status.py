"""`hedgegridctl status` by the wall against the bare interpreter: the console script that pip installs, in a venv of its own.

python tests/bench/status.py [--quick]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import stage
from stage import Row

# Where pip cannot build (no index to fetch hatchling from), pip's own code still writes the very script it would have installed.
AS_PIP = """
import pathlib, sys, sysconfig
from pip._internal.operations.install.wheel import PipScriptMaker
maker = PipScriptMaker(None, sysconfig.get_path("scripts"))
maker.clobber, maker.variants, maker.set_mode = True, {""}, True
maker.make("hedgegridctl = hedgegridd.control.cli:main")
pathlib.Path(sysconfig.get_path("purelib"), "hedgegridd.pth").write_text(sys.argv[1] + "\\n")
"""
PLAIN = """#!{python}
import sys
sys.path.insert(0, {root!r})
from hedgegridd.control.cli import main
sys.exit(main())
"""


def measure(quick: bool = False) -> list[Row]:
    """Interleaved runs: bare interpreter, status as text, status as JSON."""
    times = 3 if quick else 60
    with stage.folder() as folder:
        python, script, how = plain(folder) if quick else installed(folder / "venv")
        with stage.daemon(stage.config(folder)) as life:
            stage.wait(lambda: stage.answers(life))
            commands = {
                "bare": [python, "-I", "-c", "pass"],
                "text": [script, "--socket", life.socket, "status"],
                "json": [script, "--socket", life.socket, "--json", "status"],
            }
            for command in commands.values():
                wall(command)  # bytecode is written, files are read
            spent: dict[str, list[float]] = {name: [] for name in commands}
            for _ in range(times):
                for name, command in commands.items():
                    spent[name].append(wall(command))
    bare, text, json = (statistics.median(spent[name]) for name in ("bare", "text", "json"))
    ratios = [one / other for one, other in zip(spent["text"], spent["bare"], strict=True)]
    return [
        Row("python3 -I -c pass", bare * 1e3, "ms", "", f"median of {times}, interleaved; {how}"),
        Row("hedgegridctl status", text * 1e3, "ms"),
        Row("hedgegridctl status / bare", text / bare, "x", "2.0 (1.15)", f"median of the pairs {statistics.median(ratios):.2f}"),
        Row("hedgegridctl --json status / bare", json / bare, "x", "2.0"),
    ]


def installed(venv: Path) -> tuple[str, str, str]:
    """A fresh venv with the package installed editable: its interpreter, the console script, and how that was done."""
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python, script = str(venv / "bin/python3"), str(venv / "bin/hedgegridctl")
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-e", str(stage.ROOT)]
    if subprocess.run(command, capture_output=True, check=False, timeout=300).returncode == 0:
        return python, script, "pip install -e"
    subprocess.run([python, "-c", AS_PIP, str(stage.ROOT)], check=True)
    return python, script, "the script as pip writes it"


def plain(folder: Path) -> tuple[str, str, str]:
    """The quickest way to have a script: nothing is installed."""
    script = folder / "hedgegridctl"
    script.write_text(PLAIN.format(python=sys.executable, root=str(stage.ROOT)))
    script.chmod(0o700)
    return sys.executable, str(script), "a script of our own"


def wall(command: list[str]) -> float:
    """Seconds that a command takes, with as little of our own as there can be."""
    void = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    begun = time.perf_counter()
    pid = os.posix_spawn(command[0], command, stage.ENVIRONMENT, file_actions=void)
    _, code = os.waitpid(pid, 0)
    spent = time.perf_counter() - begun
    if os.waitstatus_to_exitcode(code) not in (0, 6):  # 6: degraded, still an answer
        raise RuntimeError(f"{command}: exit status {os.waitstatus_to_exitcode(code)}")
    return spent


if __name__ == "__main__":
    stage.main(measure)
