"""Alerts to a Telegram chat by a bot. The bot's token is part of the address, so no error ever shows an address.

[alert.telegram]
token = "${TELEGRAM_BOT_TOKEN}"
chat_id = "${TELEGRAM_CHAT_ID}"
"""

from __future__ import annotations

from typing import Any

from hedgegridd import Alert, hookimpl
from hedgegridd.errors import PluginError

LONGEST = 4096  # characters of one message
TIMEOUTS = (4.0, 5.0)  # connect, answer: seconds
SIGNS = {"CRITICAL": "🚨", "WARNING": "⚠️", "INFO": "ℹ️"}


class DeliveryError(PluginError):
    """Telegram refused or could not be reached. `retry_after` seconds, 0 = it named none."""

    def __init__(self, why: str, retry_after: float = 0.0) -> None:
        super().__init__(f"telegram: {why}")
        self.retry_after = retry_after


def text_of(alert: Alert) -> str:
    """Plain text: no markup, so nothing an exchange said can break or disguise a message."""
    return f"{SIGNS[alert.severity]} [{alert.severity}] {alert.title}\n\n{alert.text}"[:LONGEST]


class TelegramAlerts:
    name = "telegram"

    class Settings:
        token: str = ""
        chat_id: str = ""
        base_url: str = "https://api.telegram.org"

    settings: Any = Settings()

    def send(self, alert: Alert) -> None:
        for key in ("token", "chat_id"):
            if not getattr(self.settings, key):
                raise DeliveryError(f"{key} is empty, expected it in [alert.telegram]")
        status, body = self._post({"chat_id": self.settings.chat_id, "text": text_of(alert), "disable_web_page_preview": True})
        if status != 200 or body.get("ok") is not True:
            why = f"HTTP {status} {body.get('description', '')}" if status else body["description"]
            wait = body.get("parameters") or {}
            raise DeliveryError(why.replace(self.settings.token, "***"), float(wait.get("retry_after", 0)))

    def _post(self, payload: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """HTTP status (0 = no answer) and what was said."""
        import requests

        url = f"{self.settings.base_url.rstrip('/')}/bot{self.settings.token}/sendMessage"
        try:
            answer = requests.post(url, json=payload, timeout=TIMEOUTS, allow_redirects=False)
            body = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        except requests.RequestException as error:
            return 0, {"description": f"no answer: {type(error).__name__}"}
        return answer.status_code, body if isinstance(body, dict) else {}


@hookimpl
def register_alerts(register: Any) -> None:
    register(TelegramAlerts)
