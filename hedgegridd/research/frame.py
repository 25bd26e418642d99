"""The frame of every page: head, policy, sections and the links to them.

One law: nothing on a page can reach out, and nothing but what is named here can act. Style and script stand in the page, a content
security policy names them by their hashes and forbids all else; a page without a script may run none. It knows no report.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from hedgegridd.research.wording import DASH, text

HERE = Path(__file__).resolve().parent

Section = tuple[str, str, str]  #: anchor, heading, HTML; one without HTML is left out


def framed(title: str, sections: Iterable[Section], header: Callable[[str], str], *, style: str = "", foot: str = "", tail: str = "",
           script: str = "") -> str:  # fmt: skip
    """The whole file. `header` is told the links to the sections; `style` is laid over the common one, `tail` stands after the page,
    before the script.
    """
    style = (HERE / "report.css").read_text("utf-8") + style
    there = [one for one in sections if one[2]]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, _ in there)
    body = "\n".join(f'<section id="{name}"><h2>{heading}</h2>\n{body}</section>' for name, heading, body in there)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{text(title)} {DASH} hedgegridd</title>
<style>{style}</style>
</head>
<body>
<main>
{header(links)}
{body}
{foot}
</main>
{tail}{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


def _policy(style: str, script: str) -> str:
    scripts = f"script-src '{fingerprint(script)}'; " if script else ""
    return f"default-src 'none'; style-src '{fingerprint(style)}'; {scripts}base-uri 'none'; form-action 'none'"


def fingerprint(source: str) -> str:
    """As a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def dotted(facts: Iterable[object]) -> str:
    """Facts in one line, a dot between; empty ones are left out."""
    return '<span class="dot">·</span>'.join(f"<span>{text(fact)}</span>" for fact in facts if fact)
