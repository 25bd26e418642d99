"""Telegram: what is sent, what counts as delivered, and that the bot's token shows up nowhere."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import responses
from rig import plugin_module

from hedgegridd import Alert, Severity
from hedgegridd.errors import PluginError
from hedgegridd.heart import notices

TOKEN = "12345:s3cret-token"
URL = f"https://api.telegram.org/bot{TOKEN}/sendMessage"


telegram = plugin_module("alert_telegram")
ALERT = notices.system_error(1_736_951_025_000, "a <b> & *c*")


def _channel(**changed: str) -> Any:
    channel = telegram.TelegramAlerts()
    channel.settings = SimpleNamespace(**{"token": TOKEN, "chat_id": "-100", "base_url": "https://api.telegram.org", **changed})
    return channel


def test_it_registers_one_channel_with_its_defaults() -> None:
    registered: list[Any] = []
    telegram.register_alerts(registered.append)
    assert [thing.name for thing in registered] == ["telegram"]
    assert registered[0].Settings.base_url == "https://api.telegram.org"


@responses.activate
def test_the_message() -> None:
    responses.post(URL, json={"ok": True})
    _channel().send(ALERT)
    body = json.loads(responses.calls[0].request.body)
    assert body["chat_id"] == "-100" and "parse_mode" not in body
    assert body["text"] == ("🚨 [CRITICAL] System error\n\nTime: 2025-01-15 14:23:45 UTC\nError: a <b> & *c*\nAction: a person must look")


@responses.activate
def test_a_long_text_is_cut() -> None:
    responses.post(URL, json={"ok": True})
    _channel().send(Alert(1, Severity.INFO, "test", "t", "x" * 100_000, {}))
    assert len(json.loads(responses.calls[0].request.body)["text"]) == telegram.LONGEST


@responses.activate
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": 400, "json": {"ok": False, "description": f"chat not found {TOKEN}"}}, "telegram: HTTP 400 chat not found ***"),
        ({"status": 200, "json": {"ok": False}}, "telegram: HTTP 200 "),
        ({"status": 200, "body": "<html>captive portal</html>", "content_type": "text/html"}, "telegram: HTTP 200 "),
        ({"status": 200, "json": ["ok"]}, "telegram: HTTP 200 "),
        ({"status": 502, "body": "bad gateway"}, "telegram: HTTP 502 "),
        ({"status": 302, "headers": {"Location": "https://elsewhere.example/"}}, "telegram: HTTP 302 "),
        ({"status": 200, "body": "{torn", "content_type": "application/json"}, "telegram: no answer: JSONDecodeError"),
        ({"body": requests.ConnectTimeout(f"timed out: {URL}")}, "telegram: no answer: ConnectTimeout"),
    ],
)
def test_what_is_not_delivered_is_an_error_without_the_token(answer: dict[str, Any], said: str) -> None:
    responses.post(URL, **answer)
    with pytest.raises(PluginError) as caught:
        _channel().send(ALERT)
    assert str(caught.value) == said
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert len(responses.calls) == 1


@responses.activate
def test_it_says_how_long_it_was_told_to_wait() -> None:
    responses.post(URL, status=429, json={"ok": False, "description": "Too Many Requests", "parameters": {"retry_after": 7}})
    with pytest.raises(PluginError) as caught:
        _channel().send(ALERT)
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("key", ["token", "chat_id"])
def test_a_missing_setting_is_explained(key: str) -> None:
    with pytest.raises(PluginError, match=rf"telegram: {key} is empty, expected it in \[alert.telegram\]"):
        _channel(**{key: ""}).send(ALERT)


def test_a_real_server_at_another_address() -> None:
    heard: list[str] = []

    class Bot(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(f"{self.path} {json.loads(self.rfile.read(int(self.headers['Content-Length'])))['chat_id']}")
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"ok": true}')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Bot) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        _channel(base_url=f"http://127.0.0.1:{server.server_port}/").send(ALERT)
        thread.join()
    assert heard == [f"/bot{TOKEN}/sendMessage -100"]
