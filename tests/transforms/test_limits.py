"""Servers that send too much, too slowly, too little or nonsense."""

import gzip
import socket
import struct
import time

import pytest

from transforms.deadletter import Unusable
from transforms.exchange import MAX_HEADER_BYTES
from transforms.http import HttpClient

LIMIT = 100_000


def drip(*pieces, forever=b"."):
    """Sends pieces at once, and then ``forever`` a hundred times a second."""

    def send(connection, ended):
        for piece in pieces:
            connection.sendall(piece)
        while forever and not ended.wait(0.01):
            connection.sendall(forever)
        ended.wait()

    return send


def reset(*pieces):
    """Sends pieces and breaks the connection off."""

    def send(connection, _):
        for piece in pieces:
            connection.sendall(piece)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return send


def flood(*pieces, forever):
    """Sends ``forever`` as fast as it is taken."""

    def send(connection, ended):
        for piece in pieces:
            connection.sendall(piece)
        while not ended.is_set():
            connection.sendall(forever)

    return send


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SLOW = {
    "says nothing": drip(forever=b""),
    "status line": drip(b"HTTP/1.1 2", forever=b"0"),
    "header": drip(OK + b"X-Slow: ", forever=b"x"),
    "headers": drip(OK, forever=b"X: y\r\n"),
    "early hints": drip(forever=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": drip(OK + b"Content-Length: 90000\r\n\r\n"),
    "body without a length": drip(OK + b"\r\n"),
    "body that stops": drip(OK + b"Content-Length: 9\r\n\r\n12345", forever=b""),
    "chunks": drip(CHUNKED, forever=b"1\r\nx\r\n"),
    "chunk size": drip(CHUNKED, forever=b"0"),
    "trailers": drip(CHUNKED + b"0\r\n", forever=b"X: y\r\n"),
    "gzip": drip(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10], forever=b""),
}


@pytest.mark.parametrize("kind", SLOW)
def test_no_server_holds_a_worker_longer_than_the_total_time(kind, refused, site):
    site.replies["/"] = [SLOW[kind]]
    began = time.monotonic()
    error = refused(total_timeout=0.3, attempts=3)
    held = time.monotonic() - began
    # A line that never ends may turn out to be none before the time is over.
    assert error.error_type in ("ReadTimeout", "RemoteProtocolError")
    assert error.retryable
    assert held < 5
    assert error.attempt == 1 or error.error_type == "RemoteProtocolError"


def test_a_slow_redirect_chain_shares_one_time(refused, site, answer):
    def late(connection, ended):
        ended.wait(0.15)
        connection.sendall(answer(b"", "Location: /", status="302 Found"))

    site.replies["/"] = [late]
    error = refused(total_timeout=0.5)
    # Or it meets the end of the connection on which it asked too late.
    assert error.error_type in ("ReadTimeout", "ReadError")
    assert len(site.visits) < 8


def test_a_server_that_never_greets_in_tls_ends_at_the_timeout(http_policy, site):
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(Unusable) as caught:
        client = HttpClient(http_policy(total_timeout=0.3))
        client.get(f"https://127.0.0.1:{silent.getsockname()[1]}/")
    assert (caught.value.error_type, caught.value.retryable) == ("ConnectTimeout", True)


def test_a_name_server_that_never_answers_ends_at_the_timeout(http_policy, site):
    def hang(*_, **__):
        site.ended.wait()
        return []

    with pytest.raises(Unusable) as caught:
        HttpClient(http_policy(connect_timeout=0.2), hang).get("http://news.example/")
    assert (caught.value.error_type, caught.value.retryable) == ("LookupTimeout", True)


