import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hedgegridd.control import protocol
from hedgegridd.control.client import dumps, loads
from hedgegridd.control.protocol import MAX_FRAME, VERBS, Fault, Request

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def frame(**changes: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "status", "params": {}, **changes}).encode() + b"\n"


def test_every_verb_of_the_interface_is_a_row() -> None:
    words = """status activate deactivate flatten breakers breakers.arm breakers.preview breakers.disarm breakers.reset
        breakers.explain throttle pause
        resume orders positions fills ladders pnl plugins alerts metrics config why confirm advance journal.verify journal.tail alert.test
        reload drill mode incident
        ping watch"""
    assert set(words.split()) == set(VERBS)


def test_what_changes_anything_needs_the_right_to_write() -> None:
    reads = """status breakers breakers.explain breakers.preview orders positions fills ladders pnl plugins alerts metrics config why
        journal.verify incident
        journal.tail ping"""
    assert {name for name, verb in VERBS.items() if verb.right == protocol.READ} == set(reads.split())


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_a_request_or_a_fault(line: bytes) -> None:
    try:
        assert isinstance(protocol.parse(line), Request)
    except Fault as fault:
        assert fault.code in (protocol.BAD_JSON, protocol.BAD_REQUEST, protocol.BAD_PARAMS)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"[" * 60_000, protocol.BAD_JSON),
        (b"9" * 60_000, protocol.BAD_JSON),
        (b'{"id": NaN}', protocol.BAD_JSON),
        (b"[]", protocol.BAD_REQUEST),
        (frame(jsonrpc="1.0"), protocol.BAD_REQUEST),
        (frame(method=5), protocol.BAD_REQUEST),
        (frame(id=[1]), protocol.BAD_REQUEST),
        (frame(id="x" * 5000), protocol.BAD_REQUEST),
        (frame(params=[1]), protocol.BAD_PARAMS),
    ],
)
def test_malformed_requests_name_their_kind(line: bytes, code: int) -> None:
    with pytest.raises(Fault) as caught:
        protocol.parse(line)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("verb", "params", "says"),
    [
        ("activate", {}, "needs reason"),
        ("activate", {"reason": "  "}, "expected text"),
        ("activate", {"reason": "x" * 1001}, "1 to 1000"),
        ("activate", {"reason": "\ud800"}, "expected text"),
        ("activate", {"reason": "r", "level": "panic"}, "halt or flatten"),
        ("activate", {"reason": "r", "no-wait": True}, "takes no 'no-wait'"),
        ("activate", {"raeson": "r"}, "did you mean 'reason'"),
        ("throttle", {"factor": 1.1}, "from 0 to 1"),
        ("throttle", {"factor": True}, "from 0 to 1"),
        ("flatten", {"leg": "LONG", "reason": "r"}, "long, short or both"),
        ("fills", {"since": "yesterday"}, "UTC time"),
        ("fills", {"limit": 0}, "from 1 to 1000"),
        ("breakers.reset", {"reason": "r"}, "or --all"),
        ("breakers.reset", {"reason": "r", "name": "x", "all": True}, "not both"),
    ],
)
def test_wrong_params_are_told_what_was_expected(verb: str, params: dict[str, Any], says: str) -> None:
    assert says in protocol.problem(VERBS[verb], params)


@pytest.mark.parametrize(
    ("verb", "params"),
    [
        ("activate", {"reason": "r", "level": "halt"}),
        ("throttle", {"factor": 0}),
        ("flatten", {"reason": "r"}),
        ("fills", {"since": "2026-01-31T12:00:00Z", "limit": 5}),
        ("breakers.reset", {"reason": "r", "all": True}),
    ],
)
def test_right_params_pass(verb: str, params: dict[str, Any]) -> None:
    assert protocol.problem(VERBS[verb], params) == ""


def test_a_list_too_long_for_a_frame_is_cut_and_says_so() -> None:
    rows = [{"n": n, "pad": "x" * 200} for n in range(1000)]

    def kept(verb: str, params: dict[str, Any]) -> list[int]:
        reply = protocol.success(Request(1, verb, params), {"schema": 1, verb: rows})
        assert MAX_FRAME / 2 < len(reply) <= MAX_FRAME
        result = json.loads(reply)["result"]
        assert result["more"] is True
        return [row["n"] for row in result[verb]]

    assert kept("orders", {})[0] == 0
    assert kept("fills", {})[-1] == 999  # the newest, unless a start was named
    assert kept("fills", {"since": "2026-01-01T00:00:00Z"})[0] == 0


def test_an_answer_that_cannot_be_cut_is_a_fault() -> None:
    with pytest.raises(Fault, match="more than a frame"):
        protocol.success(Request(1, "config", {}), {"config": {str(n): "x" * 100 for n in range(1000)}})


def test_a_number_that_json_lacks_is_null() -> None:
    reply = protocol.success(Request(1, "pnl", {}), {"a": float("nan"), "b": [float("inf"), 1.5]})
    assert json.loads(reply)["result"] == {"a": None, "b": [None, 1.5]}


@given(PLAIN)
@settings(max_examples=200)
def test_the_light_json_is_json(value: Any) -> None:
    for indent in ("", "\n"):
        assert json.loads(dumps(value, indent)) == value
    assert loads(json.dumps(value).encode()) == value


@given(st.binary(max_size=60))
@example(b"\x0b0")
@settings(max_examples=200)
def test_the_light_json_refuses_what_json_refuses(line: bytes) -> None:
    try:
        expected = json.loads(line.decode())
    except ValueError:
        with pytest.raises(ValueError):
            loads(line)
    else:
        assert repr(loads(line)) == repr(expected)
