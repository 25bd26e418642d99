"""E-mail: what a real SMTP server on the loopback is given, what counts as delivered, and that no password leaves in the clear."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string
from email.policy import default
from types import SimpleNamespace
from typing import Any

import pytest
from rig import plugin_module

from hedgegridd import Alert, Severity
from hedgegridd.errors import PluginError
from hedgegridd.heart import notices

email = plugin_module("alert_email")
PASSWORD = "s3cret-word"
ALERT = notices.system_error(1_736_951_025_000, "größer als 5 %")


class Post(socketserver.StreamRequestHandler):
    """As much of SMTP as a client needs."""

    server: Any

    def handle(self) -> None:
        self._say("220 here")
        while (line := self.rfile.readline().decode().strip()) and line.upper() != "QUIT":
            verb = line.upper().split()[0]
            self.server.heard.append(line)
            if verb == "DATA":
                self._say("354 go on")
                self.server.mail = b"".join(iter(self.rfile.readline, b".\r\n")).decode()
                self._say("250 taken")
            else:
                self._say(self.server.answers.get(line.split(":")[-1].strip(), self.server.answers.get(verb, "250 fine")))

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class PostOffice(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Post)
        self.heard: list[str] = []
        self.answers: dict[str, str] = {}
        self.mail = ""


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with PostOffice() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def channel(office: PostOffice | None = None, **changed: Any) -> Any:
    made = email.EmailAlerts()
    port = office.server_address[1] if office else 1
    plain = {"host": "127.0.0.1", "port": port, "security": "none", "user": "", "password": "", "sender": "grid@here", "to": "a@b, c@d"}
    made.settings = SimpleNamespace(**{**plain, **changed})
    return made


def test_it_registers_one_channel_that_wants_tls() -> None:
    registered: list[Any] = []
    email.register_alerts(registered.append)
    assert [(thing.name, thing.Settings.security, thing.Settings.port) for thing in registered] == [("email", "starttls", 587)]


def test_every_address_is_given_the_alert_word_for_word(office: PostOffice) -> None:
    channel(office).send(ALERT)
    assert [line for line in office.heard if line.startswith("rcpt")] == ["rcpt TO:<a@b>", "rcpt TO:<c@d>"]
    assert "Subject: [CRITICAL] System error" in office.mail and "From: grid@here" in office.mail
    assert message_from_string(office.mail, policy=default).get_content().replace("\r\n", "\n") == f"{ALERT.text}\n"


def test_a_title_adds_no_header(office: PostOffice) -> None:
    channel(office).send(Alert(1, Severity.INFO, "test", "hello\r\nBcc: thief@elsewhere", "text", {}))
    assert "Subject: [INFO] hello Bcc: thief@elsewhere" in office.mail and not any("thief" in line for line in office.heard)


def test_what_one_address_is_refused_is_an_error(office: PostOffice) -> None:
    office.answers["<c@d>"] = "550 nobody here"
    with pytest.raises(PluginError, match=r"^email: refused for c@d$"):
        channel(office).send(ALERT)


def test_a_server_that_refuses_and_one_that_is_not_there_are_errors(office: PostOffice) -> None:
    office.answers["MAIL"] = office.answers["<grid@here>"] = "451 later, please"
    with pytest.raises(PluginError, match=r"email: 127\.0\.0\.1 answered 451 later, please"):
        channel(office).send(ALERT)
    with pytest.raises(PluginError, match=r"email: 127\.0\.0\.1:1: ConnectionRefusedError"):
        channel().send(ALERT)


def test_no_password_leaves_without_tls(office: PostOffice) -> None:
    with pytest.raises(PluginError, match="a password needs security"):
        channel(office, user="u", password=PASSWORD).send(ALERT)
    with pytest.raises(PluginError, match="SMTPNotSupportedError"):  # this server knows no STARTTLS
        channel(office, user="u", password=PASSWORD, security="starttls").send(ALERT)
    assert not any("AUTH" in line.upper() or PASSWORD in line for line in office.heard)


def test_an_error_does_not_show_the_password(office: PostOffice) -> None:
    office.answers["<grid@here>"] = f"550 not with {PASSWORD}"
    with pytest.raises(PluginError) as caught:
        channel(office, password=PASSWORD).send(ALERT)
    assert PASSWORD not in str(caught.value) and "not with ***" in str(caught.value)


@pytest.mark.parametrize("key", ["host", "sender", "to"])
def test_a_missing_setting_is_explained(key: str) -> None:
    with pytest.raises(PluginError, match=rf"email: {key} is empty, expected it in \[alert.email\]"):
        channel(**{key: ""}).send(ALERT)
