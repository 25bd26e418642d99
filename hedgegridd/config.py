"""The configuration: read it, lay it together, check its form. One law: all that is wrong is told at once, nothing is guessed.

Layers, each winning over the one before: defaults (`schema`), the preset, the file, `conf.d/*.toml` beside it in the order of
their names, environment variables that may only tighten, the command line. `${NAME}` in a value takes a systemd credential or an
environment variable. Each value remembers where it came from. Whether the values make sense together is `check`'s.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hedgegridd import owners
from hedgegridd.errors import ConfigError, Problem
from hedgegridd.schema import COMMON, PRESETS, Config, InstrumentTable, step_free
from hedgegridd.settings import UNKNOWN_KEY, Outside, fields_of, fill_settings, is_secret, is_section, join, leaves

__all__ = ["Config", "common", "fill_settings", "load", "own", "parse", "read"]

Table = dict[str, Any]
NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
SYMBOL = re.compile(r"[A-Z0-9_]{2,32}")
PLUGIN_TABLES = ("breaker", "alert", "service")
OFF = frozenset({"", "0", "false", "no", "off"})

#: Environment variable -> the limit it may tighten (requirements, row 88).
TIGHTEN = {
    "MAX_DRAWDOWN_PERCENT": "breaker.drawdown.max_drawdown_pct",
    "MAX_POSITION_VALUE": "breaker.position_size.max_position_usdt",
    "VOLATILITY_THRESHOLD": "breaker.volatility.volatility_threshold",
    "LIQUIDATION_TIMEOUT_SECONDS": "flatten.deadline_seconds",
}
MASTER_SWITCH = "EMERGENCY_STOP_ENABLED"

#: Names that other systems or the documents use -> what is meant here.
MOVED = {
    "max_drawdown_percent": "breaker.drawdown.max_drawdown_pct",
    "max_drawdown_pct": "breaker.drawdown.max_drawdown_pct",
    "max_funding_cost_bps": "breaker.funding.max_funding_cost_bps",
    "max_funding_cost_1h": "breaker.funding.max_funding_cost_1h_usdt",
    "max_margin_ratio": "breaker.margin.max_initial_margin_use_pct",
    "margin_ratio_threshold": "breaker.margin.max_maint_margin_pct",
    "max_loss_amount_usdt": "breaker.session_loss.max_loss_amount_usdt",
    "daily_loss_limit_usdt": "breaker.daily_loss.daily_loss_limit_usdt",
    "max_daily_loss_pct": "breaker.daily_loss.max_daily_loss_pct",
    "max_position_usdt": "breaker.position_size.max_position_usdt",
    "max_errors_per_minute": "breaker.order_errors.max_errors_per_minute",
    "api_error_count": "breaker.order_errors.max_errors_per_minute",
    "kill_switch_env_var": "kill_switch.env_var",
    "timeout_seconds": "flatten.deadline_seconds",
    "max_slippage_percent": "flatten.max_slippage_pct",
    "large_position_threshold": "flatten.large_position_threshold_usdt",
    "instrument_id": "instrument.symbol",
    "default_strategy": "instrument.strategy",
    "slack_webhook": "alert.slack.webhook_url",
    "telegram_token": "alert.telegram.token",
    "telegram_chat_id": "alert.telegram.chat_id",
    "starting_balance": "exchange.paper.starting_balance_usdt",
}
GONE = {"require_live_confirmation": "always so: `run --confirm-live ACCOUNT`", "log_all_decisions": "always so: see the journal"}


class Layer(NamedTuple):
    """One source of settings and what people call it."""

    origin: str
    table: Table


def load(
    path: Path | str,
    env: Mapping[str, str] | None = None,
    credentials: Path | str | None = None,
    overrides: Table | None = None,
) -> Config:
    """The configuration of the file at `path`. ConfigError with every problem.

    `env` None = this process's; `credentials` None = $CREDENTIALS_DIRECTORY; `overrides` come from the command line.
    """
    config, problems = read(path, env, credentials, overrides)
    if problems:
        raise ConfigError(problems)
    return config


def load_to_close(path: Path | str) -> Config:
    """As `load`, for whoever must close in a hurry: an alert channel or a service that is wrong, or whose secret is not there, is off."""
    problems = read(path)[1]
    places = [problem.path.split(".") for problem in problems]
    off: Table = {}
    for kind, name in (place[:2] for place in places if place[0] in ("alert", "service") and len(place) > 1):
        off.setdefault(kind, {})[name] = {"enabled": False}
    return load(path, overrides=off)


def parse(table: Table) -> Config:
    """A configuration from plain data such as `Config.raw`. ConfigError with every problem in its form."""
    config, problems = _fill(table)
    if problems:
        raise ConfigError(problems)
    return config


def read(
    path: Path | str,
    env: Mapping[str, str] | None = None,
    credentials: Path | str | None = None,
    overrides: Table | None = None,
) -> tuple[Config, list[Problem]]:
    """As `load`, but never raises: with problems, what is wrong stands at its default so that the rest can be checked as well."""
    env = os.environ if env is None else env
    problems: list[Problem] = []
    paths = _files(Path(path))
    layers = [Layer(one.name, _parse(one, problems)) for one in paths]
    unread = bool(problems) and not layers[0].table  # then nothing is said of what it lacks
    layers += [Layer("command line", overrides)] if overrides else []
    named = [layer.table["preset"] for layer in layers if "preset" in layer.table]
    preset = named[-1] if named else fields_of(Config)[2].default
    table: Table = {}
    origins: dict[str, str] = {}
    known = PRESETS.get(preset, {}) if isinstance(preset, str) else {}
    for layer in [Layer(f"preset {preset}", known), *layers]:
        _lay(table, layer.table, layer.origin, origins, "")
    notes: list[Problem] = []
    table = Filler(env, Path(credentials or env.get("CREDENTIALS_DIRECTORY", "")), origins, problems).fill(table)
    _tighten(table, env, origins, problems, notes)
    config, wrong = _fill(table)
    problems += [_discreet(_explained(one)) for one in wrong]
    config = replace(config, origins=origins, files=tuple(str(one) for one in paths), notes=tuple(notes))
    return config, problems + ([] if unread else _form(config))


# --- files --------------------------------------------------------------------------------------------------------------


def _files(path: Path) -> list[Path]:
    try:
        return [path, *sorted(one for one in (path.parent / "conf.d").iterdir() if one.suffix == ".toml" and one.name[0] != ".")]
    except OSError:
        return [path]


def _parse(path: Path, problems: list[Problem]) -> Table:
    """One file as a table; {} with a problem where it cannot be read, may not be believed, or is no TOML."""
    try:
        with _opened(path) as file:
            faults = loose(file), readable(file)
            table = tomllib.loads((file.read() or b"").decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        if isinstance(error, FileNotFoundError):
            why += ": name yours with --config; etc/paper.toml is one to begin with"
        problems.append(Problem(str(path), None, "a readable TOML file", why))
        return {}
    if fault := faults[0] or (faults[1] if _literal_secret(table) else ""):
        problems.append(Problem(str(path), None, *fault.split("; ", 1)))
    return table


def _opened(path: Path) -> BinaryIO:
    """A file opened to be read; a pipe in its place is not waited for."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")


