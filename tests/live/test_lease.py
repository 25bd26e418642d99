"""An account has one daemon on a machine; the lease ends with whoever holds it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hedgegridd.errors import AlreadyRunning
from hedgegridd.live import lease

KEY = f"key-{os.getpid()}"  # the names are the whole machine's: another run of these tests has its own


def test_one_account_one_holder() -> None:
    with lease.take("binance", KEY):
        with pytest.raises(AlreadyRunning, match="this account") as caught:
            lease.take("binance", KEY)
        assert caught.value.exit_code == 75
        lease.take("binance", f"{KEY}-other").close()
        lease.take("binance testnet", KEY).close()
    lease.take("binance", KEY).close()


def test_a_killed_holder_leaves_nothing_behind() -> None:
    program = (
        f"import time; from hedgegridd.live import lease; held = lease.take('binance', {KEY!r}); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(AlreadyRunning):
        lease.take("binance", KEY)
    holder.kill()
    holder.wait(10)
    holder.stdout.close()
    lease.take("binance", KEY).close()


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
held = lease.take("binance", sys.argv[2])
print("held", flush=True)
time.sleep(60)
"""
    assert lease.holder("binance", KEY) is None
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), KEY], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(3):  # it is asked more than once
            assert lease.holder("binance", KEY) == lease.Holder(process.pid, os.geteuid(), tmp_path)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
    assert lease.holder("binance", KEY) is None
    assert lease.state_of(process.pid) is None
