"""Finding, verifying and registering plugin files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hedgegridd import plugins
from hedgegridd.errors import PluginError
from hedgegridd.plugins import Plugin, Registry

ROOT = Path(__file__).resolve().parents[1]

GOOD = """
from hedgegridd import Trip, hookimpl

class Spread:
    name = "spread"
    class Settings:
        max_spread_bps: float = 30.0
    def check(self, snapshot):
        return Trip("wide") if self.settings.max_spread_bps < 1 else None

@hookimpl
def register_breakers(register):
    register(Spread)
"""


def module(text: str, tmp_path: Path, name: str = "a_plugin") -> tuple[ModuleType, Path]:
    file = tmp_path / f"{name}.py"
    file.write_text(text)
    return plugins.run(file, text.encode(), name), file


# --- who may have written it -----------------------------------------------------------------------------------------


def test_a_file_of_ours_that_nobody_else_may_write_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text(GOOD)
    assert plugins.vet(file) == ""
    source = plugins.read(file)
    assert source.text == GOOD.encode()
    assert source.sha256 == plugins.sha256(GOOD.encode())


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o777])
def test_a_file_that_the_world_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "it.py"
    file.write_text(GOOD)
    file.chmod(mode)
    assert f"chmod o-w {file}" in plugins.vet(file)
    with pytest.raises(PluginError, match="writable by everybody"):
        plugins.read(file)


def test_a_folder_that_the_world_may_write_refuses_its_files(tmp_path: Path) -> None:
    (tmp_path / "above" / "folder").mkdir(parents=True)
    file = tmp_path / "above" / "folder" / "it.py"
    file.write_text(GOOD)
    for folder in (file.parent, file.parent.parent):
        folder.chmod(0o777)
        assert f"chmod o-w {folder}" in plugins.vet(file)
        folder.chmod(0o755)
    file.parent.parent.chmod(0o1777)  # a sticky one, like /tmp, lets nobody rename what is not theirs
    assert plugins.vet(file) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_or_of_a_shared_group_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "it.py"
    file.write_text(GOOD)
    os.chown(file, 12345, 12345)
    assert "belongs to uid 12345" in plugins.vet(file)
    os.chown(file, 0, 12345)
    file.chmod(0o664)
    assert "group 12345" in plugins.vet(file)
    os.chown(file, 0, 0)
    assert plugins.vet(file) == ""  # root's private group
    link = tmp_path / "link.py"
    link.symlink_to(file)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    assert "belongs to uid 12345" in plugins.vet(link)


def test_a_symlink_is_judged_by_its_target_too(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "real.py"
    target.write_text(GOOD)
    link = tmp_path / "link.py"
    link.symlink_to(target)
    assert plugins.vet(link) == ""
    assert plugins.read(link).file == link
    target.parent.chmod(0o777)
    assert "chmod o-w" in plugins.vet(link)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nothing.py")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    assert "not a regular file" in plugins.vet(tmp_path / "pipe.py")
    assert "not a regular file" in plugins.vet(tmp_path / "folder.py")
    assert "cannot be read" in plugins.vet(tmp_path / "dangling.py")
    assert "cannot be read" in plugins.vet(tmp_path / "loop.py")
    assert "ends in .py" in plugins.vet(tmp_path / "it.txt")
    (tmp_path / "big.py").write_bytes(b"#" * (plugins.MAX_BYTES + 1))
    with pytest.raises(PluginError, match="larger than"):
        plugins.read(tmp_path / "big.py")


def test_a_pipe_in_a_plugin_folder_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")  # nobody will ever write into it
    (tmp_path / "strategy_x.py").write_text('name = "mine"')
    assert plugins.given_names([tmp_path]) == {"mine"}
    assert plugins.mentioned("mine", [tmp_path]) == tmp_path / "strategy_x.py"


# --- hooks and contracts -----------------------------------------------------------------------------------------------


def test_collect_gives_kind_and_thing(tmp_path: Path) -> None:
    [(kind, thing)] = plugins.collect(*module(GOOD, tmp_path))
    assert (kind, thing.name) == ("breaker", "spread")
    assert plugins.describe(kind, thing) == {
        "kind": "breaker",
        "name": "spread",
        "schema": {"max_spread_bps": {"type": "float", "default": 30.0}},
        "on_trip": "halt",
        "needs": [],
    }


FAULTS = {
    "registers nothing": ("x = 1", "mark one of"),
    "no marker": (GOOD.replace("@hookimpl", ""), "register_breakers registered nothing; is it marked"),
    "hook misspelt": (GOOD.replace("def register_breakers", "def register_breaker"), "did you mean 'register_breakers'"),
    "argument misspelt": (GOOD.replace("(register):", "(reg):").replace("    register(", "    reg("), "reg"),
    "no name": (GOOD.replace('name = "spread"', ""), "Spread.name is None"),
    "bad name": (GOOD.replace('"spread"', '"Spread!"'), "lower-case"),
    "no check": (GOOD.replace("def check", "def chek"), "'spread' has no check or measure"),
    "bad level": (GOOD.replace("    class Settings", "    on_trip = 'stop'\n    class Settings"), "expected warn, pause, halt or flatten"),
    "bad needs": (GOOD.replace("    class Settings", "    needs = 'marks'\n    class Settings"), "expected a tuple"),
    "twice": (GOOD + "    register(Spread)\n", "registers breaker 'spread' twice"),
    "wrong kind": (GOOD.replace("register_breakers", "register_exchanges"), "exchange 'spread' has no orders_cost_network, no start"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_broken_contract_is_named(tmp_path: Path, case: str) -> None:
    text, words = FAULTS[case]
    with pytest.raises(PluginError) as caught:
        plugins.collect(*module(text, tmp_path))
    assert words in str(caught.value)
    assert str(tmp_path / "a_plugin.py") in str(caught.value)


def test_classes_instances_and_modules_are_accepted(tmp_path: Path) -> None:
    text = """
