"""`hedgegridd plugins try` as it is typed: options in, text or JSON and an exit code out. It decides nothing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from hedgegridd.config import load
from hedgegridd.plugins import load_exchange, load_shipped
from hedgegridd.trial import trial, words


def run(
    file: Path, config_path: Path | None, *, state_dir: Path | None, data: tuple[Path, ...], name: str, within: float | None, as_json: bool
) -> int:
    """0 = it loads and answers; 1 = it does not load, or fails. What the trial cannot begin with is raised."""
    if state_dir is None and not data:
        raise click.UsageError("what is it to be tried on? Give --state-dir, --data, or both")
    if state_dir is None and config_path is None:
        raise click.UsageError("--data needs --config: the strategy that trades on it")
    if within is not None:
        trial.give_way()
    config, registry = None if config_path is None else load(config_path), load_shipped()
    if config is not None and config_path is not None and (wrong := load_exchange(config.exchange.file, config_path.parent, registry)):
        raise click.ClickException(wrong)
    wanted = trial.Wanted(
        file, config, registry, None if state_dir is None else state_dir / "journal", data, name, within, as_json,
        lambda line: click.echo(line, err=True),
    )  # fmt: skip
    document = trial.run(wanted)
    if as_json:
        click.echo(json.dumps(document, default=str))
    else:
        coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        click.echo("\n".join(words.text(document, _paint if coloured else words.plain)))
    return 0 if document["ok"] else 1


def _paint(text: str, colour: str) -> str:
    return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)
