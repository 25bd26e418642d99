"""Alerts by e-mail, through one SMTP server. No password leaves over a line without TLS, and no error shows it.

[alert.email]
host = "smtp.example.org"
user = "grid"
password = "${SMTP_PASSWORD}"
sender = "grid@example.org"
to = "me@example.org, you@example.org"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hedgegridd import Alert, hookimpl
from hedgegridd.errors import PluginError

if TYPE_CHECKING:
    from email.message import EmailMessage
    from smtplib import SMTP

TIMEOUT_SECONDS = 9.0  # of the connection and of each answer


class DeliveryError(PluginError):
    """The server refused, or could not be reached."""


def message_of(alert: Alert, sender: str, to: str) -> EmailMessage:
    """Plain text; a title with line breaks cannot add a header."""
    from email.message import EmailMessage  # only where mail is sent: it costs a start more than all other channels

    message = EmailMessage()
    message["From"], message["To"] = sender, to
    message["Subject"] = " ".join(f"[{alert.severity}] {alert.title}".split())
    message.set_content(alert.text, cte="quoted-printable")  # what every server on the way may carry
    return message


class EmailAlerts:
    name = "email"

    class Settings:
        host: str = ""
        port: Annotated[int, {"min": 1, "max": 65535}] = 587
        security: Annotated[str, {"choices": ("starttls", "tls", "none")}] = "starttls"  #: starttls, tls, or none
        user: str = ""  #: "" = the server wants no login; with security none it must be
        password: str = ""
        sender: str = ""
        to: str = ""  #: several with a comma between

    settings: Any = Settings()

    def send(self, alert: Alert) -> None:
        for key in ("host", "sender", "to"):
            if not getattr(self.settings, key):
                raise DeliveryError(f"email: {key} is empty, expected it in [alert.email]")
        if self.settings.user and self.settings.security == "none":
            raise DeliveryError('email: a password needs security = "starttls" or "tls", given was "none"')
        if why := self._delivered(message_of(alert, self.settings.sender, self.settings.to)):
            raise DeliveryError(f"email: {why.replace(self.settings.password or chr(0), '***')}")

    def _delivered(self, message: EmailMessage) -> str:
        """What kept it from every address; "" = nothing did."""
        import smtplib

        try:
            with self._line() as line:
                if self.settings.user:
                    line.login(self.settings.user, self.settings.password)
                refused = line.send_message(message)
        except smtplib.SMTPResponseException as error:
            return f"{self.settings.host} answered {error.smtp_code} {_plain(error.smtp_error)}"
        except (OSError, smtplib.SMTPException) as error:
            return f"{self.settings.host}:{self.settings.port}: {type(error).__name__} {error}".rstrip()
        return f"refused for {', '.join(refused)}" if refused else ""

    def _line(self) -> SMTP:
        """A connection, under TLS where it should be; the server's certificate must be sound."""
        import smtplib
        import ssl

        place = (self.settings.host, self.settings.port)
        if self.settings.security == "tls":
            return smtplib.SMTP_SSL(*place, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
        line = smtplib.SMTP(*place, timeout=TIMEOUT_SECONDS)
        try:
            if self.settings.security == "starttls":
                line.starttls(context=ssl.create_default_context())
        except BaseException:
            line.close()
            raise
        return line


def _plain(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said


@hookimpl
def register_alerts(register: Any) -> None:
    register(EmailAlerts)