def loose(file: BinaryIO) -> str:
    """Why a configuration or credential file may not be believed; "" = it may. Says what is expected; how to get it."""
    info = os.fstat(file.fileno())
    if info.st_uid not in (0, os.geteuid()):
        return f"a file of root or of uid {os.geteuid()}, it belongs to uid {info.st_uid}; chown it"
    if not stat.S_ISREG(info.st_mode):
        return "a regular file; replace it"
    if who := owners.other_writers(file.fileno(), info):
        return f"a file that only its owner may write, its mode is {info.st_mode & 0o7777:04o}: so may {who}; chmod go-w"
    return ""


def readable(file: BinaryIO) -> str:
    """Why a file may not hold a secret; "" = it may."""
    info = os.fstat(file.fileno())
    if who := owners.other_readers(file.fileno(), info):
        mode = f"its mode is {info.st_mode & 0o7777:04o}: so may {who}"
        return f'no secret in a file that others may read, {mode}; chmod 600, or write "${{NAME}}" instead'
    return ""


def _literal_secret(table: Table) -> bool:
    return any(is_secret(path) and isinstance(value, str) and value and not NAME.search(value) for path, value in leaves(table))


# --- layers -------------------------------------------------------------------------------------------------------------


def _lay(under: Table, over: Table, origin: str, origins: dict[str, str], where: str) -> None:
    """Lay one table over another, key by key, noting where each value came from."""
    for key, value in over.items():
        path = join(where, key)
        if isinstance(value, dict) and isinstance(under.get(key), dict):
            _lay(under[key], value, origin, origins, path)
        elif path == "instrument" and isinstance(value, list):
            _lay_instruments(under.setdefault(key, []), value, origin, origins)
        else:
            under[key] = {} if isinstance(value, dict) else value
            if isinstance(value, dict):
                _lay(under[key], value, origin, origins, path)
            else:
                origins[path] = origin


def _lay_instruments(under: list[Any], over: list[Any], origin: str, origins: dict[str, str]) -> None:
    """A later file's [[instrument]] of the same symbol goes on top of the earlier one; a new symbol is added."""
    first = len(under)
    for item in over:
        symbol = item.get("symbol") if isinstance(item, dict) else None
        # within one file a symbol named twice stays twice, and is refused as such
        place = next((i for i, old in enumerate(under[:first]) if symbol and isinstance(old, dict) and old.get("symbol") == symbol), -1)
        if place < 0:
            under.append({})
            place = len(under) - 1
        if isinstance(item, dict):
            _lay(under[place], item, origin, origins, f"instrument[{place}]")
        else:
            under[place] = item