import sys
from hedgegridd import hookimpl
class Mail:
    name = "mail"
    def send(self, alert): pass
name = "text"
def send(alert): pass
class Post(Mail):
    name = "post"
@hookimpl
def register_alerts(register):
    register(Mail)
    register(Post())
    register(sys.modules[__name__])
"""
    found = plugins.collect(*module(text, tmp_path))
    assert [thing.name for _, thing in found] == ["mail", "post", "text"]
    for _, thing in found:
        one, problems = plugins.equip(thing, {}, "alert.x")
        assert callable(one.send)
        assert problems == []
    one, problems = plugins.equip(found[0][1], {"to": "me"}, "alert.mail")
    assert [problem.path for problem in problems] == ["alert.mail.to"]


def test_equip_fills_settings(tmp_path: Path) -> None:
    [(_, thing)] = plugins.collect(*module(GOOD, tmp_path))
    table = {"max_spread_bps": 12.5, "enabled": False, "on_trip": "halt", "warn_fraction": 0.5}
    one, problems = plugins.equip(thing, plugins.own_keys("breaker", table), "breaker.spread")
    assert problems == []
    assert one.settings.max_spread_bps == 12.5
    _, problems = plugins.equip(thing, {"max_spred_bps": 1.0}, "breaker.spread")
    assert "max_spread_bps" in str(problems[0])


@dataclass
class Grid:
    step_bps: float = 50.0
    names: list[str] = field(default_factory=lambda: ["a"])


@dataclass
class Sections:
    grid: Grid = field(default_factory=Grid)


def test_schema_of_sections() -> None:
    assert plugins.schema(Sections) == {
        "grid": {"section": {"step_bps": {"type": "float", "default": 50.0}, "names": {"type": "list[str]", "default": ["a"]}}}
    }


def test_registry_takes_a_name_once_and_knows_the_nearest(tmp_path: Path) -> None:
    registry = Registry()
    one = Plugin("spread", "breaker", tmp_path / "a.py", "", False, object(), {})
    registry.add(one)
    with pytest.raises(PluginError, match=r"already registered by .*a\.py"):
        registry.add(one._replace(file=tmp_path / "b.py"))
    registry.add(one._replace(kind="alert"))
    assert registry.find("breaker", "spread") is one
    with pytest.raises(PluginError, match="did you mean 'spread'"):
        registry.find("breaker", "spraed")
    assert [row["state"] for row in registry.rows()] == ["loaded", "loaded"]


# --- shipped files -----------------------------------------------------------------------------------------------------


def test_shipped_finds_the_folders() -> None:
    for what in ("plugins", "etc", "systemd"):
        assert plugins.shipped(what).is_dir()


def test_the_shipped_breakers_are_loaded() -> None:
    registry = plugins.load_shipped()
    levels = {name: plugin.thing.on_trip for name, plugin in registry.breakers.items()}
    assert levels == {
        "daily_loss": "flatten",
        "drawdown": "flatten",
        "funding": "halt",
        "margin": "flatten",
        "order_errors": "pause",
        "position_size": "halt",
        "session_loss": "flatten",
        "stale_data": "pause",
        **dict.fromkeys(("volatility", "price_velocity", "volume", "spread_widening", "depth_thinning", "mark_index"), "pause"),
        **dict.fromkeys(("order_latency", "api_latency", "error_rate", "stream_gaps"), "pause"),
        **dict.fromkeys(("loop_lag", "journal_time", "backlog", "disk_free", "memory", "clock_skew", "components"), "pause"),
    }
    assert registry.refused == {}
    assert all(not plugin.foreign and plugin.sha256 for plugin in registry.breakers.values())
    assert plugins.load_shipped().breakers["drawdown"].thing is registry.breakers["drawdown"].thing


def test_one_broken_file_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    (tmp_path / "good_one.py").write_text(GOOD)
    (tmp_path / "bad_one.py").write_text("1 / 0")
    (tmp_path / "double_one.py").write_text(GOOD)
    (tmp_path / "grown_one").mkdir()
    (tmp_path / "grown_one" / "__init__.py").write_text(GOOD.replace('"spread"', '"grown"'))
    registry = plugins.load_shipped(tmp_path)
    assert sorted(registry.breakers) == ["grown", "spread"]
    assert "ZeroDivisionError" in registry.refused[tmp_path / "bad_one.py"]
    assert "already registered" in registry.refused[tmp_path / "good_one.py"]


def test_a_foreign_exchange_that_the_configuration_names_is_vetted(tmp_path: Path) -> None:
    methods = "".join(f"    def {m}(self, *a): pass\n" for m in plugins.CONTRACT["exchange"][1:])
    head = "from hedgegridd import hookimpl\nclass X:\n    name = 'x'\n    orders_cost_network = True\n"
    file = tmp_path / "exchange_x.py"
    file.write_text(head + methods + "@hookimpl\ndef register_exchanges(register): register(X)\n")
    registry: Any = Registry()
    plugins.load_trusted(file, registry)
    assert registry.exchanges["x"].foreign
    file.chmod(0o666)
    with pytest.raises(PluginError):
        plugins.load_trusted(file, Registry())


@pytest.mark.parametrize(("head", "given"), [("settings", True), ("settings=None", False), ("*a, **k", False), ("", False)])
def test_a_constructor_that_wants_one_argument_is_given_the_settings(head: str, given: bool, tmp_path: Path) -> None:
    made = f"    def __init__(self, {head}):\n        self.given = {'settings' if head == 'settings' else 'None'}\n    def check"
    [(_, thing)] = plugins.collect(*module(GOOD.replace("    def check", made), tmp_path))
    one, problems = plugins.equip(thing, {"max_spread_bps": 12.5}, "breaker.spread")
    assert problems == [] and one.settings.max_spread_bps == 12.5
    assert (one.given is one.settings) == given


LEAST = """
from typing import NamedTuple
from hedgegridd import hookimpl

class Params(NamedTuple):
    steps: int = 3
    lots: int = 1

class State(NamedTuple):
    seen: int = 0

class Least:
    name = "least"
    class Settings:
        lots: int = 2
    Params, State = Params, State
    def step(self, params, state, market, wish):
        return State(state.seen + 1)

@hookimpl
def register_strategies(register):
    register(Least)
"""


def test_a_strategy_needs_no_more_than_params_state_and_step(tmp_path: Path) -> None:
    [(kind, thing)] = plugins.collect(*module(LEAST, tmp_path))
    strategy = thing()
    params = strategy.params(thing.Settings(), None)
    assert (kind, params.steps, params.lots) == ("strategy", 3, 2)
    assert strategy.step(params, strategy.initial(params), None, None).seen == 1
    assert (strategy.warmup_bars(params), strategy.describe(params, None)["ready"]) == (0, 1.0)
    with pytest.raises(PluginError, match="strategy 'least' has no step"):
        plugins.collect(*module(LEAST.replace("def step", "def stop"), tmp_path))