TOO_MUCH = {
    "one header": flood(OK + b"X: ", forever=b"x" * 1000),
    "headers": flood(OK, forever=b"X-Name: value\r\n" * 100),
    "early hints": flood(forever=b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100),
    "body": flood(OK + b"\r\n", forever=b"x" * 1000),
    "chunks": flood(CHUNKED, forever=b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
    "tiny chunks": flood(CHUNKED, forever=b"1\r\nx\r\n" * 1000),
    "chunk extensions": flood(CHUNKED, forever=b"1;" + b"x" * 1000 + b"\r\nx\r\n"),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_a_flood_is_cut_off(kind, refused, site):
    site.replies["/"] = [TOO_MUCH[kind]]
    error = refused()
    assert (error.error_type, error.retryable) == ("TooLarge", False)


def test_headers_up_to_the_limit_are_read(http_policy, site, answer):
    site.replies["/"] = [answer(b"ok", "X-Long: " + "x" * (MAX_HEADER_BYTES - 1000))]
    assert HttpClient(http_policy()).get(site.url()).body == b"ok"


BROKEN = {
    "nothing": reset(),
    "status line": reset(b"HTTP/1.1 20"),
    "headers": reset(OK + b"Content-Length: 5\r\n"),
    "body": reset(OK + b"Content-Length: 5\r\n\r\nab"),
    "short body": OK + b"Content-Length: 50\r\n\r\nshort",
    "no body": OK + b"Content-Length: 50\r\n\r\n",
    "short chunk": CHUNKED + b"ff\r\nshort",
    "no last chunk": CHUNKED + b"5\r\nshort\r\n",
    "bad chunk size": CHUNKED + b"wrong\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "bad length": OK + b"Content-Length: many\r\n\r\nabc",
    "no protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "bad header": OK + b"No colon here\r\n\r\n",
    "spaced header": OK + b"X : y\r\n\r\n",
    "NUL in header": OK + b"X: a\0b\r\n\r\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_tried_again(kind, refused, http_policy, site, answer):
    reply = BROKEN[kind]

    def once(connection, _):
        if isinstance(reply, bytes):
            connection.sendall(reply)
        else:
            reply(connection, _)

    site.replies["/"] = [once]
    error = refused(attempts=2)
    assert error.error_type in ("ReadError", "RemoteProtocolError")
    assert (error.retryable, error.attempt, len(site.visits)) == (True, 2, 2)
    site.replies["/"] = [once, answer(b"whole")]
    assert HttpClient(http_policy(attempts=2)).get(site.url()).body == b"whole"


def test_more_than_was_announced_is_not_read(http_policy, site, answer):
    site.replies["/"] = [answer(b"four, and more", length=4)]
    # The rest may be taken for the next answer, which then is none and is tried again.
    client = HttpClient(http_policy(attempts=2))
    assert [client.get(site.url()).body for _ in range(2)] == [b"four"] * 2


@pytest.mark.parametrize("step", ["/", "/?n=1", "//"])
def test_redirects_in_a_circle_end(step, refused, site, answer):
    site.replies["/"] = [answer(b"", f"Location: {step}", status="301 Moved")]
    site.replies["/?n=1"] = [answer(b"", "Location: /", status="302 Found")]
    assert refused().error_type in ("TooManyRedirects", "InvalidURL", "Refused")
    assert len(site.visits) <= 11


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://", "http://a b/", "http://%00/", "\xff\xfe", "http://a:b/"]
)
def test_a_redirect_to_nowhere_is_an_error(location, refused, site, answer):
    site.replies["/"] = [answer(b"", f"Location: {location}", status="302 Found")]
    assert refused().retryable is False


def test_a_connection_is_kept_where_an_answer_was_read_whole(http_policy, site, answer):
    site.replies["/"] = [answer(b"moved", "Location: /lost", status="302 Found")]
    site.replies["/lost"] = [answer(b"lost" * 1000, status="404 Not Found")]
    site.replies["/large"] = [answer(b"x" * 10**6, status="404 Not Found")]
    client = HttpClient(http_policy())
    for path, connections in (("/", 1), ("/", 1), ("/large", 1), ("/", 2)):
        with pytest.raises(Unusable) as caught:
            client.get(site.url(path))
        assert (caught.value.error_type, site.connections) == ("Http404", connections)


def test_cookies_are_kept_on_the_way_and_not_after_it(http_policy, site, answer):
    cookie = "Set-Cookie: seen=1; Path=/"
    site.replies["/"] = [answer(b"", cookie, "Location: /", status="302 Found"), answer(b"page")]
    client = HttpClient(http_policy())
    assert client.get(site.url()).body == b"page"
    client.get(site.url())
    assert ["seen=1" in visit.head for visit in site.visits] == [False, True, False]
