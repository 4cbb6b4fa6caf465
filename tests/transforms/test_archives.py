import gzip
import io

import pytest

from schemas.records import DeadLetter, Entry, Source
from transforms.deadletter import Unusable
from transforms.sources import Document
from transforms.sources.archives import archive_items, read_record

LIMIT = 10_000


def record(
    url,
    body=b"<p>Text.</p>",
    status="200 OK",
    content_type="text/html; charset=utf-8",
    kind="response",
    head=b"",
    length=None,
):
    """One record of an archive, as a crawler writes it."""
    block = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n".encode() + head
    block += b"\r\n" + body
    size = len(block) if length is None else length
    return (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\n"
        f"WARC-Date: 2024-03-01T09:00:00Z\r\nContent-Type: application/http; msgtype={kind}\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode() + block + b"\r\n\r\n"  # fmt: skip


URLS = [f"https://a.example/{n}" for n in range(4)]
RECORDS = [record(url, f"<p>{url}</p>".encode()) for url in URLS]
MEMBERS = [gzip.compress(one) for one in RECORDS]


def read(body):
    """The pages of an archive by address, and its dead letters."""
    document = Document(Source("/a.warc"), "/a.warc", b"")
    items = list(archive_items(io.BytesIO(body), document))
    pages = {}
    for entry in items:
        if isinstance(entry, Entry):
            page = read_record(io.BytesIO(body), entry, LIMIT)
            pages[entry.location] = (page.body, page.fetched_at.isoformat())
    return pages, [item for item in items if isinstance(item, DeadLetter)]


@pytest.mark.parametrize("parts", [RECORDS, MEMBERS], ids=["plain", "gzip"])
def test_each_page_of_an_archive_is_read_at_its_place(parts):
    pages, letters = read(b"".join(parts))
    moment = "2024-03-01T09:00:00+00:00"
    assert pages == {url: (f"<p>{url}</p>".encode(), moment) for url in URLS}
    assert letters == []


def test_only_good_answers_with_html_from_the_web_are_pages():
    others = [
        record("https://a.example/moved", status="301 Moved"),
        record("https://a.example/photo", content_type="image/png"),
        record("https://a.example/asked", kind="request"),
        record("https://a.example/seen", kind="revisit"),
        record("dns:a.example"),
        record("https://a.example/xhtml", content_type="application/xhtml+xml"),
        record("<https://a.example/wget>"),
    ]
    pages, _ = read(b"".join(others))
    assert set(pages) == {"https://a.example/xhtml", "https://a.example/wget"}


def test_compressed_and_chunked_bodies_are_undone():
    packed = gzip.compress(b"<p>Packed.</p>")
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    head = b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
    pages, _ = read(record(URLS[0], chunks, head=head))
    assert pages[URLS[0]][0] == b"<p>Packed.</p>"


@pytest.mark.parametrize(
    ("parts", "lost"),
    [
        pytest.param([MEMBERS[0], b"noise" * 200, *MEMBERS[1:]], set(), id="noise-between"),
        pytest.param(
            [MEMBERS[0], MEMBERS[1][:40] + b"\xff" * 60 + MEMBERS[1][100:], *MEMBERS[2:]],
            {URLS[1]},
            id="damaged-member",
        ),
        pytest.param([*RECORDS[:2], b"noise\r\n" * 9, *RECORDS[2:]], set(), id="plain-noise"),
        pytest.param([*MEMBERS, b"\0" * 512], set(), id="padding"),
        pytest.param(
            [RECORDS[0], record(URLS[1], length=30), *RECORDS[2:]], {URLS[1]}, id="wrong-length"
        ),
    ],
)
def test_after_damage_reading_goes_on_at_the_next_record(parts, lost):
    pages, letters = read(b"".join(parts))
    assert set(pages) == set(URLS) - lost
    assert {letter.error_type for letter in letters} == {"BadRecord"}


@pytest.mark.parametrize("parts", [RECORDS, MEMBERS], ids=["plain", "gzip"])
@pytest.mark.parametrize("cut", [20, 40, 60, 100])
def test_a_record_that_is_cut_off_is_no_page_and_not_passed_over(parts, cut):
    stream = io.BytesIO(b"".join(parts)[:-cut])
    items = list(archive_items(stream, Document(Source("/a.warc"), "/a.warc", b"")))
    assert [item.error_type for item in items if isinstance(item, DeadLetter)] == ["BadRecord"]
    entries = [item for item in items if isinstance(item, Entry)]
    assert [read_record(stream, entry, LIMIT).url for entry in entries[:3]] == URLS[:3]
    for entry in entries[3:]:
        with pytest.raises(Unusable) as caught:
            read_record(stream, entry, LIMIT)
        assert caught.value.error_type == "Truncated"


def test_bombs_and_lying_lengths_are_refused():
    bomb = gzip.compress(b"\0" * 5_000_000)
    for body in (
        record(URLS[0], bomb, head=b"Content-Encoding: gzip\r\n"),
        record(URLS[0], length=10**12),
        record(URLS[0], b"x" * (LIMIT + 1)),
    ):
        with pytest.raises(Unusable) as caught:
            read(body)
        assert caught.value.error_type == "TooLarge"


def test_what_is_no_archive_or_packed_as_one_piece_is_refused():
    for body, error_type in (
        (b"hello", "NotAnArchive"),
        (gzip.compress(b"hello"), "NotAnArchive"),
        (gzip.compress(b"".join(RECORDS)), "PackedWhole"),
    ):
        with pytest.raises(Unusable) as caught:
            read(body)
        assert caught.value.error_type == error_type


def test_any_cut_or_flip_ends_in_pages_or_dead_letters():
    whole = b"".join(MEMBERS)
    for at in range(0, len(whole), 7):
        for body in (whole[:at], whole[:at] + b"\x00\xff" + whole[at + 2 :]):
            try:
                pages, letters = read(body)
            except Unusable:
                continue
            # The last bytes of a member are its checksum and a line end.
            assert len(pages) + len(letters) >= at // max(map(len, MEMBERS))
