"""Addresses that may not be connected to, in every spelling and on every way to them."""

import ipaddress
import socket
from pathlib import Path

import pytest

from tests.web import failure
from transforms.deadletter import Unusable
from transforms.guard import Guard, is_local_name, is_public, split_host
from transforms.http import HttpClient

LINES = (Path(__file__).parents[1] / "data" / "addresses.txt").read_text().splitlines()
IS_PUBLIC = LINES.index("# Addresses that are")
PRIVATE, PUBLIC = " ".join(LINES[1:IS_PUBLIC]).split(), " ".join(LINES[IS_PUBLIC + 1 :]).split()
# Spellings of hosts that are not to be reached: this machine's and others.
HOSTS = [
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "localhost",
    "localhost.",
    "LocalHost",
    "rebound.example",
    "\N{FULLWIDTH DIGIT ONE}27.0.0.1",
    "\N{CIRCLED DIGIT ONE}27.0.0.1",
    "127\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}2",
    "%31%32%37.0.0.1",
    "127.0.0.1%00",
    "127.0.0.1%20",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1%25lo]",
    "user@127.0.0.1",
    "user:secret@127.0.0.1",
    "public.example@127.0.0.1",
    "public.example\\@127.0.0.1",
    "127.0.0.2",
    "10.0.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "224.0.0.1",
    "255.255.255.255",
]
NAMES = {
    "localhost": "127.0.0.1",
    "localhost.": "127.0.0.1",
    "rebound.example": "127.0.0.1",
    "127.0.0.1.": "127.0.0.1",
}


def resolve(host, port, **kind):
    """The system's resolver, without its way to name servers."""
    return socket.getaddrinfo(NAMES.get(host, host), port, flags=socket.AI_NUMERICHOST, **kind)


@pytest.fixture
def guarded(http_policy, site):
    """A client that may connect to the site as it is written, and to nothing else here."""
    policy = http_policy(allow_hosts=(f"127.0.0.1:{site.port}",), connect_timeout=0.5)
    return HttpClient(policy, resolve)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_off_the_public_internet_is_not_public(address):
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(Unusable) as caught:
        Guard([]).check("news.example", 80, [address])
    assert (caught.value.error_type, caught.value.retryable) == ("Refused", False)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address):
    assert is_public(ipaddress.ip_address(address))
    assert Guard([]).check("news.example", 80, [address]) == [str(ipaddress.ip_address(address))]


@pytest.mark.parametrize("host", HOSTS)
def test_no_spelling_of_a_host_gets_through(host, guarded, site, answer):
    site.replies["/"] = [answer()]
    error = failure(guarded, site.url(host=host))
    assert (error.error_type in ("Refused", "InvalidURL"), error.retryable) == (True, False)
    assert site.connections == 0


@pytest.mark.parametrize("host", HOSTS)
def test_no_redirect_gets_through(host, guarded, site, answer):
    location = f"Location: http://{host}:{site.port}/secret".encode().decode("latin-1")
    site.replies["/"] = [answer(b"", location, status="302 Found")]
    error = failure(guarded, site.url())
    assert (error.error_type in ("Refused", "InvalidURL"), error.retryable) == (True, False)
    assert site.paths() == ["/"]


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:70/_x", "data:,x"]
)
def test_only_http_is_asked_for(target, guarded, site, answer):
    site.replies["/"] = [answer(b"", f"Location: {target}", status="302 Found")]
    assert failure(guarded, site.url()).error_type == "Refused"
    assert failure(guarded, target).error_type == "Refused"


def test_another_port_of_an_allowed_host_is_refused(guarded, site, other_site, answer):
    site.replies["/"] = [answer(b"", f"Location: {other_site.url()}", status="301 Moved")]
    assert failure(guarded, site.url()).error_type == "Refused"
    assert failure(guarded, other_site.url()).error_type == "Refused"
    assert other_site.connections == 0


@pytest.mark.parametrize("allowed", ["{host}", "{host}:{port}", "127.0.0.0/8", "[{host}]:{port}"])
def test_what_the_user_allows_is_connected_to(allowed, site, http_policy, answer):
    site.replies["/"] = [answer(b"mine")]
    entry = allowed.format(host=site.host, port=site.port)
    client = HttpClient(http_policy(allow_hosts=(entry,)), resolve)
    assert client.get(site.url()).body == b"mine"


def test_a_name_that_leads_elsewhere_the_second_time_is_checked_again(site, http_policy, answer):
    site.replies["/"] = [answer(b"first", "Connection: close")]
    answers = iter(["127.0.0.1", "127.0.0.2"])
    client = HttpClient(
        http_policy(host_delay=0.0, allow_hosts=("127.0.0.1/32",)),
        lambda host, port, **_: [(2, 1, 6, "", (next(answers), port))],
    )
    assert client.get(site.url(host="news.example")).body == b"first"
    assert failure(client, site.url(host="news.example")).error_type == "Refused"
    assert site.connections == 1


def test_a_name_is_looked_up_once_a_connection_and_kept_with_it(site, http_policy, answer):
    site.replies["/"] = [answer(b"same")]
    asked = []

    def count(host, port, **_):
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port))]

    client = HttpClient(http_policy(host_delay=0.0, allow_hosts=("127.0.0.1/32",)), count)
    assert [client.get(site.url(host="news.example")).body for _ in range(3)] == [b"same"] * 3
    assert (asked, site.connections) == (["news.example"], 1)


def test_a_retry_is_checked_too(site, http_policy, answer):
    site.replies["/"] = [answer(b"", "Connection: close", status="503 Busy")]
    answers = iter(["127.0.0.1", "10.0.0.1"])
    client = HttpClient(
        http_policy(host_delay=0.0, allow_hosts=("127.0.0.1/32",), attempts=3),
        lambda host, port, **_: [(2, 1, 6, "", (next(answers), port))],
    )
    error = failure(client, site.url(host="news.example"))
    assert (error.error_type, error.attempt, site.connections) == ("Refused", 2, 1)


def test_of_mixed_addresses_only_the_good_ones_are_used():
    guard = Guard(["10.1.0.0/16"])
    addresses = ["127.0.0.1", "10.1.2.3", "fe80::1", "1.1.1.1", "10.2.0.1"]
    assert guard.check("news.example", 80, addresses) == ["10.1.2.3", "1.1.1.1"]


def test_a_host_without_a_name_that_resolves_is_a_connect_error(http_policy):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    error = failure(HttpClient(http_policy(), unknown), "http://nowhere.example/")
    assert (error.error_type, error.retryable) == ("UnknownHost", True)


@pytest.mark.parametrize(
    "entry",
    ["", "a b", "http://a.example", "a.example:0", "a.example:x", "10.0.0.0/99", "u@h"],
)
def test_what_is_no_host_cannot_be_allowed(entry):
    with pytest.raises(ValueError):
        Guard([entry])


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("Feeds.Example", "feeds.example", None),
        ("feeds.example:8443", "feeds.example", 8443),
        ("[::1]:80", "::1", 80),
        ("0:0:0:0:0:0:0:1", "::1", None),
        ("127.0.0.1:8000", "127.0.0.1", 8000),
    ],
)
def test_hosts_are_split_from_ports(entry, host, port):
    assert split_host(entry) == (host, port)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("intranet", True),
        ("news.internal", True),
        ("feeds.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_names_that_only_the_own_network_knows(host, is_local):
    assert is_local_name(host) is is_local
