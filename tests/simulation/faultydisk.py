"""A disk that can be told to fail: real files under one folder, and between them and the program a kernel that does what it is told.

One law: what it says is what a kernel may say. It stands in for the mutating calls of `os`, and only for files under its folder and in the
thread that made it; every one of them is a point. What is written is in the files at once, as the kernel's memory keeps it through the
death of a process; what was brought to the disk is kept beside it, so that a power cut can leave that alone.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CALLS = ("open", "write", "pwrite", "ftruncate", "fsync", "fdatasync", "replace", "unlink", "mkdir")
GROWS = frozenset({"open", "write", "pwrite", "mkdir"})  # what a full disk refuses
Image = dict[str, bytes]  # the files of a folder, by their names in it
_REAL: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in (*CALLS, "close")}


class FaultyDisk:
    """The files under `folder`. `point(name)` is asked at each mutating call and answers with a fault, "" = none; `dead()`: nothing has
    any effect any more.
    """

    def __init__(self, folder: Path, point: Callable[..., str], dead: Callable[[], bool]) -> None:
        self.folder, self.point, self.dead = str(folder), point, dead
        self.full = False
        self._thread = threading.get_ident()
        self._paths: dict[int, str] = {}  # of what is open
        self._files: dict[int, int] = {}  # inode -> our number of the file: the system gives the inodes of dead files out again
        self._names: dict[str, int | None] = {}  # path -> the file that the disk has there, None = nothing
        self._contents: list[bytes] = []  # what of each file the disk has

    @contextmanager
    def mounted(self) -> Iterator[FaultyDisk]:
        """Every call goes through here."""
        for name in (*CALLS, "close"):
            setattr(os, name, getattr(self, name))
        try:
            yield self
        finally:
            for name, call in _REAL.items():
                setattr(os, name, call)

    # --- the calls ----------------------------------------------------------------------------------------------------

    def open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        text = os.fspath(path)
        if not self._ours(text):
            return int(_REAL["open"](path, flags, mode, **more))
        if flags & os.O_CREAT and not Path(text).exists():
            self._ask("open", text)
            self._touch(text)
            fd = int(_REAL["open"](path, flags, mode, **more))
            self._new(os.fstat(fd).st_ino, b"")
        else:
            fd = int(_REAL["open"](path, flags, mode, **more))
        self._paths[fd] = text
        return fd

    def close(self, fd: int) -> None:
        if threading.get_ident() == self._thread:
            self._paths.pop(fd, None)
        _REAL["close"](fd)

    def write(self, fd: int, data: Any) -> int:
        return self._write("write", fd, data)

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        return self._write("pwrite", fd, data, offset)

    def _write(self, call: str, fd: int, data: Any, *place: int) -> int:
        path = self._of(fd)
        if path is None:
            return int(_REAL[call](fd, data, *place))
        self._ask(call, path, lambda: self._torn(fd, path, bytes(data), *place))
        self._touch(path)
        return int(_REAL[call](fd, data, *place))

    def _torn(self, fd: int, path: str, data: bytes, *place: int) -> Image:
        """The files, had the process died in the middle of this write."""
        image, name = self.image("kill"), path[len(self.folder) + 1 :]
        at, old = place[0] if place else os.lseek(fd, 0, os.SEEK_CUR), image[name]
        half = data[: len(data) // 2]
        return {**image, name: old[:at] + half + old[at + len(half) :]}

    def ftruncate(self, fd: int, size: int) -> None:
        path = self._of(fd)
        if path is not None:
            self._ask("ftruncate", path)
            self._touch(path)
        _REAL["ftruncate"](fd, size)

    def fsync(self, fd: int) -> None:
        self._sync("fsync", fd)

    def fdatasync(self, fd: int) -> None:
        self._sync("fdatasync", fd)

    def _sync(self, call: str, fd: int) -> None:
        path = self._of(fd)
        if path is None:
            _REAL[call](fd)
            return
        self._ask(call, path)
        if Path(path).is_dir():
            for name in [name for name in self._names if str(Path(name).parent) == path]:
                self._names[name] = self._file(name)
        else:
            self._touch(path)
            number = self._files.get(os.fstat(fd).st_ino)
            if number is not None:
                self._contents[number] = _read(f"/proc/self/fd/{fd}")

    def replace(self, source: Any, target: Any, **more: Any) -> None:
        if self._ours(os.fspath(target)):
            self._ask("replace", os.fspath(target))
            self._touch(os.fspath(source))
            self._touch(os.fspath(target))
        _REAL["replace"](source, target, **more)

    def unlink(self, path: Any, **more: Any) -> None:
        if self._ours(os.fspath(path)) and os.path.lexists(path):
            self._ask("unlink", os.fspath(path))
            self._touch(os.fspath(path))
        _REAL["unlink"](path, **more)

    def mkdir(self, path: Any, *args: Any, **more: Any) -> None:
        if self._ours(os.fspath(path)) and not Path(path).exists():
            self._ask("mkdir", os.fspath(path))
        _REAL["mkdir"](path, *args, **more)

    # --- what becomes of it -------------------------------------------------------------------------------------------

    def _ours(self, path: Any) -> bool:
        return threading.get_ident() == self._thread and isinstance(path, str) and path.startswith(self.folder)

    def _of(self, fd: int) -> str | None:
        return self._paths.get(fd) if threading.get_ident() == self._thread else None

    def _ask(self, call: str, path: str, torn: Callable[[], Image] | None = None) -> None:
        """What becomes of this call: nothing, or OSError. `torn`: the files, where it can be done by half."""
        if self.dead():
            raise OSError(errno.EIO, "the process is dead")
        fault = self.point(f"{call} {_kind(path)}", torn)
        self.full = self.full or fault == "full"
        if self.full and call in GROWS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if fault == "error":
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    def _touch(self, path: str) -> None:
        """Remember what the disk has here, before it is changed for the first time."""
        if path not in self._names:
            inode = _inode(path)
            self._names[path] = None if inode is None else self._new(inode, _read(path))

    def _new(self, inode: int, content: bytes) -> int:
        """A file that was not followed yet."""
        self._contents.append(content)
        self._files[inode] = len(self._contents) - 1
        return self._files[inode]

    def _file(self, path: str) -> int | None:
        """The file that is there now; one that another hand put there counts as brought to the disk."""
        inode = _inode(path)
        if inode is None or inode in self._files:
            return self._files.get(inode or 0)
        return self._new(inode, _read(path))

    def image(self, kept: str) -> Image:
        """The files as they are found after the process died here ("kill"); after a power cut that leaves of what was never brought to the
        disk nothing ("lost"), or half of it, names included ("half").
        """
        files = {str(path)[len(self.folder) + 1 :]: path.read_bytes() for path in Path(self.folder).rglob("*") if path.is_file()}
        for path, number in self._names.items() if kept != "kill" else ():
            name = path[len(self.folder) + 1 :]
            if kept == "lost" and number is None:
                files.pop(name, None)
            elif kept == "lost":
                files[name] = self._contents[number or 0]
            elif name in files:
                now, known = files[name], self._file(path)
                safe = now if known is None else self._contents[known]  # None: compressed by the tidying beside us since it was read
                begun = len(safe) if now.startswith(safe) else 0
                files[name] = now[: begun + (len(now) - begun) // 2]
        return files


def lay_out(image: Image, folder: Path) -> None:
    """Files as they were found."""
    for name, content in image.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _inode(path: str) -> int | None:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _kind(path: str) -> str:
    """What a file is, for people: the journal's streams, the kill switch, an alert."""
    name = Path(path).name
    known = {"killswitch": "kill switch", "acts": "acts", "inputs": "inputs", "head": "head", "lock": "lock"}
    for part, word in known.items():
        if name.lstrip(".").startswith(part):
            return word + (" (stage)" if name.endswith(".tmp") else "")
    if "alerts" in path:
        return "alert"
    return "folder " + name
