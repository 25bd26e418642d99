"""A file saved whole or not at all. One law: a reader, and the next start after any crash, sees the old text or the new one.

`save` writes a neighbour, brings it to the disk, puts it in place and brings the folder to the disk. When it returns the
text is durable. It knows nothing of what is written. Only the standard library's lightest modules: the client uses it too.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from threading import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader


def save(path: Path, text: str | bytes, mode: int = 0o640) -> None:
    """Replace the file at `path`, durably. Root leaves it to the owner of the folder. OSError: nothing at `path` changed,
    unless only the last step, bringing the folder to the disk, failed.
    """
    data = text.encode() if isinstance(text, str) else text
    stage = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.tmp")
    try:
        _write(stage, data, mode)
        stage.replace(path)
    except BaseException:
        with suppress(OSError):
            stage.unlink()
        raise
    sync_folder(path.parent)


def load(path: Path, most: int = -1) -> bytes:
    """The whole file, or its first `most` bytes. OSError where it cannot be read, as `FileNotFoundError` where there is none."""
    with plain(path) as file:
        return file.read(most)


def plain(path: Path) -> BufferedReader:
    """A file opened to be read. OSError too where a folder or a device lies in its place, or a pipe, which is not waited for."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.fdopen(fd, "rb")
    os.close(fd)
    raise OSError(f"{path}: expected a plain file")


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def give_to_owner(fd: int, folder: Path) -> None:
    """What root makes in a daemon's folder belongs to the daemon, or it could not go on with it."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(fd, owner.st_uid, owner.st_gid)


def _write(stage: Path, data: bytes, mode: int) -> None:
    with suppress(FileNotFoundError):  # left by a process of the same number that was killed here
        stage.unlink()
    fd = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(fd, mode)  # whatever the umask says
        give_to_owner(fd, stage.parent)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)
