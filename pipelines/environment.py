"""Tells what is wrong with the machine from what is wrong with the program."""

import errno
import os

from apache_beam.io.filesystem import BeamIOError

from transforms.lake import is_remote
from transforms.writer import LakeGone, LakeInUse

# Beam wraps what a step raises, and says so at the end of its message.
WRAPPED = "[while running "
DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would be larger than is allowed here",
    errno.EROFS: "the disk is read-only",
    errno.EIO: "the disk cannot be read or written",
    errno.ESTALE: "the disk is not there any more",
    errno.ENODEV: "the disk is not there any more",
    errno.ETIMEDOUT: "the disk does not answer",
    errno.ENOMEM: "there is no memory left",
}
# These are the machine's fault only where they are about the lake.
LAKE = {
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.ENOENT: "it is not there",
    errno.ENOTDIR: "it is not there",
}


def environment_problem(error: BaseException, lake: str) -> str | None:
    """What is wrong around the program, as one line; None where it is the program itself.

    A full disk, a lake that is gone or may not be written, a store that does not answer:
    all that may be well again at the next try.
    """
    cause = unwrapped(error)
    if isinstance(cause, LakeInUse):
        return str(cause)
    if isinstance(cause, LakeGone):
        return f"{lake}: {cause.strerror}"
    if isinstance(cause, BeamIOError) or (is_remote(lake) and is_network(cause)):
        return f"{lake}: the store does not answer: {cause}"
    if not isinstance(cause, OSError) or cause.errno is None:
        return None
    names = [name for name in (cause.filename, cause.filename2) if isinstance(name, str)]
    if cause.errno in DISK:
        # A write names no file: it is of the lake, where all that is large is written.
        return f"{names[0] if names else lake}: {DISK[cause.errno]}"
    if cause.errno in LAKE and any(is_inside(name, lake) for name in names):
        return f"{lake}: cannot be used: {LAKE[cause.errno]}"
    return None


def unwrapped(error: BaseException) -> BaseException:
    """The error that a step of the pipeline raised, out of what Beam makes of it."""
    while isinstance(error, RuntimeError) and WRAPPED in str(error):
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error


def is_network(error: BaseException) -> bool:
    """Whether an error is of a connection; stores' libraries have their own names for it."""
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(
        names & {"ConnectionError", "Timeout", "TransportError", "HttpError", "ClientError"}
    )


def is_inside(path: str, folder: str) -> bool:
    """Whether a path is a local folder or lies in it."""
    whole, outer = os.path.abspath(path), os.path.abspath(folder)
    return whole == outer or whole.startswith(os.path.join(outer, ""))
