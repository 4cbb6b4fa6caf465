"""One writer a lake: the lock that a command holds while it adds to a lake.

On a local disk it is the kernel's (flock(2)), which ends with the process that holds it,
however that ends. An object store has no such lock: there it is an object that its holder
writes anew every minute, and that counts for nothing once it is old.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transforms.clean import one_line
from transforms.storage import UNFINISHED, is_remote

LOCK_FILE = "writer.lock"
BEAT_SECONDS = 60.0
# The holder may be slow, and its clock not quite ours.
STALE_SECONDS = 10 * BEAT_SECONDS


class LakeInUse(Exception):
    """Another process writes to the lake. The message is one line that names it."""


class LakeGone(OSError):
    """The lake that was locked is not at its place any more."""


class LocalLock:
    """The lock of a lake on a local disk: a hidden file in it."""

    def __init__(self, lake: str, command: str):
        self._lake, self._command = lake, command
        self._path = Path(lake) / UNFINISHED / LOCK_FILE
        self._file: int | None = None

    def take(self) -> None:
        """Takes the lock; makes the lake's folder where there is none. Raises LakeInUse."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._open(os.O_CREAT)

    def _open(self, create: int) -> None:
        # Closed in children: one that outlives this process must not keep the lock.
        file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | create, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with os.fdopen(file, "rb") as held:
                raise LakeInUse(in_use(self._lake, held.read())) from error
        except BaseException:
            os.close(file)
            raise
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(holder(self._command)).encode(), 0)
        self.release()
        self._file = file

    def check(self) -> None:
        """Raises LakeGone where the lake that was locked is not at its place any more."""
        if self._file is None or not self._is_in_place():
            message = "the lake is not there any more: moved, removed or not mounted"
            raise LakeGone(errno.ENOENT, message, self._lake)

    def _is_in_place(self) -> bool:
        assert self._file is not None
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def find_again(self) -> bool:
        """Whether a lake that had gone is a lake again, and perhaps another one than before.

        Only a folder with such a file in it is a lake: the empty folder that a disk is
        mounted on is none. False where nothing had gone. Raises LakeGone, LakeInUse.
        """
        if self._file is not None and self._is_in_place():
            return False
        try:
            self._open(0)
        except (FileNotFoundError, NotADirectoryError):
            self.check()
        return True

    def release(self) -> None:
        """Gives the lock back. The file stays: removing it would race with who waits for it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class RemoteLock:
    """The lock of a lake on an object store: an object that is written anew while it holds.

    Two that begin in the same moment may both read back what they wrote, so it keeps from
    mistakes and not from races.
    """

    def __init__(self, lake: str, command: str):
        self._lake = lake
        self._path = f"{lake.rstrip('/')}/{UNFINISHED}/{LOCK_FILE}"
        self._content = {**holder(command), "token": uuid.uuid4().hex}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Takes the lock. Raises LakeInUse."""
        content = self._read()
        if is_held(content):
            raise LakeInUse(in_use(self._lake, content))
        self._write()
        self._ended.clear()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="lake lock")
        self._thread.start()

    def check(self) -> None:
        """Raises LakeInUse where another process has taken the lock since."""
        content = self._read()
        if is_held(content) and parsed(content).get("token") != self._content["token"]:
            raise LakeInUse(in_use(self._lake, content))

    def find_again(self) -> bool:
        """As of a local lock; an object store does not move."""
        self.check()
        return False

    def release(self) -> None:
        """Gives the lock back."""
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join()
        self._thread = None
        if parsed(self._read()).get("token") == self._content["token"]:
            self._write(beat=0.0)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            # One beat that fails is made up for by the next.
            with contextlib.suppress(Exception):
                if parsed(self._read()).get("token") == self._content["token"]:
                    self._write()

    def _read(self) -> bytes:
        from apache_beam.io.filesystems import FileSystems

        if not FileSystems.exists(self._path):
            return b""
        with FileSystems.open(self._path) as file:
            return bytes(file.read())

    def _write(self, beat: float | None = None) -> None:
        from apache_beam.io.filesystems import FileSystems

        content = {**self._content, "beat": time.time() if beat is None else beat}
        with FileSystems.create(self._path) as file:
            file.write(json.dumps(content).encode())


Lock = LocalLock | RemoteLock
# The locks that this process holds, by lake.
_HELD: dict[str, Lock] = {}


def take_lake(lake: str, command: str) -> Lock:
    """Makes this process the one writer of a lake. Raises LakeInUse, OSError."""
    lock = RemoteLock(lake, command) if is_remote(lake) else LocalLock(lake, command)
    lock.take()
    _HELD[lake] = lock
    return lock


def release_lake(lake: str) -> None:
    """Gives the lake back."""
    lock = _HELD.pop(lake, None)
    if lock is not None:
        lock.release()


def check_lake_is_there(lake: str) -> None:
    """Raises LakeGone where a local lake that this process has locked was moved away.

    To be called before something is written: it would make a new lake in the old one's
    place. Says nothing of a lake that this process has not locked.
    """
    lock = _HELD.get(lake)
    if isinstance(lock, LocalLock):
        lock.check()


def holder(command: str) -> dict[str, Any]:
    """Who holds a lock, as it is written into it."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": since}


def parsed(content: bytes) -> dict[str, Any]:
    """The content of a lock; empty where it says nothing, as between two of its states."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_held(content: bytes) -> bool:
    """Whether the object of a remote lock is of a process that still lives."""
    found = parsed(content)
    beat = found.get("beat")
    if not isinstance(beat, int | float) or abs(time.time() - beat) > STALE_SECONDS:
        return False
    if found.get("host") != socket.gethostname() or not isinstance(found.get("pid"), int):
        return True
    try:
        os.kill(found["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def in_use(lake: str, content: bytes) -> str:
    """The line that names the holder of a lake."""
    found = parsed(content)
    who = f"wirewatch {found.get('command', '')}".strip()
    where = f"process {found.get('pid', '?')} on {found.get('host', '?')}"
    since = f" since {found['since']}" if "since" in found else ""
    return one_line(f"{lake}: {who} ({where}) writes to this lake{since}; one writer at a time")
