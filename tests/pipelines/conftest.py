"""A newsroom of our own making on a local server, and the command line run on it."""

import contextlib
import dataclasses
import io
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.dataset
import pytest

from pipelines.cli import main

REPOSITORY = Path(__file__).parents[2]
TOWNS = (
    *("Alderhaven", "Brackmoor", "Corvenne", "Dunmarrow", "Eastwhistle", "Fennick"),
    *("Garrowby", "Hollenberg", "Ister Bay", "Juniper Cross", "Kestrel Point", "Lowmere"),
)
# A size between the largest story and the page that is too large.
MAX_BYTES = 50_000


@dataclasses.dataclass
class Reply:
    """What the server answers; a held reply waits until the newsroom is released."""

    body: bytes | str = b""
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    held: bool = False


class Newsroom:
    """A web site whose pages are a dict, and the list of the paths asked for.

    A reply may be a function of the request's headers. ``fault``, where it is set, may
    give another answer than that of the dict.
    """

    def __init__(self):
        self.replies: dict[str, Reply | Callable[[Message], Reply]] = {}
        self.requests: list[str] = []
        self.headers: list[Message] = []
        self.fault: Callable[[str], Reply | None] = lambda path: None
        self.arrived, self.released = threading.Event(), threading.Event()
        newsroom = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                newsroom.requests.append(self.path)
                newsroom.headers.append(self.headers)
                path = self.path.partition("?")[0]
                reply = newsroom.replies.get(path, Reply(status=404))
                reply = reply(self.headers) if callable(reply) else reply
                reply = newsroom.fault(path) or reply
                if reply.held:
                    newsroom.arrived.set()
                    newsroom.released.wait()
                body = reply.body.encode() if isinstance(reply.body, str) else reply.body
                # The client may have given up on a held or an oversize page.
                with contextlib.suppress(ConnectionError):
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Type", reply.content_type)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64  # All pages are asked for at once.

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def asked(self, path: str) -> list[Message]:
        """The headers of the requests for a path."""
        found = zip(self.requests, self.headers, strict=True)
        return [headers for asked, headers in found if asked == path]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def story(number: int) -> list[str]:
    """The paragraphs of an invented article; no two numbers give the same text."""
    town, day = TOWNS[number], number + 3
    return [
        f"Negotiators meeting in {town} said after {day} days of talks that both armies would "
        "stop the fighting along the river, and that a ceasefire would begin at midnight.",
        f"Bakers and bus drivers in {town} went back to work on the same morning, and {day * 40} "
        "families stood in a queue for firewood that reached from the mill to the old bridge.",
        f"Ministers abroad kept their sanctions on {day} banks and a shipping company that trades "
        f"out of {town}, and said that they would look at the list again before the winter.",
        f"The school in {town} opens on Monday with {day * 7} pupils, its head teacher said. Its "
        "roof was mended with timber from the valley, and a neighbour lent a stove for the hall.",
    ]


def story_page(number: int, published: str | None = None, head: str = "") -> str:
    """The HTML page of a story; ``published`` is the date that the page itself states."""
    paragraphs = "".join(f"<p>{paragraph}</p>" for paragraph in story(number))
    if published:
        head += f'<meta property="article:published_time" content="{published}">'
    return (
        f"<!doctype html><html lang=en><head><title>{TOWNS[number]}</title>{head}</head><body>"
        f"<main><article><h1>{TOWNS[number]}</h1>{paragraphs}</article></main></body></html>"
    )


def rss(title: str, *items: str) -> Reply:
    """An RSS feed of items made by ``rss_item``, with an ETag and a Last-Modified."""
    return Reply(
        f"<rss version='2.0'><channel><title>{title}</title>{''.join(items)}</channel></rss>",
        "application/rss+xml",
        headers={"ETag": f'"{title}"', "Last-Modified": "Mon, 06 May 2024 08:00:00 GMT"},
    )


def rss_item(title: str, link: str = "", published: str = "") -> str:
    date = f"<pubDate>{published}</pubDate>" if published else ""
    return f"<item><title>{title}</title>{f'<link>{link}</link>' if link else ''}{date}</item>"


def fill(newsroom: Newsroom) -> None:
    """Puts eleven stories, five lists of them and every fault we know of into a newsroom."""
    url, replies = newsroom.url, newsroom.replies
    for number in range(11):
        stated = {2: "2024-04-02", 3: "2024-04-03"}.get(number)
        replies[f"/news/{number}"] = Reply(story_page(number, stated))
    replies["/moved"] = Reply(status=301, headers={"Location": url("/news/10")})
    replies["/alias"] = Reply(status=302, headers={"Location": url("/news/4")})
    replies["/broken"] = Reply(status=500)
    replies["/big"] = Reply(story_page(11) + " " * MAX_BYTES)
    replies["/menu"] = Reply("<html><body><img src='map.png'></body></html>")
    replies["/photo"] = Reply(b"\x89PNG\r\n\x1a\n" + bytes(200), "image/png")
    replies["/slow"] = Reply(story_page(11), held=True)
    replies["/front"] = Reply("<!doctype html><html><body><p>Welcome.</p></body></html>")
    faults = ("/missing", "/broken", "/big", "/menu", "/photo", "/slow")
    replies["/rss.xml"] = rss(
        "Valley Post",
        rss_item("Late at night", url("/news/0"), "Fri, 01 Mar 2024 23:30:00 -0500"),
        rss_item("Second copy", url("/news/1?utm_source=rss"), "Tue, 05 Mar 2024 12:00:00 GMT"),
        rss_item("From the future", url("/news/2"), "Tue, 01 Jan 2999 12:00:00 GMT"),
        rss_item("Without a date", url("/news/3")),
        rss_item("Without a link"),
        *(rss_item(path, url(path), "Mon, 04 Mar 2024 09:00:00 GMT") for path in faults),
    )
    replies["/listed.xml"] = rss(
        "Listed Gazette", rss_item("Listed", url("/news/8"), "Sat, 09 Mar 2024 10:00:00 GMT")
    )
    replies["/atom.xml"] = Reply(atom(newsroom), "application/atom+xml")
    replies["/feed.json"] = Reply(json_feed(newsroom), "application/feed+json")
    replies["/feeds.opml"] = Reply(
        f"<opml version='2.0'><body><outline type='rss' text='Listed Gazette' "
        f"xmlUrl='{url('/listed.xml')}'/></body></opml>",
        "text/x-opml",
    )
    listed = (url("/news/9"), "# redirects", url("/moved"), url("/alias"))
    replies["/urls.txt"] = Reply("\n".join(listed) + "\n", "text/plain")


