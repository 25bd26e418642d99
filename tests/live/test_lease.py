"""An account has one daemon on a machine; the lease ends with whoever holds it."""

from __future__ import annotations

import subprocess
import sys
import time

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
