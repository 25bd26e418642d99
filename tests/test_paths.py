import os
from pathlib import Path

import pytest

from hedgegridd import paths
from hedgegridd.errors import StateError


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: the system's folders lie under tmp_path."""
    for name, place in (("RUN", "run/hedgegridd"), ("STATE", "lib/hedgegridd"), ("CONFIG", "etc/hedgegridd")):
        monkeypatch.setattr(paths, name, str(tmp_path / place))
    return tmp_path


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_named_socket_wins(machine: Path) -> None:
    put(machine / "run/hedgegridd/hedgegridd.sock")
    assert paths.client_socket("/a", "b", {"HEDGEGRIDD_SOCKET": "/c"}) == "/a"
    assert paths.client_socket("", "b", {"HEDGEGRIDD_SOCKET": "/c"}) == "/c"


def test_the_client_takes_the_first_socket_that_exists(machine: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(machine / "xdg")}
    system = machine / "run/hedgegridd/hedgegridd.sock"
    assert paths.client_socket("", "", env) == str(system)
    own = put(machine / "xdg/hedgegridd/hedgegridd.sock")
    assert paths.client_socket("", "", env) == str(own)
    put(system)
    assert paths.client_socket("", "", env) == str(system)
    other = put(machine / "run/hedgegridd/b/hedgegridd.sock")
    assert paths.client_socket("", "b", env) == str(other)


def test_a_temporary_folder_counts_only_if_it_is_ours_alone(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_temporary", lambda: str(machine / "tmp"))
    put(machine / "tmp/hedgegridd.sock")
    (machine / "tmp").chmod(0o755)
    assert paths.client_socket("", "", {}) == str(machine / "run/hedgegridd/hedgegridd.sock")
    (machine / "tmp").chmod(0o700)
    assert paths.client_socket("", "", {}) == str(machine / "tmp/hedgegridd.sock")
    with pytest.raises(StateError, match="0700"):
        (machine / "link").symlink_to(machine / "tmp")
        paths.private_folder(str(machine / "link"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", ".hidden", "a b", "a\n"])
def test_an_instance_is_one_plain_name(name: str) -> None:
    assert paths.instance_problem(name)
    assert not paths.instance_problem("acc-1.test_2")


def test_the_daemons_socket(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.daemon_socket("/a", "/b", "", {}, live=True) == "/a"
    assert paths.daemon_socket("", "/b", "", {"RUNTIME_DIRECTORY": "/r"}, live=True) == "/b"
    assert paths.daemon_socket("", "", "", {"RUNTIME_DIRECTORY": "/r:/s"}, live=True) == "/r/hedgegridd.sock"
    assert paths.daemon_socket("", "", "x", {}, live=True) == str(machine / "run/hedgegridd/x/hedgegridd.sock")
    monkeypatch.setattr(paths, "_usable", lambda _: False)
    monkeypatch.setattr(paths, "_temporary", lambda: str(machine / "tmp"))
    with pytest.raises(StateError, match="never uses a temporary folder"):
        paths.daemon_socket("", "", "", {}, live=True)
    assert paths.daemon_socket("", "", "", {}, live=False) == str(machine / "tmp/hedgegridd.sock")
    assert (machine / "tmp").stat().st_mode & 0o777 == 0o700


def test_the_daemons_state_directory(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"STATE_DIRECTORY": "/s", "HOME": "/home/me"}
    assert paths.state_dir("/a", "/b", "", env) == "/a"
    assert paths.state_dir("", "/b", "", env) == "/b"
    assert paths.state_dir("", "", "", env) == "/s"
    assert paths.state_dir("", "", "x", {}) == str(machine / "lib/hedgegridd/x")
    monkeypatch.setattr(paths, "_usable", lambda _: False)
    assert paths.state_dir("", "", "", {"HOME": "/home/me"}) == "/home/me/.local/state/hedgegridd"
    assert paths.state_dir("", "", "x", {"XDG_STATE_HOME": "/y"}) == "/y/hedgegridd/x"


def test_the_client_finds_the_state_directory_by_pointer_then_config(machine: Path) -> None:
    socket = str(put(machine / "s"))
    home = {"HOME": str(machine)}
    assert paths.client_state_dir("/a", "", home, socket) == "/a"
    assert paths.client_state_dir("", "", home, socket) == str(machine / ".local/state/hedgegridd")
    (machine / "lib/hedgegridd").mkdir(parents=True)
    assert paths.client_state_dir("", "", home, socket) == str(machine / "lib/hedgegridd")
    config = put(machine / "etc/hedgegridd/hedgegridd.toml")
    config.write_text('[daemon]\nstate_dir = "/first"\n')
    assert paths.client_state_dir("", "", home, socket) == "/first"
    put(machine / "etc/hedgegridd/conf.d/b.toml").write_text('[daemon]\nstate_dir = "/second"\n')
    put(machine / "etc/hedgegridd/conf.d/c.toml").write_text("not toml")
    assert paths.client_state_dir("", "", home, socket) == "/second"
    paths.point(socket, str(machine))
    paths.point(socket, str(machine))
    assert paths.client_state_dir("", "", home, socket) == str(machine)


def test_a_pointer_of_somebody_else_is_not_believed(machine: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give a link away")
    socket = str(put(machine / "s"))
    paths.point(socket, str(machine))
    os.chown(f"{socket}.state", 65534, 65534, follow_symlinks=False)
    assert paths.pointed_state_dir(socket) == ""
