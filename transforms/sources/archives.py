"""WARC archives (ISO 28500), by the FastWARC library: record by record, never whole.

Reading gives one entry a page, with its place in the archive; the body is read there
when the page is fetched. Where an archive is damaged, the damage is a dead letter and
reading goes on at the next record.
"""

import io
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from schemas.records import Entry, Page
from transforms.clean import one_line
from transforms.dates import in_utc
from transforms.deadletter import Unusable, dead_letter
from transforms.sources.document import Document, Item
from transforms.urls import is_web

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
GZIP_HEAD = b"\x1f\x8b\x08"
WARC_HEAD = b"WARC/"
HEAD_BYTES = 512
BLOCK_BYTES = 1 << 20
# So many damaged places in one archive mean that it is no archive.
MOST_DAMAGES = 1000


def read_archive(document: Document) -> Iterator[Item]:
    """The pages of an archive that is held in memory."""
    yield from archive_items(io.BytesIO(document.body), document)


def archive_items(stream: BinaryIO, document: Document) -> Iterator[Item]:
    """The pages of an archive: its 2xx responses of HTML; damaged places are dead letters."""
    is_packed = check_archive(stream)
    start: int | None = 0
    for _ in range(MOST_DAMAGES):
        place = [start or 0]
        try:
            yield from sound_items(stream, place, document)
            check_end(stream, place, is_packed)
            return
        except OSError as error:
            damage = Unusable("BadRecord", f"damaged in or after this record: {error}")
        yield dead_letter("read", f"{document.location}#{place[0]}", document.name, damage)
        start = find_record(stream, place[0] + 1, is_packed)
        if start is None:
            return
    raise Unusable("BadRecord", f"damaged in {MOST_DAMAGES:,} places")


def check_archive(stream: BinaryIO) -> bool:
    """Whether an archive is compressed. Raises Unusable for what is none."""
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    if not is_archive(head):
        raise Unusable("NotAnArchive", "not a WARC archive")
    return head.startswith(GZIP_HEAD)


def is_archive(head: bytes) -> bool:
    """Whether these are the first bytes of a WARC archive or of a compressed record."""
    if head.startswith(GZIP_HEAD):
        try:
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, len(WARC_HEAD))
        except zlib.error:
            return False
    return head.startswith(WARC_HEAD)


def sound_items(stream: BinaryIO, place: list[int], document: Document) -> Iterator[Entry]:
    """The entries from ``place`` on, which follows the reading. Raises OSError at damage."""
    stream.seek(place[0])
    earlier = None
    for record in ArchiveIterator(stream):
        place[0] = record.stream_pos
        if place[0] == earlier:
            reason = "the archive is compressed as one piece, not record by record"
            raise Unusable("PackedWhole", reason)
        earlier = place[0]
        if is_page(record):
            yield Entry(
                location=one_line((record.headers.get("WARC-Target-URI") or "").strip("<> ")),
                source=document.source.name or document.name,
                kind="html",
                lang=document.source.lang,
                archive=document.location,
                offset=place[0],
            )


def check_end(stream: BinaryIO, place: list[int], is_packed: bool) -> None:
    """Raises OSError where an archive ends inside its last record, and puts it in ``place``.

    The library gives what there is of such a record, or nothing, without a word.
    """
    stream.seek(place[0])
    record = next(iter(ArchiveIterator(stream, parse_http=False)), None)
    if record is None or record.headers.get("Content-Length") is None:
        raise OSError("the archive ends inside it")
    size = record.content_length
    if record.consume() < size:
        raise OSError("the archive ends inside it")
    unread = find_record(stream, place[0] + (1 if is_packed else size), is_packed)
    if unread is not None:
        place[0] = unread
        raise OSError("the archive ends inside it")


def is_page(record: WarcRecord) -> bool:
    """Whether a record holds the answer of a web server with an HTML page."""
    if record.record_type != WarcRecordType.response or not record.is_http:
        return False
    target = (record.headers.get("WARC-Target-URI") or "").strip("<> ")
    content_type = (record.http_content_type or "").lower()
    status = record.http_headers.status_code or 0
    return is_web(target) and content_type in HTML_TYPES and 200 <= status < 300


def find_record(stream: BinaryIO, start: int, is_packed: bool) -> int | None:
    """Where the next record begins at or after ``start``; None where there is none."""
    mark = GZIP_HEAD if is_packed else b"\n" + WARC_HEAD
    skipped = 0 if is_packed else 1
    stream.seek(start)
    window, base = b"", start
    while block := stream.read(BLOCK_BYTES):
        window += block
        at = window.find(mark)
        while at >= 0:
            if is_archive(window[at + skipped : at + skipped + HEAD_BYTES]):
                return base + at + skipped
            at = window.find(mark, at + 1)
        # What may be the start of a mark, or of a record that is cut by the block's end.
        base += max(0, len(window) - HEAD_BYTES)
        window = window[-HEAD_BYTES:]
    return None


def read_record(stream: BinaryIO, entry: Entry, max_bytes: int) -> Page:
    """The page at an entry's place in its archive. Raises Unusable where it is not whole."""
    stream.seek(entry.offset or 0)
    try:
        record = next(iter(ArchiveIterator(stream, parse_http=False)))
        size = record.content_length
        if size > max_bytes:
            raise Unusable("TooLarge", f"record is over {max_bytes:,} bytes")
        block = read_bytes(record, size)
        if len(block) < size:
            raise Unusable("Truncated", f"record ends after {len(block):,} of {size:,} bytes")
        answer = WarcRecord()
        answer.set_bytes_content(block)
        answer.is_http = True
        answer.parse_http("all")
        body = read_bytes(answer, max_bytes + 1)
    except (OSError, StopIteration) as error:
        raise Unusable("BadRecord", f"record cannot be read: {error}") from error
    if len(body) > max_bytes:
        raise Unusable("TooLarge", f"page is over {max_bytes:,} bytes after decompression")
    moment = record.record_date or datetime.now(UTC)
    content_type = answer.http_headers.get("Content-Type")
    return Page(entry, entry.location, body, content_type, in_utc(moment) or datetime.now(UTC))


def read_bytes(record: WarcRecord, size: int) -> bytes:
    """The next ``size`` bytes of a record, fewer where it ends before."""
    body = bytearray()
    while len(body) < size and (part := record.reader.read(min(BLOCK_BYTES, size - len(body)))):
        body += part
    return bytes(body)
