"""`hedgegridd`: the daemon and the offline jobs. One law: it decides nothing; each command is a few calls into a room.

Exit codes: 0 done, 1 failed, 2 usage, 4 not flat, 75 a second instance, 78 configuration, state or live gate refused.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hedgegridd import __version__
from hedgegridd.errors import ConfigError, HedgegriddError

if TYPE_CHECKING:
    from hedgegridd.config import Config
    from hedgegridd.plugins import Registry

CONFIG = click.option("--config", "config_path", type=click.Path(path_type=Path), default="/etc/hedgegridd/hedgegridd.toml",
                      show_default=True, help="The configuration file; conf.d/*.toml beside it are read after it.")  # fmt: skip

STATE = click.option("--state-dir", default="", help="The daemon's state directory.  [default: as the configuration says]")


def _state_dir(config_path: Path, named: str) -> Path:
    """The state directory of the daemon that runs by this configuration; one that is named needs no configuration."""
    from hedgegridd import paths
    from hedgegridd.config import load

    if named:
        if not Path(named).is_dir():
            raise click.BadParameter(f"{named!r} is no folder", param_hint="--state-dir")
        return Path(named)
    daemon = load(config_path).daemon
    return Path(paths.state_dir("", daemon.state_dir, daemon.instance, os.environ))


def _fail(text: str, code: int) -> None:
    click.secho(text, fg="red", err=True)
    sys.exit(code)


def taught(command: Callable[..., Any]) -> Callable[..., Any]:
    """Errors of ours end a command with their text and exit code, never with a traceback."""
    from functools import wraps

    @wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except HedgegriddError as error:
            lines = [f"  {problem}" for problem in error.problems] if isinstance(error, ConfigError) else [str(error)]
            head = [f"the configuration has {len(lines)} problem(s):"] if isinstance(error, ConfigError) else []
            return _fail("\n".join(head + lines), error.exit_code)

    return run


def _loaded(path: Path, to_close: bool = False) -> tuple[Config, Registry]:
    from hedgegridd.config import load, load_to_close
    from hedgegridd.errors import PluginError
    from hedgegridd.plugins import load_exchange, load_shipped

    config, registry = (load_to_close if to_close else load)(path), load_shipped()
    if wrong := load_exchange(config.exchange.file, path.parent, registry):
        raise PluginError(wrong)
    return config, registry


PLAIN: dict[str, Any] = {"color": False} if os.environ.get("NO_COLOR") else {}  #: for the context: no colours at all


@click.group(context_settings={"help_option_names": ["-h", "--help"], **PLAIN})
@click.version_option(__version__, prog_name="hedgegridd")
def main() -> None:
    """Trades an adaptive hedge-mode grid and, above all, stops when it must."""


def _speed(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None or value == "max":
        return None if value is None else float("inf")
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e9:
        raise click.BadParameter(f"{value!r}: expected a positive number or max")
    return speed


def _moment(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    from hedgegridd.times import ms

    try:
        return None if value is None else ms(value)
    except ValueError:
        raise click.BadParameter(f"{value!r}: expected a time such as 2025-02-03 or 2025-02-03T02:07:00Z") from None


@main.command()
@CONFIG
@click.option("--feed", type=click.Path(path_type=Path, exists=True), help="Play this recording instead of the configured feed.")
@click.option("--speed", callback=_speed, metavar="N|max", help="N times real time, or as fast as it goes.")
@click.option("--confirm-live", metavar="ACCOUNT", help="The second act that live trading needs: must equal exchange.binance.account.")
@click.option("--state-dir", default="", help="Where journal and kill switch file live.")
@click.option("--socket", default="", help="The control socket.")
@taught
def run(config_path: Path, feed: Path | None, speed: float | None, confirm_live: str | None, state_dir: str, socket: str) -> None:
    """Run the daemon in the foreground (Type=notify under systemd)."""
    import asyncio

    from hedgegridd.check import refuse
    from hedgegridd.live import log
    from hedgegridd.live.start import Options
    from hedgegridd.live.start import run as run_daemon

    config, registry = _loaded(config_path)
    log.setup(config.daemon.log_level, config.secrets)
    refuse(config, registry, confirm_live=confirm_live, feed=feed)
    options = Options(config_path, feed, speed, state_dir, socket, confirm_live)
    sys.exit(asyncio.run(run_daemon(config, registry, options, os.environ)))


@main.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="JSON for scripts.")
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@click.option("--show", is_flag=True, help="Print each effective value and where it comes from.")
@taught
def check(config_path: Path, as_json: bool, strict: bool, show: bool) -> None:
    """Check a configuration offline, with the grid filled."""
    from hedgegridd import check as checking

    sys.exit(checking.command(config_path, as_json=as_json, strict=strict, show=show))


@main.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="JSON for scripts.")
@taught
def preflight(config_path: Path, as_json: bool) -> None:
    """Look an account over as a start in live would. Puts right what may be, and starts nothing: 0 fine, 1 not."""
    import asyncio

    from hedgegridd.live import survey

    config, registry = _loaded(config_path)
    facts = asyncio.run(survey.preflight(config, registry))
    click.echo(json.dumps({"schema": 1, "preflight": [fact._asdict() for fact in facts]}) if as_json else "\n".join(survey.table(facts)))
    sys.exit(0 if all(fact.ok for fact in facts) else 1)


@main.command()
@CONFIG
@click.option("--leg", type=click.Choice(["long", "short", "both"]), default="both", show_default=True)
@click.option("--state-dir", default="")
@click.option("--socket", default="")
@click.option("--yes", is_flag=True, help="Needed: this closes positions at market.")
@taught
def flatten(config_path: Path, leg: str, state_dir: str, socket: str, yes: bool) -> None:
    """Break-glass: engage the kill switch and close positions. With the daemon alive, hung or dead."""
    from hedgegridd.live import breakglass, log

    if not yes:
        raise click.UsageError("this closes positions at market; say --yes to do it")
    config, registry = _loaded(config_path, to_close=True)
    log.setup(config.daemon.log_level, config.secrets)
    sys.exit(breakglass.flatten(config, registry, leg, state_dir, socket, os.environ, click.echo))


@main.command()
@CONFIG
@STATE
@click.option("--from", "frm", type=int, help="First record number.")
@click.option("--to", type=int, help="Last record number.")
@click.option("--json", "as_json", is_flag=True)
@taught
def replay(config_path: Path, state_dir: str, frm: int | None, to: int | None, as_json: bool) -> None:
    """Decide a journal's inputs again and compare every decision. 0 all equal, 1 a mismatch or damage, 2 inputs pruned."""
    from hedgegridd.live.replay import replay as replay_journal
    from hedgegridd.plugins import load_shipped

    done = replay_journal(_state_dir(config_path, state_dir) / "journal", load_shipped(), frm, to)
    if as_json:
        click.echo(json.dumps({**done._asdict(), "mismatches": [row._asdict() for row in done.mismatches]}, default=str))
    else:
        click.echo(f"{done.inputs:,} inputs replayed, {done.acts:,} acts compared, hash {done.decisions_hash or '-'}")
        for row in done.mismatches:
            click.secho(f"  record {row.seq} ({row.kind}): journal {row.recorded}, replay {row.replayed}", fg="red")
        if done.lost:
            click.secho(f"  {done.lost} records never reached the disk: what followed in their life is not judged", fg="yellow")
        if done.pruned:
            click.secho(f"  inputs of records {done.pruned[0]} to {done.pruned[1]} were pruned", fg="yellow")
        elif not done.mismatches:
            click.secho("every decision came out the same", fg="green")
        if done.damage:
            click.secho(f"  the journal is damaged: {done.damage}", fg="red")
    sys.exit(1 if done.mismatches or done.damage else 2 if done.pruned else 0)


