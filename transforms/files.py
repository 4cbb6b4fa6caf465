"""Files, on local disk and on every object store that Beam has a filesystem for."""

import contextlib
import dataclasses
import glob
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import urlsplit

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from schemas.records import Source
from transforms.deadletter import Unusable
from transforms.http import HttpPolicy, Response, open_client
from transforms.lake import is_remote
from transforms.sources.archives import HEAD_BYTES
from transforms.urls import is_web

READ_ERRORS = (OSError, BeamIOError, EOFError, ValueError)
# Archives from the web that a process keeps on disk for as long as it reads their pages.
KEPT_ARCHIVES = 4
WARC_SUFFIXES = (".warc", ".warc.gz")


def expand_source(source: Source) -> list[Source]:
    """The files that a folder or glob stands for, sorted; any other source as it is.

    Hidden files and folders are passed over; on an object store a folder's address ends
    in a slash. Raises Unusable where nothing is there.
    """
    location = source.location
    if is_web(location) or os.path.isfile(location):
        return [source]
    is_folder = os.path.isdir(location)
    pattern = os.path.join(glob.escape(location), "**") if is_folder else location
    if is_remote(location) and location.endswith("/"):
        pattern, is_folder = f"{location}**", True
    paths = [path for path in match_files(pattern) if not is_hidden(path, location)]
    if not paths:
        raise Unusable("NotFound", "no such file" if not is_folder else "the folder is empty")
    # The name of a folder or glob says less than the name of the file.
    return [dataclasses.replace(source, location=path) for path in paths]


def match_files(pattern: str) -> list[str]:
    """The files that match a glob on any filesystem Beam knows, sorted."""
    if not is_remote(pattern):
        # Beam's own matching of local files finds nothing for a bare "*.txt".
        return sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    try:
        return sorted(file.path for file in FileSystems.match([pattern])[0].metadata_list)
    except (BeamIOError, ValueError) as error:
        raise Unusable("NotFound", f"cannot be listed: {error}", retryable=True) from error


def looks_like_archive(url: str) -> bool:
    """Whether a URL's path ends as that of a WARC archive does."""
    return urlsplit(url).path.lower().endswith(WARC_SUFFIXES)


def is_hidden(path: str, root: str) -> bool:
    """Whether a file, or a folder between it and ``root``, has a name that starts with a dot."""
    inside = path[len(root) :] if path.startswith(root) else os.path.basename(path)
    return any(part.startswith(".") for part in inside.replace("\\", "/").split("/"))


def is_utf8(text: str) -> bool:
    """Whether a text can be stored: it holds no lone surrogate, as a file's name may."""
    return text == text.encode("utf-8", "ignore").decode()


def read_file(path: str, max_bytes: int) -> bytes:
    """The content of a file on any filesystem Beam knows, decompressed by its suffix.

    Raises Unusable where it cannot be read or is over ``max_bytes``.
    """
    try:
        with FileSystems.open(path) as file:
            content = file.read(max_bytes + 1)
    except READ_ERRORS as error:
        raise unreadable(error) from error
    if len(content) > max_bytes:
        raise Unusable("TooLarge", f"file is over {max_bytes:,} bytes")
    return content


def read_head(path: str) -> bytes:
    """The first bytes of a file as they are stored. Raises Unusable."""
    with open_raw(path) as file:
        try:
            return file.read(HEAD_BYTES)
        except READ_ERRORS as error:
            raise unreadable(error) from error


def unreadable(error: Exception) -> Unusable:
    """What a file that cannot be read becomes."""
    return Unusable(type(error).__name__, f"cannot be read: {error}", retryable=True)


@contextlib.contextmanager
def open_raw(path: str) -> Iterator[BinaryIO]:
    """A file to seek in, as it is stored: not decompressed. Raises Unusable."""
    try:
        file = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    except READ_ERRORS as error:
        raise unreadable(error) from error
    with file:
        yield file


class WebArchives:
    """Archives that came over HTTP, kept in unnamed files while their pages are read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[str, BinaryIO] = OrderedDict()

    def keep(self, url: str, body: bytes) -> None:
        """Keeps the body of an archive; the oldest one goes where there are too many."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 It is closed when it is put out.
        file.write(body)
        with self._lock:
            self._put(url, file)

    def fetch(self, url: str, at: str, http: HttpPolicy) -> Response:
        """Asks for the archive ``url`` at the address ``at`` and keeps it. Raises Unusable."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 As above.
        answer = open_client(http).download(at, file)
        with self._lock:
            self._put(url, file)
        return answer

    def _put(self, url: str, file: BinaryIO) -> None:
        replaced = self._files.pop(url, None)
        self._files[url] = file
        if replaced is None and len(self._files) > KEPT_ARCHIVES:
            _, replaced = self._files.popitem(last=False)
        if replaced is not None:
            replaced.close()

    @contextlib.contextmanager
    def open(self, url: str, http: HttpPolicy) -> Iterator[BinaryIO]:
        """The archive, for one reader at a time; got again where it is not kept."""
        with self._lock:
            if url not in self._files:
                file = tempfile.TemporaryFile()  # noqa: SIM115 As above.
                open_client(http).download(url, file)
                self._put(url, file)
            yield self._files[url]


web_archives = WebArchives()


@contextlib.contextmanager
def open_archive(location: str, http: HttpPolicy) -> Iterator[BinaryIO]:
    """An archive to seek in, wherever it lies. Raises Unusable."""
    opened = web_archives.open(location, http) if is_web(location) else open_raw(location)
    with opened as stream:
        yield stream
