"""Who but its owner may write or read a file. One law: where that cannot be told, somebody may.

The mode alone does not say: a group may be the owner's own and yet have another member, and an access control list names users
whom `ls -l` shows as the group. Nothing here opens a file or knows what it is for.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_ACL = "system.posix_acl_access"
_USER, _GROUP = 0x02, 0x08  # entries of a list that name somebody
_ENTRY = 8  # bytes: tag and rights, 2 each, and who; before them 4 of version


def other_writers(at: Path | int, info: os.stat_result) -> str:
    """Who else may write this file or folder, in words; "" = nobody. `at` is its path or descriptor, `info` what stat says of it."""
    return _others(at, info, stat.S_IWOTH, stat.S_IWGRP)


def other_readers(at: Path | int, info: os.stat_result) -> str:
    """The same for reading."""
    return _others(at, info, stat.S_IROTH, stat.S_IRGRP)


def _others(at: Path | int, info: os.stat_result, world: int, group: int) -> str:
    if stat.S_ISLNK(info.st_mode):  # its own mode means nothing
        return ""
    if info.st_mode & world:
        return "everybody"
    if not info.st_mode & group:  # where there is a list, these bits are the most that it grants
        return ""
    if _listed(at):
        return "whom its access control list names"
    return "" if _private(info.st_gid, info.st_uid) else f"group {info.st_gid}, which is not the owner's private group"


def _listed(at: Path | int) -> bool:
    """Does an access control list name a user or a group?"""
    try:
        entries = os.getxattr(at, _ACL)[4:]
    except OSError as error:
        return error.errno not in (errno.ENODATA, errno.EOPNOTSUPP)
    return any(int.from_bytes(entries[i : i + 2], "little") in (_USER, _GROUP) for i in range(0, len(entries), _ENTRY))


def _private(gid: int, uid: int) -> bool:
    """Is this the group that has the owner's name and no other member, by its list or as a user's first group?"""
    import grp  # rare: most files have no rights for a group
    import pwd

    try:
        group, owner = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    members = {*group.gr_mem, *(user.pw_name for user in pwd.getpwall() if user.pw_gid == gid and user.pw_uid != uid)}
    return group.gr_name == owner.pw_name and members <= {owner.pw_name}
