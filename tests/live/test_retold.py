"""The verb's incident is a child's, whole but for its prices, and fits a frame whatever its length."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.control.protocol import MAX_FRAME, parse, success
from hedgegridd.errors import Refused
from hedgegridd.live.retold import FAR, fitted, retold


def document(rows: int) -> dict[str, Any]:
    lists: dict[str, Any] = {name: [{"seq": at, "text": "x" * 60} for at in range(rows)] for name in FAR}
    return {"id": 5, "trigger": {"inputs": {}}, **lists, "prices": {"BTCUSDT": [{"price_usdt": 1.0}] * 400}}


def test_a_short_one_is_whole_but_for_its_prices(tmp_path: Path) -> None:
    found = fitted(document(3), tmp_path)
    assert {name: len(found[name]) for name in FAR} == dict.fromkeys(FAR, 3)
    assert found["prices"] is None and not found["left_out"]
    assert found["page"] == f"hedgegridd report incident 5 --state-dir {tmp_path}"


def test_a_long_one_fits_a_frame_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    whole = document(4_000)
    found = fitted(whole, tmp_path)
    frame = success(parse(b'{"jsonrpc": "2.0", "id": 1, "method": "incident", "params": {"id": 5}}'), found)
    assert len(frame) <= MAX_FRAME and "more" not in json.loads(frame)["result"]
    for name in FAR:
        assert found[name] == whole[name][: len(found[name])] and len(found[name]) + found["left_out"][name] == 4_000


def test_a_journal_that_is_not_there_is_refused_in_the_commands_words(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no journal"):
        asyncio.run(retold(None, tmp_path))


def test_the_loop_goes_on_and_the_child_is_ended_in_time(tmp_path: Path) -> None:
    async def both() -> int:
        turns = 0
        asked = asyncio.ensure_future(retold(1, tmp_path, within=0.05))
        while not asked.done():
            await asyncio.sleep(0.001)
            turns += 1
        with pytest.raises(Refused, match=r"no incident report within 0.05 s"):
            asked.result()
        return turns

    begun = time.monotonic()
    assert asyncio.run(both()) > 3
    assert time.monotonic() - begun < 15
