"""HEDGEGRIDD_REQUIRE_ALL=1: a skip is a failure, but for the kinds that are excused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CASES = """
import pytest
def test_skips(): pytest.skip("this machine does not allow a private systemd")
@pytest.mark.skipif(True, reason="prometheus is not installed")
def test_is_marked(): pass
@pytest.fixture
def data(): pytest.skip("recorded data not here: set HEDGEGRIDD_SHARED")
def test_wants_data(data): pass
@pytest.mark.skipif(True, reason="as root: test_cases does it")
def test_not_as_root(): pass
@pytest.mark.skipif(True, reason="peers: backtrader is not installed")
def test_wants_a_peer(): pass
@pytest.mark.xfail(reason="known")
def test_is_known(): assert False
def test_passes(): pass
"""


def outcome(folder: Path, required: str) -> str:
    env = {**os.environ, "HEDGEGRIDD_REQUIRE_ALL": required, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder]
    return subprocess.run(run, cwd=folder, env=env, check=False, capture_output=True, text=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("conftest.py", "figures.py"):
        shutil.copy(Path(__file__).with_name(name), tmp_path / name)
    (tmp_path / "test_cases.py").write_text(CASES)
    return tmp_path


def test_a_skip_fails_where_all_is_required(folder: Path) -> None:
    said = outcome(folder, "1")
    assert "1 failed, 1 passed, 3 skipped, 1 xfailed, 1 error" in said, said
    assert "HEDGEGRIDD_REQUIRE_ALL=1 and Skipped: prometheus is not installed" in said


def test_a_skip_is_a_skip_elsewhere(folder: Path) -> None:
    assert "1 passed, 5 skipped, 1 xfailed" in outcome(folder, "")


def test_a_missing_library_fails_the_collection(folder: Path) -> None:
    (folder / "test_library.py").write_text("import pytest\npytest.importorskip('no_such_library_at_all')\n")
    assert "1 error" in outcome(folder, "1")
