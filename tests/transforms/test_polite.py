"""What hosts ask of us: turns, pauses, Retry-After, and who we say we are."""

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from schemas.records import Entry, Source
from tests.web import DELAY, assert_polite, failure
from transforms.exchange import warn_of_no_contact
from transforms.fetch import FetchPages
from transforms.http import HttpClient, lane_of
from transforms.read import ReadSources

BUSY = {"429": "429 Too Many Requests", "503": "503 Service Unavailable"}


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
