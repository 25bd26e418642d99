"""Every row of the table of errors, and what python-binance, HTTP and sockets raise."""

from __future__ import annotations

import json
import socket
from types import SimpleNamespace

import aiohttp
import pytest

from hedgegridd.errors import ExchangeError, HedgegriddError
from plugins._binance import errors
from plugins._binance.errors import CODES, Act, Meaning, banned_until, fault_in, judge
from plugins._binance.wire import translate

FINE, EXISTS, GONE, REFUSED = Act.FINE, Act.EXISTS, Act.GONE, Act.REFUSED
FAILED, CLOCK, UNKNOWN = Act.FAILED, Act.CLOCK, Act.UNKNOWN
U503 = "Unknown error, please check your request or try again later."

#: status, code, text -> what became of it, the trouble it makes, and whether that is for all symbols
ROWS: list[tuple[int, int, str, Act, str, bool]] = [
    # already so
    (400, -4046, "No need to change margin type.", FINE, "", True),
    (400, -4059, "No need to change position side.", FINE, "", True),
    (400, -5027, "No need to modify the order.", FINE, "", True),
    # there, or not
    (400, -4116, "ClientOrderId is duplicated.", EXISTS, "", True),
    (400, -4117, "", EXISTS, "", True),
    (400, -2011, "Unknown order sent.", GONE, "", True),
    (400, -2013, "Order does not exist.", GONE, "", True),
    (400, -1125, "This listenKey does not exist.", GONE, "", True),
    # part of the trade
    *[(400, code, "", REFUSED, "", True) for code in (-2020, -2021, -2022, -2024, -4118, -4130, -4131, -4164, -4509, -5021, -5022)],
    *[(400, code, "", REFUSED, "", True) for code in (-4003, -4004, -4005, -4016, -4024)],
    *[(400, code, "", REFUSED, "", True) for code in (-4047, -4048, -4067, -4068, -4161, -4168, -4531)],
    # no more openers for a while
    *[(400, code, "", REFUSED, "slow", True) for code in (-2010, -2018, -2019, -2023, -2025, -2027, -2028, -4045)],
    (400, -1015, "Too many new orders.", REFUSED, "slow", True),
    (429, -1015, "Too many new orders.", REFUSED, "slow", True),
    (429, -1003, "Too many requests.", REFUSED, "slow", True),
    (429, 0, "no reason given", REFUSED, "slow", True),
    # nothing at all for a while
    (418, -1003, "Way too many requests; IP banned until 1615183669840.", REFUSED, "ban", True),
    (418, 0, "", REFUSED, "ban", True),
    # openers wait, closes do not
    (403, 0, "no reason given", FAILED, "wall", True),
    (403, -2015, "", FAILED, "wall", True),
    # a person must look
    *[(401, code, "", REFUSED, "halt", True) for code in (-2014, -2015, -1002)],
    (400, -1022, "Signature for this request is not valid.", REFUSED, "halt", True),
    (400, -2015, "", REFUSED, "halt", True),
    (400, -4061, "Order's position side does not match user's setting.", REFUSED, "halt", True),
    *[(400, code, "", REFUSED, "halt", False) for code in (-1102, -1106, -1111, -1116, -1117, -1121, -4014, -4015, -4023)],
    *[(400, code, "", REFUSED, "halt", False) for code in (-4120, -4137, -4140, -4192, -4400)],
    (400, -9999, "Something new.", REFUSED, "halt", False),
    (404, 0, "no reason given", REFUSED, "halt", False),
    # our clock
    (400, -1021, "Timestamp for this request is outside of the recvWindow.", CLOCK, "", True),
    (400, -5028, "", CLOCK, "", True),
    # nobody knows
    (503, -1000, U503, UNKNOWN, "", True),
    (503, 0, U503, UNKNOWN, "", True),
    (503, -1007, "Timeout. Send status unknown; execution status unknown.", UNKNOWN, "", True),
    (408, -1007, "Timeout.", UNKNOWN, "", True),
    (408, 0, "", UNKNOWN, "", True),
    (400, -1006, "", UNKNOWN, "", True),
    (400, -1000, "", UNKNOWN, "", True),
    (400, -1001, "", UNKNOWN, "", True),
    (502, 0, "no reason given", UNKNOWN, "", True),
    (504, 0, "no reason given", UNKNOWN, "", True),
    (503, 0, "<html>", UNKNOWN, "", True),
    (0, errors.NO_ANSWER, "", UNKNOWN, "", True),
    (200, errors.NOT_JSON, "", UNKNOWN, "", True),
    # it failed, and the same may succeed
    (503, -1000, "Service Unavailable.", FAILED, "slow", True),
    (503, -1001, "Internal error; unable to process your request. Please try again.", FAILED, "slow", True),
    (503, -1008, "Server is currently overloaded with other requests.", FAILED, "slow", True),
    (400, -1008, "", FAILED, "slow", True),
    (400, -1016, "", FAILED, "slow", True),
    (0, errors.NEVER_SENT, "", FAILED, "slow", True),
    (0, errors.OVER_BUDGET, "", REFUSED, "slow", True),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "text", "act", "trouble", "everywhere"), ROWS)
