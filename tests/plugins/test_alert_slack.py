"""Slack: what is sent, what counts as delivered, and that the webhook's address shows up nowhere."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import requests
import responses
from rig import plugin_module

from hedgegridd import Alert, Severity
from hedgegridd.errors import PluginError
from hedgegridd.heart import notices

URL = "https://hooks.slack.com/services/T0/B0/s3cret"


slack = plugin_module("alert_slack")
ALERT = notices.system_error(1_736_951_025_000, "a <b> & c")


def _channel(url: str = URL) -> object:
    channel = slack.SlackAlerts()
    channel.settings = SimpleNamespace(webhook_url=url)
    return channel


def test_it_registers_one_channel() -> None:
    registered: list[type] = []
    slack.register_alerts(registered.append)
    assert [thing.name for thing in registered] == ["slack"]


@responses.activate
def test_the_message() -> None:
    responses.post(URL, body="ok")
    _channel().send(ALERT)
    (call,) = responses.calls
    assert json.loads(call.request.body)["text"] == (
        ":rotating_light: *[CRITICAL] System error*\nTime: 2025-01-15 14:23:45 UTC\nError: a &lt;b&gt; &amp; c\nAction: a person must look"
    )


@responses.activate
def test_a_long_text_is_cut() -> None:
    responses.post(URL, body="ok")
    _channel().send(Alert(1, Severity.INFO, "test", "t", "x" * 100_000, {}))
    assert len(json.loads(responses.calls[0].request.body)["text"]) == slack.LONGEST


@responses.activate
@pytest.mark.parametrize("status", [302, 400, 403, 404, 500])
def test_only_200_is_delivered_and_no_redirect_is_followed(status: int) -> None:
    responses.post(URL, status=status, body="no_service\n", headers={"Location": "https://elsewhere.example/"})
    with pytest.raises(PluginError) as caught:
        _channel().send(ALERT)
    assert str(caught.value) == f"slack: HTTP {status} no_service"
    assert len(responses.calls) == 1


@responses.activate
@pytest.mark.parametrize("page", [f"no_service {URL}", "<html>Not found: /services/T0/B0/s3cret", "x" * 190 + "/services/T0/B0/s3c"])
def test_a_page_that_shows_what_was_asked_for_is_not_shown(page: str) -> None:
    responses.post(URL, status=404, body=page)
    with pytest.raises(PluginError) as caught:
        _channel().send(ALERT)
    assert str(caught.value) == f"slack: HTTP 404 (a page of {len(page)} characters)"


@responses.activate
def test_it_says_how_long_it_was_told_to_wait() -> None:
    responses.post(URL, status=429, headers={"Retry-After": "30"})
    with pytest.raises(PluginError) as caught:
        _channel().send(ALERT)
    assert caught.value.retry_after == 30.0


@responses.activate
def test_no_error_names_the_address() -> None:
    responses.post(URL, body=requests.ConnectionError(f"Max retries exceeded with url: {URL}"))
    with pytest.raises(PluginError) as caught:
        _channel().send(ALERT)
    assert str(caught.value) == "slack: HTTP 0 no answer: ConnectionError"
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_a_missing_address_is_explained() -> None:
    with pytest.raises(PluginError, match=r"webhook_url is empty, expected .*SLACK_WEBHOOK_URL.* in \[alert.slack\]"):
        _channel("").send(ALERT)
