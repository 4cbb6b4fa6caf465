"""Pages that hang, swell or crash their reader, in real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that

from transforms import processes
from transforms.deadletter import Unusable
from transforms.extract import ExtractArticles, extract_article
from transforms.processes import ExtractPolicy, PagePool, PageProcess

REPOSITORY = Path(__file__).parents[2]
WORDS = "The towns agreed to run the ferry again from the first day of spring. "
GOOD = f"<html><head><title>T</title></head><body><article>{f'<p>{WORDS * 3}</p>' * 5}".encode()
# libxml2 compares every attribute with all before it: minutes, and deaf to all signals but one.
ENDLESS = f"<html><body><p {' '.join(f'a{n}=1' for n in range(300_000))}>{WORDS}".encode()
# A hundred bytes of memory for each byte of the page.
SWELLING = f"<html><body>{'<a href=/x>y</a> ' * 500_000}".encode()
QUICK = ExtractPolicy(timeout=1.0, processes=1)
SMALL = ExtractPolicy(timeout=60.0, max_memory=400_000_000, processes=1)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc are Linux's")


@pytest.fixture
def pool(request):
    pool = PagePool(getattr(request, "param", SMALL))
    yield pool
    pool.close()


def failure(pool, body):
    with pytest.raises(Unusable) as caught:
        pool.read(body, None)
    return caught.value


def test_a_process_reads_one_page_after_the_other(pool):
    assert pool.read(GOOD, None) == pool.read(GOOD, None)
    (process,) = pool._idle
    assert process.pages == 2


@pytest.mark.parametrize("pool", [QUICK], indirect=True)
def test_a_page_over_its_time_is_given_up_and_the_next_one_read(pool):
    error = failure(pool, ENDLESS)
    assert (error.error_type, error.retryable) == ("ExtractTimeout", True)
    assert not pool._idle
    assert pool.read(GOOD, None).text


@LINUX
def test_a_page_over_its_memory_is_given_up_and_the_next_one_read(pool):
    pool.read(GOOD, None)
    error = failure(pool, SWELLING)
    assert (error.error_type, error.retryable) == ("ExtractMemory", True)
    assert pool.read(GOOD, None).text


@LINUX
def test_a_body_over_the_memory_is_given_up(pool):
    assert failure(pool, b"<html>" + b"y" * 300_000_000).error_type == "ExtractMemory"


def test_a_process_that_died_while_idle_is_replaced(pool):
    pool.read(GOOD, None)
    (process,) = pool._idle
    os.kill(process._process.pid, signal.SIGKILL)
    process._process.wait()
    assert pool.read(GOOD, None).text


def test_a_process_is_replaced_when_it_has_read_many_pages(pool, monkeypatch):
    monkeypatch.setattr(processes, "PAGES_A_PROCESS", 2)
    for kept in (1, 0, 1):
        pool.read(GOOD, None)
        assert len(pool._idle) == kept


@pytest.mark.parametrize(
    ("status", "error_type"),
    [(-signal.SIGSEGV, "ExtractCrash"), (-signal.SIGKILL, "ExtractMemory"), (1, "ExtractCrash")],
)
def test_how_a_process_ended_says_why(status, error_type):
    assert processes.death(status, QUICK).error_type == error_type


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("<div>" * 100_000 + WORDS, id="divs"),
        pytest.param("<table><tr><td>" * 20_000 + WORDS, id="tables"),
        pytest.param("<b><p>" * 50_000 + WORDS, id="ill-nested"),
        pytest.param("&amp;" * 200_000, id="entities"),
        pytest.param("<!DOCTYPE x [<!ENTITY a 'aa'><!ENTITY b '&a;&a;'>]>&b;" + WORDS, id="dtd"),
        pytest.param("<" * 200_000, id="brackets"),
        pytest.param("<p>" + "x" * 50_000_000, id="one-line-of-50-MB"),
        pytest.param(
            '<script type="application/ld+json">' + "[" * 100_000 + "</script>", id="json"
        ),
        pytest.param("<title>" + " - " * 100_000 + "</title>", id="title"),
    ],
)
def test_bombs_end_within_the_limits(body):
    pool = PagePool(ExtractPolicy(timeout=10, max_memory=800_000_000, processes=1))
    try:
        pool.read(f"<html><head></head><body>{body}".encode(), None)
    except Unusable as error:
        assert error.error_type in ("NoArticle", "ExtractMemory", "ExtractTimeout")
    assert pool.read(GOOD, None).text
    pool.close()


def test_the_rest_of_a_run_goes_on_and_each_page_is_accounted_for(page, pipeline):
    bodies = [GOOD, ENDLESS, GOOD.replace(b"spring", b"autumn"), b"<html><body></body></html>"]
    pages = [page(body, f"https://a.example/{n}") for n, body in enumerate(bodies)]

    def all_good(articles):
        assert sorted(one.url for one in articles) == [pages[0].url, pages[2].url]

    def all_bad(letters):
        found = {letter.key: letter.error_type for letter in letters}
        assert found == {pages[1].url: "ExtractTimeout", pages[3].url: "NoArticle"}

    policy = ExtractPolicy(timeout=2.0, processes=2)
    with pipeline as p:
        outputs = p | beam.Create(pages, reshuffle=False) | ExtractArticles(policy)
        assert_that(outputs.articles, all_good, "articles")
        assert_that(outputs.errors, all_bad, "errors")


def test_a_text_file_needs_no_process(page, monkeypatch):
    monkeypatch.setattr(processes.subprocess, "Popen", None)
    assert extract_article(page(b"A text."), QUICK).text == "A text."


def test_what_a_page_makes_a_library_print_goes_nowhere(capfd, pool):
    failure(pool, b"<html><body></body></html>")
    assert capfd.readouterr() == ("", "")


def state(pid):
    """The state of a process; None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return None


@LINUX
@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "sys.exit(0)"])
@pytest.mark.parametrize("is_busy", [True, False])
def test_no_process_outlives_its_parent(end, is_busy):
    script = (
        "import os, sys; from transforms.processes import *; "
        "process = PageProcess(ExtractPolicy()); print(process._process.pid, flush=True); "
        "body = sys.stdin.buffer.read(); "
        "process._connection.send_bytes(b'null'); process._connection.send_bytes(body); "
        if is_busy
        else "import os, sys; from transforms.processes import *; "
        "process = PageProcess(ExtractPolicy()); print(process._process.pid, flush=True); "
    )
    done = subprocess.run(
        [sys.executable, "-c", script + end],
        input=ENDLESS,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=60,
    )
    pid = int(done.stdout)
    # Where nobody waits for it, it stays as a zombie: what counts is that it runs no more.
    for _ in range(10_000_000):
        if state(pid) in (None, "Z"):
            return
    pytest.fail(f"process {pid} still runs")


def test_a_process_that_does_not_start_is_an_error_of_ours(monkeypatch):
    monkeypatch.setattr(processes, "COMMAND", "raise SystemExit(7)")
    with pytest.raises(RuntimeError, match="exit 7"):
        PageProcess(QUICK)