def test_what_an_answer_means(status: int, code: int, text: str, act: Act, trouble: str, everywhere: bool) -> None:
    meaning = judge(status, code, text)
    assert (meaning.act, meaning.trouble, meaning.everywhere) == (act, trouble, everywhere)


def test_every_code_of_the_table_has_a_row_here() -> None:
    assert {code for _, code, *_ in ROWS} >= set(CODES)


def test_a_pause_has_an_end_and_a_halt_has_none() -> None:
    for meaning in [*CODES.values(), *errors.STATUSES.values()]:
        assert isinstance(meaning, Meaning)
        assert (meaning.pause_ms > 0) == (meaning.trouble in ("slow", "wall", "ban"))


def test_when_a_ban_ends() -> None:
    assert banned_until("Way too many requests; IP(***.***.***.***) banned until 1615183669840. Please use") == 1615183669840
    assert banned_until("Too many requests.") == 0


def test_an_answer_that_carries_an_error() -> None:
    part = fault_in(200, {"code": -2011, "msg": "Unknown order sent."})
    assert part is not None and part.act is GONE
    assert fault_in(200, {"code": 200, "msg": "success"}) is None
    assert fault_in(200, {"orderId": 1, "code": 5}) is None
    assert fault_in(200, [1]) is None and fault_in(200, {}) is None
    odd = fault_in(200, {"code": "what", "msg": None})
    assert odd is not None and odd.act is UNKNOWN


@pytest.mark.parametrize("error", [
    TimeoutError(), ConnectionResetError(), BrokenPipeError(), aiohttp.ServerDisconnectedError(), aiohttp.ClientOSError(),
    aiohttp.ClientPayloadError(), aiohttp.ServerTimeoutError(), aiohttp.ClientConnectionError(), OSError(),
    ValueError("x"), json.JSONDecodeError("x", "", 0),
    aiohttp.ContentTypeError(SimpleNamespace(real_url="https://x/?signature=SECRET"), ()),
])  # fmt: skip
def test_whatever_is_raised_on_the_way_leaves_it_open(error: Exception) -> None:
    fault = translate(error)
    assert isinstance(fault, ExchangeError) and isinstance(fault, HedgegriddError)
    assert fault.act is UNKNOWN
    assert "SECRET" not in str(fault) and "signature" not in str(fault)


def test_what_never_left_has_failed() -> None:
    key = aiohttp.client_reqrep.ConnectionKey("localhost", 1, False, True, None, None, None)
    for error in (aiohttp.ClientConnectorError(key, OSError("refused")), aiohttp.ConnectionTimeoutError(),
                  aiohttp.ClientConnectorDNSError(key, socket.gaierror("name"))):  # fmt: skip
        assert translate(error).act is FAILED
