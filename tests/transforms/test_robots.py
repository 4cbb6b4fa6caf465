"""What robots.txt asks of us."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.web import assert_polite, failure
from transforms.robots import ROBOTS_BYTES

ROBOTS = {
    "none": ("404 Not Found", b"", True),
    "forbidden": ("403 Forbidden", b"", True),
    "empty": ("200 OK", b"", True),
    "binary": ("200 OK", bytes(range(256)), True),
    "page": ("200 OK", b"<!doctype html><title>Not found</title>", True),
    "all": ("200 OK", b"User-agent: *\nDisallow: /", False),
    "other path": ("200 OK", b"User-agent: *\nDisallow: /private", True),
    "this path": ("200 OK", b"User-agent: *\nDisallow: /news", False),
    "longer rule": ("200 OK", b"User-agent: *\nDisallow: /news\nAllow: /news/1", True),
    "pattern": ("200 OK", b"User-agent: *\nDisallow: /*/1$", False),
    "us by name": ("200 OK", b"User-agent: Wirewatch-Test\nDisallow: /", False),
    "others by name": ("200 OK", b"User-agent: otherbot\nDisallow: /", True),
    "only us": (
        "200 OK",
        b"User-agent: *\nDisallow: /\nUser-agent: wirewatch-test\nAllow: /",
        True,
    ),
    "mark": ("200 OK", b"\xef\xbb\xbfUser-agent: *\nDisallow: /", False),
    "large": ("200 OK", b"User-agent: *\nDisallow: /\n" + b"#" * ROBOTS_BYTES, False),
    "too late": ("200 OK", b"User-agent: *\n" + b"#" * ROBOTS_BYTES + b"\nDisallow: /", True),
    "hostile": ("200 OK", b"User-agent: *\nDisallow: " + b"*a" * 9000 + b"$", True),
}


@pytest.mark.parametrize("kind", ROBOTS)
def test_robots_txt_is_obeyed(kind, polite, site, answer):
    status, body, is_allowed = ROBOTS[kind]
    site.replies["/robots.txt"] = [answer(body, status=status)]
    site.replies["/news/1"] = [answer(b"page")]
    client = polite(local_delay=0.0)
    if is_allowed:
        assert client.get(site.url("/news/1"), robots=True).body == b"page"
    else:
        error = failure(client, site.url("/news/1"), robots=True)
        assert (error.error_type, error.retryable) == ("RobotsDisallowed", False)
    assert client.get(site.url("/news/1")).body == b"page"
    assert site.paths().count("/robots.txt") == 1


def test_robots_txt_is_asked_for_once_a_site(polite, site, answer):
    site.replies["/robots.txt"] = [answer(b"User-agent: *\nDisallow: /private")]
    for number in range(6):
        site.replies[f"/{number}"] = [answer(b"page")]
    client = polite()
    with ThreadPoolExecutor(6) as pool:
        urls = [site.url(f"/{number}") for number in range(6)]
        assert len(list(pool.map(lambda url: client.get(url, robots=True), urls))) == 6
    assert sorted(site.paths()) == ["/0", "/1", "/2", "/3", "/4", "/5", "/robots.txt"]
    assert site.paths()[0] == "/robots.txt"
    assert_polite(site)


def test_where_robots_txt_cannot_be_had_nothing_is_fetched_for_now(polite, site, answer):
    site.replies["/robots.txt"] = [answer(b"", status="503 Busy")]
    site.replies["/"] = [answer(b"page")]
    client = polite(attempts=2, local_delay=0.0)
    for _ in range(2):
        error = failure(client, site.url(), robots=True)
        assert (error.error_type, error.retryable) == ("RobotsUnreachable", True)
        assert "503" in str(error)
    assert site.paths() == ["/robots.txt"] * 2


def test_robots_txt_may_move_and_its_target_is_guarded(polite, site, other_site, answer):
    moved = f"Location: {other_site.url('/rules')}"
    site.replies["/robots.txt"] = [answer(b"", moved, status="301 Moved")]
    site.replies["/"] = [answer(b"page")]
    other_site.replies["/rules"] = [answer(b"User-agent: *\nDisallow: /")]
    assert failure(polite(), site.url(), robots=True).error_type == "RobotsDisallowed"
    alone = polite(allow_hosts=(f"127.0.0.1:{site.port}",))
    assert alone.get(site.url(), robots=True).body == b"page"
    assert other_site.paths() == ["/rules"]


def test_the_rules_of_where_a_redirect_leads_count(polite, site, other_site, answer):
    target = f"Location: {other_site.url('/page')}"
    site.replies["/"] = [answer(b"", target, status="302 Found")]
    other_site.replies["/page"] = [answer(b"page")]
    other_site.replies["/robots.txt"] = [answer(b"User-agent: *\nDisallow: /page")]
    assert failure(polite(), site.url(), robots=True).error_type == "RobotsDisallowed"
    assert other_site.paths() == ["/robots.txt"]


def test_a_crawl_delay_is_kept_up_to_the_most_there_may_be(polite, site, answer):
    site.replies["/robots.txt"] = [answer(b"User-agent: *\nCrawl-delay: 9999")]
    site.replies["/"] = [answer(b"page")]
    client = polite(local_delay=0.0, max_crawl_delay=0.2)
    for _ in range(2):
        client.get(site.url(), robots=True)
    pages = site.visits[1:]
    assert pages[1].begin - pages[0].end >= 0.2


def test_robots_can_be_left_out(polite, site, answer):
    site.replies["/robots.txt"] = [answer(b"User-agent: *\nDisallow: /")]
    site.replies["/"] = [answer(b"page")]
    assert polite(robots=False).get(site.url(), robots=True).body == b"page"
    assert site.paths() == ["/"]
