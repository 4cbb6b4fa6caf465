"""Three answers in ten fail: every article arrives all the same, and politely."""

import itertools
import json
import random
import socket
import struct

import pytest

from tests.pipelines.conftest import story_page
from tests.transforms.conftest import Site, plain

DELAY = 0.03
STATUSES = ("429 Too Many Requests", "500 Error", "502 Bad", "503 Service Unavailable", "504 Late")


def reset(connection, ended):
    """Ends a connection without an answer, by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(connection, ended):
    """Sends a page of which a byte comes now and then, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not ended.wait(0.05):
        connection.sendall(b"x")


class FaultySite(Site):
    """A site of which three answers in ten are wrong, each in one of many ways."""

    def __init__(self, chances):
        super().__init__()
        self._chances = chances
        self.faults = 0

    def _answer(self, connection, head):
        path = head.split()[1]
        right = self.replies[path] or [plain(b"", status="404 Not Found")]
        if self._chances.random() < 0.3:
            self.faults += 1
            self.replies[path] = [self._wrong(right[0], head)]
        try:
            super()._answer(connection, head)
        finally:
            self.replies[path] = right

    def _wrong(self, right, head):
        if "if-none-match" in head.lower() and self._chances.random() < 0.5:
            return plain(b"", status="304 Not Modified")
        if self._chances.random() < 0.4:
            return plain(b"", status=self._chances.choice(STATUSES))
        cut = right[: len(right) // 2 + 1]
        kinds = (
            (lambda connection, ended: connection.sendall(cut), 10),
            (right + b"and more than it said", 5),
            (plain(b"\x1f\x8b\x08garbage", "Content-Encoding: gzip"), 5),
            (reset, 10),
            (drip, 1),
        )
        return self._chances.choices(*zip(*kinds, strict=True))[0]


@pytest.fixture
def sites():
    chances = random.Random(20_261_122)
    sites = [FaultySite(chances) for _ in range(3)]
    yield sites
    for site in sites:
        site.close()


def publish(site, first):
    """Puts a feed of four stories on a site; the paths of the pages."""
    items = ""
    for number in range(first, first + 4):
        site.replies[f"/news/{number}"] = [
            plain(story_page(number).encode(), "Content-Type: text/html")
        ]
        items += f"<item><title>{number}</title><link>{site.url(f'/news/{number}')}</link></item>"
    feed = f"<rss version='2.0'><channel><title>Post</title>{items}</channel></rss>"
    site.replies["/feed.xml"] = [plain(feed.encode(), 'ETag: "1"', "Content-Type: text/xml")]
    return {site.url(f"/news/{number}") for number in range(first, first + 4)}


def test_with_three_answers_in_ten_failing_every_article_arrives(sites, wirewatch, tmp_path, rows):
    wanted = set().union(*(publish(site, 4 * n) for n, site in enumerate(sites)))
    lake, config = tmp_path / "lake", tmp_path / "monitor.yaml"
    fetch = {"total_timeout": 0.5, "attempts": 2, "local_delay": DELAY}
    polls = {"retry_after": 0, "tries": 100}
    config.write_text(json.dumps({"fetch": fetch, "polls": polls}))
    feeds = [site.url("/feed.xml") for site in sites]
    arrived = []
    for _ in range(40):
        wirewatch("run", *feeds, "--force", "--config", config, "--lake", lake)
        if (lake / "passages").exists():
            firsts = [row for row in rows(lake, "passages") if row["position"] == 0]
            arrived = sorted(row["canonical_url"] for row in firsts)
        if set(arrived) == wanted:
            break
    assert arrived == sorted(wanted)  # Each of them, and once.
    visits = [visit for site in sites for visit in site.visits]
    assert 0.1 < sum(site.faults for site in sites) / len(visits) < 0.5
    for site in sites:
        assert {visit.others for visit in site.visits} == {0}
        for earlier, later in itertools.pairwise(sorted(site.visits, key=lambda v: v.begin)):
            assert later.begin - earlier.end >= DELAY
