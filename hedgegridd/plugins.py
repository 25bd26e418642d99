"""Plugin files: find them, verify who may have written them, run their hooks, and say why one was not taken.

One law: nothing here runs a stranger's code in the daemon. `load_shipped` imports the package's own files; a foreign file is
only read (`read`) and goes to a host of its own, where the child process uses `collect` and `equip` of this module.
It knows the shape of each contract and nothing of what a breaker or a strategy decides.
"""

from __future__ import annotations

import math
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pluggy

from hedgegridd import hookspecs, owners
from hedgegridd.errors import PluginError, Problem
from hedgegridd.model import Level
from hedgegridd.savefile import load
from hedgegridd.settings import NOTHING, Field, fields_of, fill_settings, is_section, meant

#: hook -> the kind of thing it registers
HOOKS = {
    "register_strategies": "strategy",
    "register_breakers": "breaker",
    "register_alerts": "alert",
    "register_exchanges": "exchange",
    "register_services": "service",
}
KINDS = tuple(HOOKS.values())

#: kind -> what an object of that kind must have; "a|b" = at least one of them
CONTRACT = {
    "strategy": ("Params", "State", "step"),  # the rest as `Plainest` has it
    "breaker": ("check|measure",),
    "alert": ("send",),
    "exchange": ("orders_cost_network", "start", "market", "place", "amend", "cancel", "report", "restore", "stop"),
    "service": ("start", "update"),
}

#: inputs a breaker may say it needs
NEEDS = frozenset({"bars", "trades", "marks", "quotes", "funding", "volume", "index", "window", "vitals", "requests"})

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
NAMED = re.compile(r"""\bname\s*(?::\s*\w+\s*)?=\s*["']([a-z][a-z0-9_]{0,47})["']""")
ETC = Path("/etc/hedgegridd/plugins")
MAX_BYTES = 1 << 20
MOST_THINGS = 64  # that one file registers
SHIPPED_MODULE = "hedgegridd_plugin_"


class Plugin(NamedTuple):
    """One registered thing. `thing` is the class, instance or module as registered; None where it lives in another process."""

    name: str
    kind: str
    file: Path
    sha256: str
    foreign: bool
    thing: Any
    schema: dict[str, Any]


class Source(NamedTuple):
    """A foreign file as it was read once: what is verified, hashed and run are the same bytes."""

    file: Path
    sha256: str
    text: bytes


class Registry:
    """What is registered, by kind and name; a name is taken once. `refused` says of each other file why."""

    def __init__(self) -> None:
        self.strategies: dict[str, Plugin] = {}
        self.breakers: dict[str, Plugin] = {}
        self.exchanges: dict[str, Plugin] = {}
        self.alerts: dict[str, Plugin] = {}
        self.services: dict[str, Plugin] = {}
        self.refused: dict[Path, str] = {}
        self._by_kind = dict(zip(KINDS, (self.strategies, self.breakers, self.alerts, self.exchanges, self.services), strict=True))

    def of(self, kind: str) -> dict[str, Plugin]:
        return self._by_kind[kind]

    def add(self, plugin: Plugin) -> None:
        """Raises PluginError where the name is taken: two guards of one name would hide each other."""
        if old := self.of(plugin.kind).get(plugin.name):
            raise PluginError(f"{plugin.file}: {plugin.kind} {plugin.name!r} is already registered by {old.file}; choose another name")
        self.of(plugin.kind)[plugin.name] = plugin

    def find(self, kind: str, name: str) -> Plugin:
        """Raises PluginError that names the nearest one there is."""
        if plugin := self.of(kind).get(name):
            return plugin
        raise PluginError(
            f"no {kind} is named {name!r}; {meant(name, self.of(kind))} There are {', '.join(sorted(self.of(kind))) or 'none'}"
        )

    def rows(self) -> list[dict[str, str]]:
        """The `plugins` rows of `status` for the files that run inside the daemon."""
        loaded = [
            {"name": p.name, "kind": p.kind, "file": str(p.file), "state": "loaded", "reason": ""}
            for kind in KINDS
            for p in self.of(kind).values()
        ]
        return loaded + [{"name": f.stem, "kind": "", "file": str(f), "state": "refused", "reason": why} for f, why in self.refused.items()]


# --- finding ---------------------------------------------------------------------------------------------------------