class Filler:
    """Puts credentials and environment variables where the configuration names them. A table that is off needs none."""

    def __init__(self, env: Mapping[str, str], credentials: Path, origins: dict[str, str], problems: list[Problem]) -> None:
        self.env, self.credentials, self.origins, self.problems = env, credentials, origins, problems

    def fill(self, table: Table) -> Table:
        """The same table with every ${NAME} replaced."""
        exchange = table.get("exchange")
        self.exchange = exchange.get("name", "paper") if isinstance(exchange, dict) else "paper"
        filled: Table = self._walk(table, "", True)
        return filled

    def _walk(self, value: Any, path: str, used: bool) -> Any:
        if isinstance(value, dict):
            used = used and value.get("enabled") is not False
            return {key: self._walk(item, join(path, key), used and self._in_use(path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._walk(item, f"{path}[{i}]", used) for i, item in enumerate(value)]
        return self._text(value, path, used) if isinstance(value, str) and "${" in value else value

    def _in_use(self, path: str, key: str) -> bool:
        return path != "exchange" or key in ("name", "file", self.exchange)

    def _text(self, text: str, path: str, used: bool) -> str:
        def put(match: re.Match[str]) -> str:
            found = self._find(match[1], path)
            if found is None and used:
                self.problems.append(Problem(path, text, f"a credential or environment variable named {match[1]}: there is none"))
            return found or ""

        filled = NAME.sub(put, text)
        return Outside(filled) if NAME.fullmatch(text) else filled

    def _find(self, name: str, path: str) -> str | None:
        for file in (self.credentials / name, self.credentials / name.lower()):
            if self.credentials != Path() and file.is_file():
                self.origins[path] = f"credential {file.name}"
                return self._credential(file, path)
        if name in self.env:
            self.origins[path] = f"environment {name}"
        return self.env.get(name)

    def _credential(self, file: Path, path: str) -> str:
        try:
            with _opened(file) as opened:
                fault, text = loose(opened) or readable(opened), (opened.read() or b"").decode()
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(Problem(path, None, f"a credential that can be read from {file}", str(error)))
            return ""
        if fault:
            self.problems.append(Problem(path, None, f"{file}: " + fault.split("; ")[0], fault.split("; ", 1)[1]))
        return text.strip()


def _tighten(table: Table, env: Mapping[str, str], origins: dict[str, str], problems: list[Problem], notes: list[Problem]) -> None:
    """Apply the environment variables that may tighten a limit and never loosen one."""
    for name, path in TIGHTEN.items():
        if not env.get(name):
            continue
        try:
            wanted = float(env[name])
        except ValueError:
            wanted = -1.0
        current = _get(table, path, _default(path))
        if wanted <= 0:
            problems.append(Problem(f"environment {name}", env[name], "a number above 0"))
        elif not isinstance(current, int | float):
            notes.append(Problem(f"environment {name}", env[name], f"a limit {path} that it could tighten: it is not set"))
        elif wanted < current:
            _put(table, path, wanted)
            origins[path] = f"environment {name}"
        elif wanted > current:
            notes.append(Problem(f"environment {name}", env[name], f"less than {path} = {current:g}: it may only tighten"))
    _master_switch(table, env, origins, problems, notes)


def _master_switch(table: Table, env: Mapping[str, str], origins: dict[str, str], problems: list[Problem], notes: list[Problem]) -> None:
    if MASTER_SWITCH not in env:
        return
    if env[MASTER_SWITCH].strip().lower() not in OFF:
        _put(table, "kill_switch.enabled", True)
        origins["kill_switch.enabled"] = f"environment {MASTER_SWITCH}"
        return
    told = problems if table.get("mode") == "live" else notes
    told.append(Problem(f"environment {MASTER_SWITCH}", env[MASTER_SWITCH], "true, or no such variable: it may switch on, never off"))


def _get(table: Table, path: str, default: Any) -> Any:
    for key in path.split("."):
        if not isinstance(table, dict) or key not in table:
            return default
        table = table[key]
    return table


def _put(table: Table, path: str, value: Any) -> None:
    *above, key = path.split(".")
    for part in above:
        table = table.setdefault(part, {})
    table[key] = value


def _default(path: str) -> Any:
    """The default of a path of the schema; the moderate preset stands for what a plugin declares."""
    value: Any = Config()
    for key in path.split("."):
        value = getattr(value, key, None)
    return value if value is not None else _get(PRESETS["moderate"], path, None)


# --- form ---------------------------------------------------------------------------------------------------------------


def _fill(table: Table) -> tuple[Config, list[Problem]]:
    """The table as a Config. The section of a foreign exchange, which only its plugin knows, is kept as it is."""
    other: Table = {}
    exchange = table.get("exchange")
    if isinstance(exchange, dict) and exchange.get("name") not in (None, "paper", "binance"):
        name = exchange["name"]
        other = exchange.get(name, {})
        table = {**table, "exchange": {key: value for key, value in exchange.items() if key != name}}
    config, problems = fill_settings(Config, table, "")
    config = replace(config, exchange=replace(config.exchange, other=other))
    for kind in PLUGIN_TABLES:
        if any(one.path == kind or (one.path.startswith(f"{kind}.") and one.path.count(".") == 1) for one in problems):
            config = replace(config, **{kind: {}})
            continue
        for name, table in getattr(config, kind).items():
            problems += common(kind, name, table)[1]
    return config, problems


def common(kind: str, name: str, table: Table) -> tuple[Any, list[Problem]]:
    """The keys of a plugin's table that are the daemon's own (`schema.COMMON`), filled."""
    keys = COMMON[kind]
    names = {one.name for one in fields_of(keys)}
    return fill_settings(keys, {key: value for key, value in table.items() if key in names}, f"{kind}.{name}")


def own(kind: str, table: Table) -> Table:
    """The keys of a plugin's table that are the plugin's."""
    names = {one.name for one in fields_of(COMMON[kind])}
    return {key: value for key, value in table.items() if key not in names}


def _explained(problem: Problem) -> Problem:
    """A better hint for a key that other systems know by this name, or that lies in another table."""
    if problem.expected != UNKNOWN_KEY:
        return problem
    key = problem.path.rpartition(".")[2]
    if key in GONE:
        return problem._replace(hint=GONE[key])
    if problem.hint:
        return problem
    elsewhere = MOVED.get(key) or next((path for path in _paths() if path.rpartition(".")[2] == key), "")
    return problem._replace(hint=f"did you mean {elsewhere!r}?" if elsewhere else "")


def _discreet(problem: Problem) -> Problem:
    """A problem that shows no secret and nothing that came from outside."""
    hidden = problem.value and (is_secret(problem.path) or isinstance(problem.value, Outside))
    return problem._replace(value="***") if hidden else problem


def _paths(cls: type = Config, where: str = "") -> list[str]:
    found = []
    for one in fields_of(cls):
        path = join(where, one.name)
        found += _paths(one.hint, path) if is_section(one.hint) else [path]
    return found


def _form(config: Config) -> list[Problem]:
    """What no single value shows: that there are instruments, each once, with the filters that nobody else supplies."""
    problems = [] if config.instrument else [Problem("instrument", None, "at least one [[instrument]] table")]
    seen: set[str] = set()
    for i, item in enumerate(config.instrument):
        where = f"instrument[{i}]"
        if isinstance(item.symbol, str) and not SYMBOL.fullmatch(item.symbol):
            problems.append(Problem(f"{where}.symbol", item.symbol, "capital letters and digits, such as BTCUSDT"))
        elif item.symbol is not None and item.symbol in seen:
            problems.append(Problem(f"{where}.symbol", item.symbol, "each symbol once"))
        seen.add(item.symbol)
        problems += _brackets(item, f"{where}.brackets")
        if not config.market:
            for key in ("tick_size", "lot_size"):
                if getattr(item.filters, key) is None and f"{where}.filters.{key}" not in config.origins:
                    problems.append(Problem(f"{where}.filters.{key}", None, "a number above 0: no exchange supplies filters"))
    return problems


def _brackets(item: InstrumentTable, where: str) -> Iterator[Problem]:
    """The first bracket begins at 0; floors rise, rates do not fall, and the margin has no step: liquidation is reckoned on that."""
    before = None
    for i, (row, made) in enumerate(zip(item.brackets, item.maintenance(), strict=False)):
        least = before.floor if before else 0.0
        if (before is None and made.floor != 0.0) or (before is not None and made.floor <= least):
            expected = f"more than {least:g}, the floor before it: floors rise" if before else "0: the first bracket begins at nothing"
            yield Problem(f"{where}[{i}].notional_floor_usdt", made.floor, expected)
        if before is not None and made.maint_margin_pct < before.maint_margin_pct:
            yield Problem(f"{where}[{i}].maint_margin_pct", made.maint_margin_pct, f"at least {before.maint_margin_pct:g}: rates rise")
        if abs(made.cum - (fine := step_free(before, row))) > ROUNDED_USDT:
            yield Problem(f"{where}[{i}].cum_usdt", made.cum, f"{fine:g}, with which the margin has no step; it may be left out")
        before = made


ROUNDED_USDT = 1.0  #: so far off may a `cum` be that somebody rounded
