"""Tells what is wrong with the machine from what is wrong with the program."""

import contextlib
import errno
import os
from collections.abc import Iterator

from configs.settings import UserError
from transforms.storage import is_remote
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
    errno.ENOTDIR: "it is no folder",
}
# Those that a folder may be the cause of, where a file is named that is not in it.
OF_FOLDERS = (errno.EACCES, errno.EPERM, errno.ENOTDIR)

NOTHING_LOST = "nothing is lost, and the next run goes on where this one stopped"


class MachineFailed(Exception):
    """The machine, and not the program, has failed a command. The message is one line."""


@contextlib.contextmanager
def machine_failures(lake: str) -> Iterator[None]:
    """Raises MachineFailed for what goes wrong around the body; a bug in it stays what it is."""
    try:
        yield
    except Exception as error:
        problem = environment_problem(error, lake)
        if problem is None:
            raise
        raise MachineFailed(f"{problem}; {NOTHING_LOST}") from error


def refusal(lake: str, what: str, error: Exception) -> Exception:
    """What to raise where a lake cannot be taken into use: ``what`` cannot be done with it.

    A full disk is no mistake of the user's; a path that is no folder, say, is.
    """
    problem = environment_problem(error, lake)
    number = error.errno if isinstance(error, OSError) else None
    if problem and number in DISK:
        return MachineFailed(f"{problem}; {NOTHING_LOST}")
    if problem and number in OF_FOLDERS:
        return UserError(problem)
    reason = getattr(error, "strerror", None) or error
    return UserError(f"{lake}: the lake cannot be {what}: {reason}")


def environment_problem(error: BaseException, lake: str) -> str | None:
    """What is wrong around the program, as one line; None where it is the program itself.

    A full disk, a lake that is gone or may not be written, a store that does not answer:
    all that may be well again at the next try.
    """
    # Imported when needed: a command that does without Beam need not wait for it.
    from apache_beam.io.filesystem import BeamIOError

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
    inside = [name for name in names if is_inside(name, lake)]
    if cause.errno in LAKE and inside:
        return f"{refused(inside, lake, cause.errno)}: {LAKE[cause.errno]}"
    return None


def refused(names: list[str], lake: str, number: int) -> str:
    """Which file or folder of a lake is the cause, and whether it was to be written.

    Of what is not there yet, and was to be made or moved there, it is the folder above.
    """
    place = names[-1]
    if number not in OF_FOLDERS:
        return f"{place}: cannot be used"
    while is_inside(place, lake) and not os.path.lexists(place):
        place = os.path.dirname(place)
    place = place if is_inside(place, lake) else lake
    # In a folder that may not be searched nothing is there, for who may not.
    is_new = place != names[-1] and os.path.exists(os.path.join(place, "."))
    return f"{place}: cannot be {'written' if is_new or len(names) > 1 else 'used'}"


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
