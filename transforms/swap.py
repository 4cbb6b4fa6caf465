"""Exchanges two folders of a local disk in one step, which no reader can see half done."""

import ctypes
import errno
import os
import sys
from pathlib import Path

# renameat2(2) of Linux 3.15 and glibc 2.28; renamex_np(2) of macOS 10.12.
AT_FDCWD = -100
RENAME_EXCHANGE = 2
RENAME_SWAP = 2
# What says that the disk or the system cannot do it, and not that it failed.
CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK)


class CannotExchange(Exception):
    """This disk or system has no exchange of folders, or no second names for files."""


def exchange_folders(one: Path, other: Path) -> None:
    """Gives each of two folders the other's name, in one rename. They are on one disk.

    Raises CannotExchange, and OSError where a folder is not there.
    """
    code = exchange_call(os.fsencode(one), os.fsencode(other))
    if code in CANNOT:
        raise CannotExchange(os.strerror(code))
    if code:
        raise OSError(code, os.strerror(code), str(one), None, str(other))


def exchange_call(one: bytes, other: bytes) -> int:
    """The system's call; its error number, 0 where it is done."""
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        done = library.renamex_np(one, other, RENAME_SWAP)
    elif hasattr(library, "renameat2"):
        done = library.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)
    else:
        return errno.ENOSYS
    return ctypes.get_errno() if done else 0


def link_file(path: Path, folder: Path) -> None:
    """Gives a file a second name in another folder. Raises CannotExchange."""
    try:
        os.link(path, folder / path.name)
    except OSError as error:
        if error.errno in CANNOT:
            raise CannotExchange(error.strerror) from error
        raise