def shipped(what: str) -> Path:
    """The folder "plugins", "etc" or "systemd" that came with this package: inside a wheel, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "shipped" / what
    return inside if inside.is_dir() else package.parent / what


def plugin_files(folder: Path) -> list[Path]:
    """The plugin files of a folder in a fixed order; names that begin with "." or "_" are not plugins. No folder = no files."""
    try:
        return sorted(p for p in folder.iterdir() if p.suffix == ".py" and p.name[0] not in "._")
    except OSError:
        return []


def foreign_folders(dirs: Iterable[str], base: Path) -> list[Path]:
    """Where foreign plugin files are looked for: `daemon.plugin_dirs` are relative to the configuration file's folder, `base`."""
    return [ETC, *((base / folder).resolve() for folder in dirs)]


def texts(folders: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """The plugin files of these folders as text, to be read and not to be run; what cannot be read is left out."""
    for file in (file for folder in folders for file in plugin_files(folder)):
        try:
            yield file, load(file, MAX_BYTES).decode(errors="replace")
        except OSError:  # why it cannot be read is told where it would be loaded
            continue


def mentioned(name: str, folders: Iterable[Path]) -> Path | None:
    """The first plugin file in which this name stands in quotes: it may be the one that registers it."""
    return next((file for file, text in texts(folders) if f'"{name}"' in text or f"'{name}'" in text), None)


def given_names(folders: Iterable[Path]) -> set[str]:
    """What the plugin files of these folders call the things they register, as far as it is written as `name = "..."`."""
    return {name for _, text in texts(folders) for name in NAMED.findall(text)}


# --- verifying -------------------------------------------------------------------------------------------------------


def vet(path: Path) -> str:
    """Why this file may not be run; "" = it may.

    It and its folder must belong to root or to the daemon's user and be writable by nobody else (a group counts as nobody else
    where it is the owner's private one). A symlink is judged by its own owner and folder and by those of its target.
    """
    if path.suffix != ".py":
        return f"{path.name}: a plugin is one file that ends in .py"
    try:
        real = path.resolve(strict=True)
        return (
            _file_fault(real, real.stat())
            or _owner_fault(path, path.lstat())
            or next((why for folder in dict.fromkeys((path.parent.resolve(), real.parent)) if (why := _folder_fault(folder))), "")
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symlinks
        return f"{path}: cannot be read ({error})"


def read(path: Path) -> Source:
    """Verify and read a foreign file; raises PluginError. The checks hold for the very bytes returned."""
    if why := vet(path):
        raise PluginError(why)
    try:
        handle = os.open(path.resolve(strict=True), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise PluginError(f"{path}: cannot be read ({error.strerror})") from error
    with os.fdopen(handle, "rb") as file:
        if why := _file_fault(path, os.fstat(handle), handle):
            raise PluginError(why)
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise PluginError(f"{path}: larger than {MAX_BYTES} bytes, which no plugin file is")
    return Source(path, sha256(text), text)


def sha256(text: bytes) -> str:
    from hashlib import sha256 as digest  # here, because a plugin's child process never hashes

    return digest(text).hexdigest()


def _file_fault(path: Path, info: os.stat_result, handle: int | None = None) -> str:
    if not stat.S_ISREG(info.st_mode):
        return f"{path}: not a regular file"
    return _owner_fault(path, info) or _writers_fault(path, info, handle)


def _folder_fault(folder: Path) -> str:
    info = folder.stat()
    if why := _owner_fault(folder, info) or _writers_fault(folder, info):
        return why
    for above in folder.parents:  # who may rename a folder may replace it, but for a sticky one such as /tmp
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"{above}: writable by everybody, and {folder} lies in it; chmod o-w {above}"
    return ""


def _owner_fault(path: Path, info: os.stat_result) -> str:
    if info.st_uid in (0, os.geteuid()):
        return ""
    return f"{path}: belongs to uid {info.st_uid}, must belong to root or to the daemon's user (uid {os.geteuid()})"


def _writers_fault(path: Path, info: os.stat_result, handle: int | None = None) -> str:
    who = owners.other_writers(path if handle is None else handle, info)
    return f"{path}: writable by {who}; chmod {'o' if who == 'everybody' else 'g'}-w {path}" if who else ""


# --- running the hooks -----------------------------------------------------------------------------------------------


def run(file: Path, text: bytes, module_name: str) -> ModuleType:
    """Execute a plugin file's bytes as a module. Raises whatever the file raises."""
    module = ModuleType(module_name)
    module.__file__ = str(file)
    sys.modules[module_name] = module  # dataclasses and annotations look their module up by name
    exec(compile(text, str(file), "exec"), module.__dict__)  # noqa: S102 - running the file is the purpose
    return module


def collect(module: ModuleType, file: Path) -> list[tuple[str, Any]]:
    """Call the hooks of one plugin file: [(kind, thing)], each keeping its contract. Raises PluginError."""
    hooks = pluggy.PluginManager(hookspecs.PROJECT)
    hooks.add_hookspecs(hookspecs)
    try:
        hooks.register(module, name=str(file))
        hooks.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{file}: {_hook_fault(module, hooks) or error}") from error
    found: list[tuple[str, Any]] = []
    for hook, kind in HOOKS.items():
        getattr(hooks.hook, hook)(register=_register(found, kind))
    for kind, thing in found:
        if kind == "strategy" and not isinstance(thing, ModuleType):  # a module of plain functions says everything itself
            _complete(thing if isinstance(thing, type) else type(thing))
    _verify(found, module, file)
    return found


class Plainest:
    """What a strategy does that says nothing of it: settings and state as they are, no warm-up, nothing to tell."""

    class Settings:
        """None."""

    Params: type
    State: type

    def params(self, settings: Any, instrument: Any) -> Any:
        """Settings of the same names; the others stand at their defaults."""
        names = getattr(self.Params, "_fields", ())
        return self.Params(**{name: getattr(settings, name) for name in names if hasattr(settings, name)})

    def initial(self, params: Any) -> Any:
        """A state of defaults."""
        return self.State()

    def warmup_bars(self, params: Any) -> int:
        """Nothing to wait for."""
        return 0

    def describe(self, params: Any, state: Any) -> dict[str, float]:
        """Ready; the rest is not known."""
        return {"ready": 1.0, "regime": 0.0, "center": 0.0, "strength": 0.0, "change_24h_pct": math.nan, "atr_bps": 0.0}


def _complete(strategy: type) -> None:
    for name in ("Settings", "params", "initial", "warmup_bars", "describe"):
        if not hasattr(strategy, name):
            setattr(strategy, name, vars(Plainest)[name])


def _register(found: list[tuple[str, Any]], kind: str) -> Callable[[Any], None]:
    return lambda thing: found.append((kind, thing))


def _hook_fault(module: ModuleType, hooks: pluggy.PluginManager) -> str:
    for name in vars(module):
        if hooks.parse_hookimpl_opts(module, name) is not None and name not in HOOKS:
            return f"there is no hook named {name!r}; {meant(name, HOOKS)} The hooks are {', '.join(HOOKS)}"
    return ""


def _verify(found: list[tuple[str, Any]], module: ModuleType, file: Path) -> None:
    if not found:
        unmarked = [name for name in HOOKS if hasattr(module, name)]
        hint = (
            f"{unmarked[0]} registered nothing; is it marked @hookimpl?" if unmarked else f"mark one of {', '.join(HOOKS)} with @hookimpl"
        )
        raise PluginError(f"{file}: registers nothing; {hint}")
    if len(found) > MOST_THINGS:
        raise PluginError(f"{file}: registers {len(found)} things, expected at most {MOST_THINGS}; spread them over files")
    seen: set[tuple[str, str]] = set()
    for kind, thing in found:
        if why := fault(kind, thing):
            raise PluginError(f"{file}: {why}")
        if (kind, thing.name) in seen:
            raise PluginError(f"{file}: registers {kind} {thing.name!r} twice")
        seen.add((kind, thing.name))


def fault(kind: str, thing: Any) -> str:
    """How a registered object breaks the contract of its kind; "" = it keeps it."""
    label = getattr(thing, "__name__", type(thing).__name__)
    name = getattr(thing, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"{kind} {label}.name is {name!r}, expected lower-case letters, digits and _ such as 'spread'"
    missing = [need for need in CONTRACT[kind] if not any(hasattr(thing, one) for one in need.split("|"))]
    if missing:
        return f"{kind} {name!r} has no {', no '.join(m.replace('|', ' or ') for m in missing)}"
    return _breaker_fault(name, thing) if kind == "breaker" else ""


def _breaker_fault(name: str, thing: Any) -> str:
    level, needs = getattr(thing, "on_trip", "halt"), getattr(thing, "needs", ())
    if not isinstance(level, str) or level.upper() not in Level.__members__:
        return f"breaker {name!r}: on_trip is {level!r}, expected warn, pause, halt or flatten"
    if isinstance(needs, str) or not set(needs) <= NEEDS:
        return f"breaker {name!r}: needs is {needs!r}, expected a tuple of {', '.join(sorted(NEEDS))}"
    return ""


# --- settings --------------------------------------------------------------------------------------------------------


def equip(thing: Any, table: dict[str, Any], where: str) -> tuple[Any, list[Problem]]:
    """An instance of what was registered, its `settings` filled from `table` (path `where`), and what is wrong with the table.

    A strategy is not equipped: its settings differ per instrument.
    """
    settings, problems = fill(getattr(thing, "Settings", None), table, where)
    one = _made(thing, settings) if isinstance(thing, type) else thing
    if settings is not None:
        one.settings = settings
    return one, problems


def _made(thing: type, settings: Any) -> Any:
    """An instance; a constructor that cannot do without one argument is given the settings."""
    import inspect  # only where something is made

    try:
        inspect.signature(thing).bind()
    except TypeError:
        return thing(settings)
    except ValueError:  # the interpreter does not know what it takes
        pass
    return thing()


def fill(settings: type | None, table: dict[str, Any], where: str) -> tuple[Any, list[Problem]]:
    """Settings filled from a table; a plugin that has none takes none."""
    if settings is None:
        return None, [Problem(f"{where}.{key}", value, "no settings: it has none") for key, value in table.items()]
    return fill_settings(settings, table, where)


def own_keys(kind: str, table: dict[str, Any]) -> dict[str, Any]:
    """The part of a plugin's table that is its own, without the keys that every plugin of its kind has."""
    if kind not in ("breaker", "alert", "service") or not table:
        return dict(table)
    from hedgegridd.config import own  # not at the top: a child process needs no configuration

    return own(kind, table)


def schema(settings: type | None) -> dict[str, Any]:
    """The settings as plain data: {key: {"type": text, "default": value, bounds...}}; a section is {"section": {...}}."""
    return {} if settings is None else {one.name: _field(one) for one in fields_of(settings)}


def _field(one: Field) -> dict[str, Any]:
    if is_section(one.hint):
        return {"section": schema(one.hint)}
    default = None if one.default is NOTHING else one.default
    if not isinstance(default, str | int | float | bool | list | dict | None):
        default = str(default)
    about = {key: list(value) if isinstance(value, tuple) else value for key, value in one.about.items()}
    return {"type": one.hint.__name__ if isinstance(one.hint, type) else str(one.hint), "default": default, **about}


def describe(kind: str, thing: Any) -> dict[str, Any]:
    """What may be known of a registered thing outside its process: plain data."""
    row = {"kind": kind, "name": thing.name, "schema": schema(getattr(thing, "Settings", None))}
    if kind == "breaker":
        row |= {"on_trip": getattr(thing, "on_trip", "halt"), "needs": list(getattr(thing, "needs", ()))}
    return row


# --- inside the daemon -----------------------------------------------------------------------------------------------


def load_shipped(folder: Path | None = None) -> Registry:
    """Import the files that came with the package and register what they offer. A broken one is in `refused` with the reason."""
    registry, folder = Registry(), folder or shipped("plugins")
    folders = [p for p in folder.iterdir() if p.name[0] not in "._"] if folder.is_dir() else []
    packages = sorted(p / "__init__.py" for p in folders if (p / "__init__.py").is_file())
    for file in plugin_files(folder) + packages:
        try:
            load_trusted(file, registry, foreign=False)
        except Exception as error:  # a fence: one broken plugin file must not take the others with it
            registry.refused[file] = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
    return registry


def load_exchange(file: str, base: Path, registry: Registry) -> str:
    """Import the exchange plugin that `exchange.file` names, relative to `base`; why it cannot be used, "" = it is loaded."""
    if not file:
        return ""
    try:
        load_trusted((base / file).resolve(), registry)
    except Exception as error:  # a fence: plugin code
        return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
    return ""


def load_trusted(file: Path, registry: Registry, *, foreign: bool = True) -> None:
    """Import one file into the daemon and register what it offers; raises PluginError or what the file raises.

    `foreign` is for the one case of a stranger's code in the daemon: an exchange that the configuration names. It is vetted.
    """
    text = read(file).text if foreign else file.read_bytes()
    module = run(file, text, SHIPPED_MODULE + file.stem) if foreign else _imported(file, text)
    for kind, thing in collect(module, file):
        registry.add(Plugin(thing.name, kind, file, sha256(text), foreign, thing, schema(getattr(thing, "Settings", None))))


def _imported(file: Path, text: bytes) -> ModuleType:
    """The module of a file, imported once per process, so that its classes stay the same objects."""
    name = SHIPPED_MODULE + (file.parent.name if file.name == "__init__.py" else file.stem)
    old = sys.modules.get(name)
    if old is not None and old.__file__ == str(file) and old.__dict__.get("_sha256") == sha256(text):
        return old
    spec = spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])  # `from ._parts import` finds its own
    if spec is None or spec.loader is None:
        raise PluginError(f"{file}: cannot be imported")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    module.__dict__["_sha256"] = sha256(text)
    return module
