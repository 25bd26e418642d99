"""Alerts to a Slack channel by an incoming webhook. The webhook's address is the secret: no error ever shows it.

[alert.slack]
webhook_url = "${SLACK_WEBHOOK_URL}"
"""

from __future__ import annotations

import re
from typing import Any

from hedgegridd import Alert, hookimpl
from hedgegridd.errors import PluginError

SAYS = re.compile(r"[a-z_ ]{1,80}")  # as Slack words its refusals; a page, perhaps a proxy's, may show the address that was asked for
LONGEST = 3900  # characters; Slack cuts at 4000
TIMEOUTS = (4.0, 5.0)  # connect, answer: seconds
SIGNS = {"CRITICAL": ":rotating_light:", "WARNING": ":warning:", "INFO": ":information_source:"}


class DeliveryError(PluginError):
    """Slack refused or could not be reached. `retry_after` seconds, 0 = it named none."""

    def __init__(self, why: str, retry_after: float = 0.0) -> None:
        super().__init__(f"slack: {why}")
        self.retry_after = retry_after


def text_of(alert: Alert) -> str:
    """Title in bold, then the text; what Slack would take for markup is escaped."""
    title, text = (part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for part in (alert.title, alert.text))
    return f"{SIGNS[alert.severity]} *[{alert.severity}] {title}*\n{text}"[:LONGEST]


class SlackAlerts:
    name = "slack"

    class Settings:
        webhook_url: str = ""

    settings: Any = Settings()

    def send(self, alert: Alert) -> None:
        if not self.settings.webhook_url:
            raise DeliveryError('webhook_url is empty, expected webhook_url = "${SLACK_WEBHOOK_URL}" in [alert.slack]')
        status, body, retry_after = self._post({"text": text_of(alert)})
        if status != 200:
            raise DeliveryError(f"HTTP {status} {body}", retry_after)

    def _post(self, payload: dict[str, str]) -> tuple[int, str, float]:
        """HTTP status (0 = no answer), what was said, seconds to wait. A library's error text would hold the address."""
        import requests

        try:
            answer = requests.post(self.settings.webhook_url, json=payload, timeout=TIMEOUTS, allow_redirects=False)
        except requests.RequestException as error:
            return 0, f"no answer: {type(error).__name__}", 0.0
        wait = answer.headers.get("Retry-After", "")
        body = answer.text.strip()
        return (
            answer.status_code,
            body if SAYS.fullmatch(body) else f"(a page of {len(body)} characters)",
            float(wait) if wait.isdigit() else 0.0,
        )


@hookimpl
def register_alerts(register: Any) -> None:
    register(SlackAlerts)
