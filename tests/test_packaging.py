"""The wheel is the checkout: it carries every file of the package, of plugins/, etc/ and systemd/, and works the same from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="hatchling is not installed: pip install -e '.[test]'")

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("plugins", "etc", "systemd")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    code = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    built = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, check=True, capture_output=True, text=True)
    return folder / built.stdout.split()[-1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked, as pip does with it."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("what", SHIPPED)
def test_the_wheel_carries_what_lies_beside_the_package(installed: Path, what: str) -> None:
    assert files(installed / "hedgegridd" / "shipped" / what) == files(ROOT / what)


def test_the_wheel_carries_the_package_and_nothing_else(installed: Path) -> None:
    inside = {name: text for name, text in files(installed / "hedgegridd").items() if not name.startswith("shipped/")}
    assert inside == files(ROOT / "hedgegridd")
    assert {path.name for path in (installed / "hedgegridd" / "shipped").iterdir()} == set(SHIPPED)
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"hedgegridd"}


def test_both_programs_are_declared(installed: Path) -> None:
    scripts = next(installed.glob("*.dist-info/entry_points.txt")).read_text()
    assert "hedgegridd = hedgegridd.cli:main" in scripts
    assert "hedgegridctl = hedgegridd.control.cli:main" in scripts


def test_an_installed_wheel_finds_the_same_plugins_and_configurations(installed: Path, tmp_path: Path) -> None:
    code = """
from hedgegridd.plugins import KINDS, load_shipped, shipped
registry = load_shipped()
print(registry.refused or sorted((kind, name) for kind in KINDS for name in registry.of(kind)))
print(*sorted(path.name for what in ("etc", "systemd") for path in shipped(what).iterdir()))
"""

    def say(where: Path) -> str:
        run = [sys.executable, "-c", code]
        return subprocess.run(run, cwd=tmp_path, env=_env(where), check=True, capture_output=True, text=True).stdout

    assert say(installed) == say(ROOT)


@pytest.mark.parametrize("name", ["paper.toml", "backtest.toml", "hedgegridd.toml"])
def test_an_installed_wheel_checks_its_own_configurations(installed: Path, tmp_path: Path, name: str) -> None:
    config = installed / "hedgegridd" / "shipped" / "etc" / name
    run = [sys.executable, "-m", "hedgegridd.cli", "check", "--config", config]
    done = subprocess.run(run, cwd=tmp_path, env=_env(installed), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _env(where: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(where)}


def test_all_means_all() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["all"] == [f"hedgegridd[{','.join(sorted(set(extras) - {'all', 'test', 'peers'}))}]"]


def test_heavy_things_are_extras() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert not [line for line in needed if line.startswith(("numba", "pyarrow", "numpy", "optuna", "matplotlib", "pandas"))]
