"""Requests to a real server on this machine."""

import gzip
import socket
import threading

import brotli
import pytest
from werkzeug import Request, Response

from tests.web import failure
from transforms.http import HttpClient


@pytest.fixture
def dead_port():
    """A port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return port


@pytest.fixture
def stalled():
    """An event that handlers wait for; set when the test ends, so that the server is free."""
    event = threading.Event()
    yield event
    event.set()


def test_an_answer_carries_body_and_headers(httpserver, http_policy):
    httpserver.expect_request("/a", headers={"User-Agent": "wirewatch-test"}).respond_with_data(
        "body", content_type="text/plain", headers={"ETag": '"1"', "Last-Modified": "then"}
    )
    answer = HttpClient(http_policy()).get(httpserver.url_for("/a"))
    assert (answer.status, answer.body, answer.attempts) == (200, b"body", 1)
    assert answer.content_type.startswith("text/plain")
    assert (answer.headers["etag"], answer.headers["last-modified"]) == ('"1"', "then")
    assert answer.url == httpserver.url_for("/a")


def test_redirects_are_followed_and_the_last_address_is_told(httpserver, http_policy):
    httpserver.expect_request("/old").respond_with_data(status=301, headers={"Location": "/new"})
    httpserver.expect_request("/new").respond_with_data("moved")
    answer = HttpClient(http_policy()).get(httpserver.url_for("/old"))
    assert (answer.url, answer.body) == (httpserver.url_for("/new"), b"moved")


def test_a_circle_of_redirects_ends(httpserver, http_policy):
    httpserver.expect_request("/o").respond_with_data(status=302, headers={"Location": "/o"})
    error = failure(HttpClient(http_policy(attempts=3)), httpserver.url_for("/o"))
    assert (error.error_type, error.retryable) == ("TooManyRedirects", False)


def test_not_found_is_not_tried_again(httpserver, http_policy):
    httpserver.expect_request("/a").respond_with_data(status=404)
    error = failure(HttpClient(http_policy(attempts=3)), httpserver.url_for("/a"))
    assert (error.error_type, error.retryable, error.status) == ("Http404", False, 404)
    assert len(httpserver.log) == 1


def test_a_server_error_is_tried_again(httpserver, http_policy):
    httpserver.expect_ordered_request("/a").respond_with_data(status=500)
    httpserver.expect_ordered_request("/a").respond_with_data("at last")
    answer = HttpClient(http_policy(attempts=3)).get(httpserver.url_for("/a"))
    assert (answer.body, answer.attempts) == (b"at last", 2)


def test_a_server_that_stays_busy_is_given_up_after_the_attempts(httpserver, http_policy):
    httpserver.expect_request("/a").respond_with_data(status=503)
    error = failure(HttpClient(http_policy(attempts=3)), httpserver.url_for("/a"))
    assert (error.error_type, error.retryable) == ("Http503", True)
    assert (error.attempt, error.status, len(httpserver.log)) == (3, 503, 3)


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("br", brotli.compress)]
)
def test_compressed_bodies_are_read_and_limited_by_their_true_size(
    httpserver, http_policy, encoding, compress
):
    headers = {"Content-Encoding": encoding}
    httpserver.expect_request("/ok").respond_with_data(compress(b"x" * 100_000), headers=headers)
    httpserver.expect_request("/big").respond_with_data(compress(b"x" * 100_001), headers=headers)
    client = HttpClient(http_policy(max_bytes=100_000))
    assert client.get(httpserver.url_for("/ok")).body == b"x" * 100_000
    error = failure(client, httpserver.url_for("/big"))
    assert (error.error_type, error.retryable) == ("TooLarge", False)


def test_a_body_over_the_limit_is_refused(httpserver, http_policy):
    httpserver.expect_request("/a").respond_with_data(b"x" * 11)
    error = failure(HttpClient(http_policy(max_bytes=10)), httpserver.url_for("/a"))
    assert (error.error_type, str(error)) == ("TooLarge", "body is over 10 bytes")


def test_an_answer_that_does_not_come_ends_at_the_timeout(httpserver, http_policy, stalled):
    def wait(request: Request) -> Response:
        stalled.wait(10)
        return Response("late")

    httpserver.expect_request("/a").respond_with_handler(wait)
    error = failure(HttpClient(http_policy(total_timeout=0.3)), httpserver.url_for("/a"))
    stalled.set()
    assert (error.error_type, error.retryable) == ("ReadTimeout", True)


def test_a_body_that_drips_ends_at_the_total_timeout(httpserver, http_policy, stalled):
    drops = []

    def drip(request: Request) -> Response:
        return Response(drops.append(n) or b"." for n in range(100) if not stalled.wait(0.05))

    httpserver.expect_request("/a").respond_with_handler(drip)
    error = failure(HttpClient(http_policy(total_timeout=0.3)), httpserver.url_for("/a"))
    arrived = len(drops)
    stalled.set()
    assert (error.error_type, error.retryable) == ("ReadTimeout", True)
    assert arrived < 50


def test_a_dead_port_is_a_connect_error(dead_port, http_policy):
    error = failure(HttpClient(http_policy()), f"http://127.0.0.1:{dead_port}/")
    assert (error.error_type, error.retryable) == ("ConnectError", True)
    assert f"127.0.0.1:{dead_port}" in str(error)


def test_a_host_that_refused_twice_is_not_connected_to_again(dead_port, http_policy):
    client, url = HttpClient(http_policy()), f"http://127.0.0.1:{dead_port}/"
    assert [failure(client, url).error_type for _ in range(2)] == ["ConnectError"] * 2
    with socket.create_server(("127.0.0.1", dead_port)) as server:
        server.setblocking(False)
        error = failure(client, url)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert (error.error_type, error.retryable, error.attempt) == ("HostDown", True, 0)


def test_a_host_is_not_blamed_for_the_dead_hosts_it_redirects_to(
    httpserver, dead_port, http_policy
):
    elsewhere = {"Location": f"http://127.0.0.1:{dead_port}/"}
    httpserver.expect_request("/gone").respond_with_data(status=302, headers=elsewhere)
    httpserver.expect_request("/here").respond_with_data("here")
    client = HttpClient(http_policy())
    for _ in range(2):
        error = failure(client, httpserver.url_for("/gone"))
        assert (error.error_type, str(dead_port) in str(error)) == ("ConnectError", True)
    assert client.get(httpserver.url_for("/here")).body == b"here"


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://a.example:port/", "http://\udc80"]
)
def test_an_address_that_is_none_is_unusable(url, http_policy):
    error = failure(HttpClient(http_policy()), url)
    assert error.retryable is False