def atom(newsroom: Newsroom) -> str:
    entries = (
        ("First copy", "/news/1?utm_medium=atom&amp;fbclid=x", "2024-03-05T11:00:00Z"),
        ("Aliased", "/news/4", "2024-03-06T10:00:00.250Z"),
        ("Undated", "/news/5", None),
    )
    return "<feed xmlns='http://www.w3.org/2005/Atom'><title>Harbour Wire</title>{}</feed>".format(
        "".join(
            f"<entry><title>{title}</title><link href='{newsroom.url(path)}'/>"
            + (f"<published>{moment}</published></entry>" if moment else "</entry>")
            for title, path, moment in entries
        )
    )


def json_feed(newsroom: Newsroom) -> str:
    red, reversal = "\x1b[31m\x07", "\u202e"
    first = {"url": newsroom.url("/news/6"), "title": f"{red}Red {reversal}alert\nhere"}
    second = {"url": newsroom.url("/news/7"), "title": "Signed"}
    first["date_published"] = "2024-03-07T10:00:00+02:00"
    second |= {"date_published": "2024-03-08", "authors": [{"name": "Ida Quill"}, {"name": "Bo"}]}
    version = "https://jsonfeed.org/version/1.1"
    return json.dumps({"version": version, "title": "Mill Times", "items": [first, second]})


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int | str | None
    out: str
    err: str


def run_command(*arguments: object) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: int | str | None = main([str(argument) for argument in arguments])
        except SystemExit as exit:
            code = exit.code
    return Outcome(code, out.getvalue(), err.getvalue())


def table_rows(lake: Path, table: str) -> list[dict]:
    files = pyarrow.dataset.dataset(lake / table, partitioning="hive")
    return files.to_table().to_pylist()


@pytest.fixture(scope="session")
def wirewatch() -> Callable[..., Outcome]:
    """Runs the command line in this process."""
    return run_command


@pytest.fixture(scope="session")
def rows() -> Callable[[Path, str], list[dict]]:
    """Reads a table of a lake without any code of ours."""
    return table_rows


@pytest.fixture(scope="session")
def write_story() -> Callable[[int], str]:
    """The text of the story with a number."""
    return lambda number: "\n\n".join(story(number))


@pytest.fixture(scope="session")
def child_environment() -> dict[str, str]:
    """What a child process needs to import the packages of this checkout."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}


@pytest.fixture(scope="session")
def newsroom() -> Iterator[Newsroom]:
    newsroom = Newsroom()
    fill(newsroom)
    yield newsroom
    newsroom.close()


@pytest.fixture
def small_newsroom() -> Iterator[Newsroom]:
    """A newsroom of three stories in one feed, the last of them held back."""
    newsroom = Newsroom()
    for number in range(3):
        newsroom.replies[f"/news/{number}"] = Reply(story_page(number), held=number == 2)
    items = (rss_item(TOWNS[n], newsroom.url(f"/news/{n}")) for n in range(3))
    newsroom.replies["/rss.xml"] = rss("Small Post", *items)
    yield newsroom
    newsroom.close()


@pytest.fixture(scope="session")
def config(newsroom: Newsroom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that reads all of the newsroom and three feeds that are not there."""
    paths = ("/rss.xml", "/atom.xml", "/feed.json", "/feeds.opml", "/urls.txt")
    dead = f"http://127.0.0.1:{closed_port()}/rss.xml"
    sources = [{"url": newsroom.url(path)} for path in paths]
    sources += [{"url": newsroom.url(path), "kind": "feed"} for path in ("/gone.xml", "/front")]
    sources.append({"url": dead, "kind": "feed", "name": "Dead host"})
    fetch = {"total_timeout": 1, "connect_timeout": 1, "attempts": 2, "max_bytes": MAX_BYTES}
    path = tmp_path_factory.mktemp("config") / "monitor.yaml"
    # JSON is YAML.
    path.write_text(json.dumps({"fetch": fetch, "sources": sources}))
    return path


@pytest.fixture(scope="session")
def lake(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake that a first run over the newsroom makes; not to be changed."""
    path = tmp_path_factory.mktemp("lakes") / "lake"
    outcome = run_command("run", "--config", config, "--lake", path, "--json")
    assert outcome.code == 0, outcome.err
    path.with_name("summary.json").write_text(outcome.out)
    return path
