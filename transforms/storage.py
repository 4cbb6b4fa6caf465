"""Files of a lake, on local disk or on an object store that Beam has a filesystem for.

A file appears whole or not at all. On local disk that is a rename, made durable by flushing file
and folder; on an object store a put is atomic by itself.
"""

import contextlib
import errno
import fcntl
import io
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

# Not in a table's folder: Polars takes every file there for one of the table's.
UNFINISHED = ".unfinished"
LOCK = "lock"
# What a disk answers that has no locks; some network disks are so.
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

# What tells a file from another of its name: inode, time of change and size on local disk,
# time of change and size on an object store.
Mark = tuple[float, ...]


def is_remote(path: str) -> bool:
    """Whether a path is an address on an object store, such as gs://bucket/lake."""
    return "://" in path


def _filesystems() -> Any:
    # Imported when needed: a query over a local lake need not wait for Beam.
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def marked_files(folder: str, pattern: str) -> dict[str, Mark]:
    """The files below a folder that fit a glob, each with its mark; those of hidden names not."""
    if is_remote(folder):
        matched = _filesystems().match([f"{folder}/{pattern}"])[0].metadata_list
        return {
            found.path: (found.last_updated_in_seconds or 0.0, found.size_in_bytes)
            for found in matched
        }
    marks = {}
    for path in Path(folder).glob(pattern):
        # One that went between the listing and the look is not there.
        with contextlib.suppress(FileNotFoundError):
            if not path.name.startswith("."):
                marks[str(path)] = local_mark(path)
    return marks


def paths_unchanged_since(folder: str, pattern: str, moment: datetime) -> set[str]:
    """The paths of ``marked_files`` that were last written before a moment."""
    marks, seconds = marked_files(folder, pattern), moment.timestamp()
    if is_remote(folder):
        return {path for path, (written, _) in marks.items() if written < seconds}
    return {path for path, (_, written, _) in marks.items() if written < seconds * 1e9}


def local_mark(path: str | Path) -> Mark:
    """The mark of a local file. Raises FileNotFoundError."""
    found = os.stat(path)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def paths_below(folder: str, pattern: str) -> list[str]:
    """The paths of ``marked_files``, sorted, without looking at the files."""
    if is_remote(folder):
        return sorted(marked_files(folder, pattern))
    found = Path(folder).glob(pattern)
    return sorted(str(path) for path in found if not path.name.startswith("."))


def read_bytes(path: str) -> bytes:
    """The content of a file. Raises OSError where there is none."""
    if not is_remote(path):
        return Path(path).read_bytes()
    with _filesystems().open(path) as file:
        return file.read()


def put_bytes(lake: str, path: str, content: bytes, is_table: bool = True) -> None:
    """Puts a file into a lake, whole or not at all; one that is there is replaced.

    Files of tables take the lake's lock, so that none comes into a day while it changes.
    """
    if is_remote(path):
        with _filesystems().create(path) as file:
            file.write(content)
    else:
        with written_aside(Path(path), content, Path(lake)) as temporary:
            with lake_lock(lake, shared=True) if is_table else contextlib.nullcontext():
                move_in(temporary, Path(path))
            sync_folder(Path(path).parent)


def put_file(lake: str, path: str, source: Path) -> None:
    """Moves a whole file of this machine into a lake; of a local lake it is on the same disk."""
    if is_remote(path):
        with _filesystems().create(path) as file, open(source, "rb") as content:
            shutil.copyfileobj(content, file)
    else:
        move_in(source, Path(path))
        sync_folder(Path(path).parent)


def replace_bytes(lake: str, path: str, content: bytes, mark: Mark) -> bool:
    """Puts a file in the place of one that has this mark; whether it was still there.

    A compaction may have put another file in its stead. On local disk none can come between the
    look and the change; on an object store the rest is up to the records of compactions.
    """
    if is_remote(path):
        folder, _, name = path.rpartition("/")
        is_there = marked_files(folder, name).get(path) == mark
        if is_there:
            put_bytes(lake, path, content)
        return is_there
    with written_aside(Path(path), content, Path(lake)) as temporary:
        with lake_lock(lake, shared=True):
            try:
                if local_mark(path) != mark:
                    return False
            except FileNotFoundError:
                return False
            os.replace(temporary, path)
        sync_folder(Path(path).parent)
    return True


@contextlib.contextmanager
def written_aside(path: Path, content: bytes, lake: Path) -> Iterator[Path]:
    """The content in a file that no reader sees, flushed to the disk that the lake is on."""
    unfinished = lake / UNFINISHED
    unfinished.mkdir(parents=True, exist_ok=True)
    temporary = unfinished / f"{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def move_in(temporary: Path, path: Path) -> None:
    """Moves a file to its place, making the folders above it, which are flushed to disk."""
    made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in made:
        sync_folder(folder.parent)
    os.replace(temporary, path)


def remove_files(folder: str, names: Iterable[str]) -> None:
    """Removes files of one folder; those that are not there are passed over."""
    if not is_remote(folder):
        for name in names:
            Path(folder, name).unlink(missing_ok=True)
        return
    there = set(paths_below(folder, "*")) & {f"{folder}/{name}" for name in names}
    if there:
        _filesystems().delete(sorted(there))


def sync_folder(folder: Path) -> None:
    """Flushes a folder's names to disk, so that they outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def lake_lock(lake: str, shared: bool) -> Iterator[None]:
    """Holds the lock of a local lake: shared to put a file there, else to change a whole day.

    On an object store, and for writers on a disk without locks, there is none. Raises OSError
    where a day is to be changed on such a disk.
    """
    if is_remote(lake):
        yield
        return
    with open_lock(Path(lake) / UNFINISHED / LOCK) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError as error:
            if not shared or error.errno not in NO_LOCKS:
                raise
        yield


def open_lock(path: Path) -> io.TextIOWrapper:
    """Opens a file to lock. It is never removed, lest two hold locks of one name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return open(path, "a")
