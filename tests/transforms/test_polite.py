"""What hosts ask of us: turns, pauses, Retry-After, robots.txt, and who we say we are."""

import gzip
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from schemas.records import Entry, Source
from transforms.deadletter import Unusable
from transforms.exchange import warn_of_no_contact
from transforms.fetch import FetchPages
from transforms.http import HttpClient, lane_of
from transforms.read import ReadSources
from transforms.robots import ROBOTS_BYTES

DELAY = 0.05
BUSY = {"429": "429 Too Many Requests", "503": "503 Service Unavailable"}


@pytest.fixture
def polite(http_policy):
    """Makes a client that leaves hosts on this machine alone for a while, as others."""

    def make(**changed):
        return HttpClient(http_policy(**{"local_delay": DELAY, **changed}))

    return make


def failure(client, url, **options):
    with pytest.raises(Unusable) as caught:
        client.get(url, **options)
    return caught.value


def assert_polite(*sites, delay=DELAY):
    """No site saw two requests at once, nor one before its pause was over."""
    for site in sites:
        assert [visit.others for visit in site.visits] == [0] * len(site.visits)
        for earlier, later in itertools.pairwise(sorted(site.visits, key=lambda v: v.begin)):
            assert later.begin - earlier.end >= delay


@pytest.mark.parametrize("status", BUSY)
def test_a_short_retry_after_is_waited_for(status, polite, site, answer):
    busy = answer(b"", "Retry-After: 1", status=BUSY[status])
    site.replies["/"] = [busy, answer(b"at last")]
    reply = polite(attempts=2, first_wait=0.0).get(site.url())
    assert (reply.body, reply.attempts) == (b"at last", 2)
    # Less than a second only by as much as two clocks of one machine may differ.
    assert_polite(site, delay=0.9)


@pytest.mark.parametrize("status", BUSY)
@pytest.mark.parametrize("is_date", [False, True])
def test_a_long_retry_after_is_told(status, is_date, polite, site, answer):
    moment = datetime.now(UTC) + timedelta(hours=2)
    value = format_datetime(moment, usegmt=True) if is_date else "7200"
    site.replies["/"] = [answer(b"", f"Retry-After: {value}", status=BUSY[status])]
    client = polite(attempts=3)
    error = failure(client, site.url())
    assert (error.error_type, error.retryable, error.attempt) == (f"Http{status}", True, 1)
    assert abs(error.retry_at - moment) < timedelta(minutes=1)
    assert f"{error.retry_at:%Y-%m-%d %H:%M}" in str(error)
    assert len(site.visits) == 1


def test_a_host_that_is_asked_too_much_is_asked_no_more(polite, site, answer):
    site.replies["/"] = [answer(b"", "Retry-After: 7200", status=BUSY["429"])]
    client = polite()
    told = failure(client, site.url()).retry_at
    error = failure(client, site.url("/other"))
    assert (error.error_type, error.retryable, error.retry_at) == ("HostQuiet", True, told)
    assert error.attempt == 0  # It was not tried, and is not given up for that.
    assert site.paths() == ["/"]


def test_requests_of_many_threads_take_turns(polite, site, other_site, answer):
    urls = [each.url(f"/{n}") for n in range(8) for each in (site, other_site)]
    for each in (site, other_site):
        for number in range(8):
            each.replies[f"/{number}"] = [answer(b"page")]
    client = polite()
    with ThreadPoolExecutor(16) as pool:
        assert [reply.body for reply in pool.map(client.get, urls)] == [b"page"] * 16
    assert_polite(site, other_site)


def test_redirects_and_retries_take_turns_too(polite, site, other_site, answer):
    for number in range(4):
        target = f"Location: {other_site.url('/page')}"
        site.replies[f"/{number}"] = [answer(b"", target, status="302 Found")]
    site.replies["/here"] = [answer(b"", "Location: /there", status="302 Found")]
    site.replies["/there"] = [answer(b"there")]
    other_site.replies["/page"] = [answer(b"", status="500 Error"), answer(b"page")]
    paths = ["/0", "/1", "/2", "/3", "/here"]
    client = polite(attempts=3)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(client.get, [site.url(path) for path in paths]))
    assert [reply.body for reply in replies] == [b"page"] * 4 + [b"there"]
    assert_polite(site, other_site)