@main.command()
@CONFIG
@STATE
@click.option("--head", default="", help="SEQ:HASH of records that must be there, as alerts carry them; comma between.")
@click.option("--json", "as_json", is_flag=True)
@taught
def verify(config_path: Path, state_dir: str, head: str, as_json: bool) -> None:
    """Check a journal's hash chain, with no daemon. And that a head an alert carried is in it: 0 sound, 1 damaged."""
    from hedgegridd import journal
    from hedgegridd.control.text import verified
    from hedgegridd.live import heads

    found = heads.shown(journal.verify(_state_dir(config_path, state_dir) / "journal", heads.read(head)), head)
    click.echo(json.dumps({"schema": 1, **found}) if as_json else "\n".join(verified(found)))
    sys.exit(0 if found["ok"] else 1)


@main.command()
@CONFIG
@click.option("--data", type=click.Path(path_type=Path, exists=True), help="A file, or a folder with klines/ and funding/.")
@click.option("--symbol", help="One symbol only.")
@click.option("--interval", help="Length of a bar.  [default: 1m]")
@click.option("--from", "start", help="First moment, UTC.")
@click.option("--to", "end", help="Last moment, UTC.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the artefacts.  [default: artifacts/backtests/<time>]")
@click.option("--engine", type=click.Choice(["fast", "full"]), help="full = the daemon's whole heart, fast = compiled; same fills.")
@click.option("--against", type=click.Path(path_type=Path, exists=True), help="A session's state directory: name each other decision.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
@taught
def backtest(config_path: Path, as_json: bool, against: Path | None, **options: Any) -> None:
    """Trade recorded data, breakers on, and write a report."""
    gc.set_threshold(100_000, 20, 20)  # much is loaded, and stays: to look for garbage in it time and again took a twentieth of a run
    from hedgegridd.research import backtest as testing
    from hedgegridd.research.report import write

    config, registry = _loaded(config_path)
    given = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    summary = testing.command(config, registry, given, as_json, lambda line: click.secho(line, fg="yellow", err=True), against)
    write(Path(summary["out"]))
    click.echo(testing.dump(summary) if as_json else testing.text(summary))
    gc.freeze()  # else the end of the process looks through all of it once more, for a third of a second


@main.group(invoke_without_command=True)
@CONFIG
@STATE
@click.option("--from", "start", callback=_moment, help="First moment, UTC, of the data's clock.")
@click.option("--to", "end", callback=_moment, help="Last moment, UTC.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the page and the tables.  [default: artifacts/reports/<time>]")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON; writes files only with --out.")
@click.pass_context
@taught
def report(
    context: click.Context, config_path: Path, state_dir: str, start: int | None, end: int | None, out: Path | None, as_json: bool
) -> None:
    """What a session made; `report incident`: what ended it. From the journal, as the page of a backtest shows it."""
    if context.invoked_subcommand is not None:
        return
    from hedgegridd.plugins import load_shipped
    from hedgegridd.research import performance
    from hedgegridd.research.report import write

    folder = out or (None if as_json else performance.fresh())
    summary = performance.made(_state_dir(config_path, state_dir) / "journal", load_shipped(), start, end, folder)
    written = [] if folder is None else [f"report    {write(folder)}"]
    click.echo(json.dumps(summary) if as_json else "\n".join([performance.text(summary), *written]))


@report.command()
@click.argument("number", metavar="[ID]", type=int, required=False)
@CONFIG
@STATE
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the page and its JSON.  [default: artifacts/incidents]")
@click.option("--json", "as_json", is_flag=True, help="The document (without ID: the list); writes files only with --out.")
@taught
def incident(number: int | None, config_path: Path, state_dir: str, out: Path | None, as_json: bool) -> None:
    """What stopped the account, on which inputs, and what proves the end; without ID all there were."""
    from hedgegridd.control.incident import shown
    from hedgegridd.research import incidents

    folder = _state_dir(config_path, state_dir) / "journal"
    found = incidents.rows(folder) if number is None else incidents.made(folder, number)
    written = incidents.write(found, out or incidents.OUT) if number is not None and (out or not as_json) else []
    click.echo(json.dumps(found) if as_json else "\n".join([*shown(found), *(f"written      {path}" for path in written)]))


@main.group(invoke_without_command=True)
@CONFIG
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
@taught
def plugins(context: click.Context, config_path: Path, as_json: bool) -> None:
    """What is loaded, and why not; `plugins try`: would it trip?"""
    if context.invoked_subcommand is not None:
        return
    from hedgegridd.control.reads import plugins as listed
    from hedgegridd.control.text import Ink
    from hedgegridd.live.plugintable import table

    found = {"schema": 1, "plugins": table(config_path)}
    click.echo(json.dumps(found) if as_json else "\n".join(listed(found, Ink(not PLAIN and sys.stdout.isatty()))))


@plugins.command("try")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="Settings and strategy.  [default: the journal's own]")
@click.option("--state-dir", type=click.Path(path_type=Path, exists=True), help="Over the journal of this state directory.")
@click.option("--data", type=click.Path(path_type=Path, exists=True), multiple=True, help="Over this recording; again for more.")
@click.option("--name", default="", help="Only this breaker of the file.")
@click.option("--within", type=click.FloatRange(min=0.1), metavar="SECONDS", help="In haste: the newest part, at the lowest priority.")
@click.option("--json", "as_json", is_flag=True, help="JSON for scripts.")
@click.pass_context
@taught
def plugins_try(context: click.Context, file: Path, config_path: Path | None, as_json: bool, **options: Any) -> None:
    """Would this breaker have tripped, on what, and what would that have cost or saved? Arms nothing. 0 fine, 1 the file fails."""
    from hedgegridd.trial import command

    above = context.parent
    if above is not None and above.get_parameter_source("config_path") == click.core.ParameterSource.COMMANDLINE:
        config_path = config_path or above.params["config_path"]  # it may stand before the word `try`
    sys.exit(command.run(file, config_path, as_json=as_json or bool(above and above.params["as_json"]), **options))


@main.group()
def data() -> None:
    """Recorded market data; `data info`: what there is."""


@data.command("info")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="JSON for scripts.")
@taught
def data_info(path: Path, as_json: bool) -> None:
    """What a recording holds, from when to when, and where nothing is. PATH is what --data and --feed take."""
    from hedgegridd.control.text import table
    from hedgegridd.feed import inventory

    found = inventory.inventory(path)
    if as_json:
        click.echo(json.dumps({"schema": 1, "data": [one.row() for one in found]}))
    else:
        click.echo("\n".join([*table(inventory.cells(found), inventory.HEADS), *inventory.parts(found)]))


if __name__ == "__main__":
    main()
