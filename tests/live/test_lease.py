"""An account has one daemon on a machine; the lease ends with whoever holds it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hedgegridd.errors import AlreadyRunning
from hedgegridd.live import lease


def test_one_account_one_holder() -> None:
    with lease.take("binance", "key-1"):
        with pytest.raises(AlreadyRunning, match="this account") as caught:
            lease.take("binance", "key-1")
        assert caught.value.exit_code == 75
        lease.take("binance", "key-2").close()
        lease.take("binance testnet", "key-1").close()
    lease.take("binance", "key-1").close()


def test_a_killed_holder_leaves_nothing_behind() -> None:
    program = (
        "import time; from hedgegridd.live import lease; held = lease.take('binance', 'key-3'); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(AlreadyRunning):
        lease.take("binance", "key-3")
    holder.kill()
    holder.wait(10)
    holder.stdout.close()
    time.sleep(0.05)
    lease.take("binance", "key-3").close()


def test_the_key_is_not_in_the_name() -> None:
    with lease.take("binance", "very-secret-key") as held:
        assert b"very-secret-key" not in held.getsockname()


def test_the_holder_is_known_though_it_hangs(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from hedgegridd.journal import Journal
from hedgegridd.live import lease
journal = Journal(Path(sys.argv[1]) / "journal")
journal.open()
held = lease.take("binance", "key-4")
print("held", flush=True)
time.sleep(60)
"""
    assert lease.holder("binance", "key-4") is None
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(3):  # it is asked more than once
            assert lease.holder("binance", "key-4") == lease.Holder(process.pid, os.geteuid(), tmp_path)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
    assert lease.holder("binance", "key-4") is None
    assert lease.state_of(process.pid) is None