def test_hosts_do_not_wait_for_each_other(polite, site, other_site, answer):
    site.replies["/"] = [lambda connection, ended: ended.wait()]
    other_site.replies["/"] = [answer(b"page")]
    client = polite(total_timeout=5.0)
    held = threading.Thread(target=lambda: failure(client, site.url()), daemon=True)
    held.start()
    assert client.get(other_site.url()).body == b"page"
    assert held.is_alive()


def test_the_usual_port_belongs_to_the_host():
    lanes = {lane_of(url) for url in ("http://A.example/x", "https://a.example:443/y")}
    assert lanes == {"a.example"}
    assert lane_of("http://a.example:81/") == "a.example:81"
    assert [lane_of(location) for location in ("/a.txt", "gs://a/b", "http://[")] == [None] * 3


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


def cut_off(connection, _):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npa")


def shut(connection, _):
    pass


def test_pages_of_two_sites_are_fetched_in_lanes(http_policy, site, other_site, answer, pipeline):
    """With two threads for two sites, all of one site first would leave a thread without work."""
    packed = "Content-Encoding: gzip"
    faults = (
        answer(b"busy", status="503 Busy"),
        answer(b"slow", "Retry-After: 0", status="429 Too Many Requests"),
        shut,
        cut_off,
        answer(gzip.compress(b"page")[:-4], packed),
    )
    for each in (site, other_site):
        each.replies["/robots.txt"] = [answer(b"User-agent: *\nDisallow: /private")]
        for number, fault in enumerate(faults):
            each.replies[f"/{number}"] = [fault, answer(b"page")]
    site.replies["/3"] = [answer(b"", f"Location: {other_site.url('/4')}", status="302 Found")]
    paths = [f"/{number}" for number in range(5)] + ["/private"]
    entries = [Entry(each.url(path), "desk") for each in (site, other_site) for path in paths]
    policy = http_policy(local_delay=DELAY, attempts=3)
    with pipeline as p:
        created = p | beam.Create(entries, reshuffle=False)
        fetched = created | FetchPages(policy, 2)
        bodies = fetched.pages | "Bodies" >> beam.Map(lambda page: page.body)
        assert_that(bodies, equal_to([b"page"] * 10), "pages")
        kinds = fetched.errors | "Kinds" >> beam.Map(lambda letter: letter.error_type)
        assert_that(kinds, equal_to(["RobotsDisallowed"] * 2), "errors")
    assert_polite(site, other_site)
    assert [each.paths().count("/robots.txt") for each in (site, other_site)] == [1, 1]


def test_many_feeds_of_one_host_do_not_burst(http_policy, site, answer, pipeline, tmp_path):
    feed = b"<rss version='2.0'><channel><title>T</title></channel></rss>"
    for number in range(8):
        site.replies[f"/{number}.xml"] = [answer(feed)]
    sources = [Source(site.url(f"/{number}.xml"), kind="feed") for number in range(8)]
    with pipeline as p:
        read = (
            p
            | beam.Create(sources)
            | ReadSources(http_policy(local_delay=DELAY), 8, str(tmp_path / "lake"))
        )
        statuses = read["polls"] | beam.Map(lambda poll: poll.status)
        assert_that(statuses, equal_to([200] * 8))
    assert_polite(site)
    assert "/robots.txt" not in site.paths()


def test_who_asks_is_said_and_a_missing_contact_warned_of_once(polite, site, answer, capsys):
    site.replies["/"] = [answer(b"page")]
    warn_of_no_contact.cache_clear()
    client = polite(has_contact=False, local_delay=0.0)
    client.get(site.url())
    assert capsys.readouterr().err == ""
    away = HttpClient(client._policy, lambda host, port, **_: [(2, 1, 6, "", ("10.0.0.1", port))])
    assert failure(away, "http://news.example/").error_type == "Refused"
    assert capsys.readouterr().err == ""  # Whoever is refused is not asked.

    def nowhere(host, port, **_):
        raise OSError("no such host")

    away = HttpClient(client._policy, nowhere)
    for _ in range(2):
        assert failure(away, "http://news.example/").error_type == "UnknownHost"
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1
    assert "fetch.contact" in warning
    assert "user-agent: wirewatch-test\r\n" in site.visits[0].head.lower()
