"""A newsroom, a watcher that is killed again and again, and the tally of the lake.

    python -m tests.soak [--seconds 600] [--seed N]

Forty feeds on eight loopback hosts publish, revise and withdraw articles and bring earlier texts
of theirs back, and a quarter of all answers is bad. Beside that the watcher is killed 60 times and
stopped 20 times, compaction is killed 20 times, and a reader reads. Then the newsroom is calm, the
watcher may catch up, more texts come back, and the lake must hold what was published, each text
once, and have seen last what the pages show. Fewer seconds scale all this down. Exits with 1 where
anything is wrong; then the folder with lake and logs stays.
"""

import argparse
import contextlib
import dataclasses
import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.compaction import COMPACTIONS, Compactor
from tests.soak.layout import DATED
from tests.soak.newsroom import Newsroom
from tests.soak.reader import Reader
from tests.soak.server import Desk, serve
from tests.soak.tally import (
    Verdict,
    check_files,
    history,
    judge,
    judge_query,
    read_looks,
    read_rows,
    texts_of,
)
from tests.soak.torment import (
    KILLS,
    STOPS,
    WIREWATCH,
    Deeds,
    Watcher,
    counted,
    torment,
)

FULL_SECONDS = 600.0
# A second of the torment brings so many new articles.
ARTICLES_A_SECOND = 0.8
# Of the time; the rest is for catching up and the tally.
TORMENTED = 0.85
# Catching up ends when nothing has come for so long, or after so long in all; what is not there
# by then is lost.
CALM_SECONDS, MOST_CALM_SECONDS = 90.0, 240.0
# How long the watcher goes on when all is there: nothing may come twice.
LINGER_SECONDS = 6.0
SHOWN = 20


def write_config(path: Path, sources: list[str]) -> None:
    """The configuration: everything soon, everything often. JSON is YAML."""
    settings = {
        "fetch": {
            "contact": "https://example.org/soak",
            "threads": 8,
            "attempts": 2,
            "connect_timeout": 5,
            "total_timeout": 10,
            "host_delay": 0,
            "allow_hosts": ["127.0.0.0/8"],
        },
        "polls": {
            "shortest": 1,
            "usual": 1,
            "longest": 2,
            # Far off, so that nothing is found only because feeds are read whole again.
            "full_every": 86_400,
            "retry_after": 1,
        },
        # Beyond the last revision of an article, which is 90 seconds after the first at most.
        "revisions": {"recheck": [2, 4, 8, 15, 30, 45, 60, 80, 100, 120], "least_gap": 0},
        "sources": [{"url": url} for url in sources],
    }
    path.write_text(json.dumps(settings))


def catch_up(newsroom: Newsroom, watcher: Watcher, lake: Path) -> float | None:
    """Waits until the lake has all that is due; returns the seconds that took, if it did."""
    began = gained = time.monotonic()
    least = None
    while time.monotonic() < min(gained + CALM_SECONDS, began + MOST_CALM_SECONDS):
        watcher.live(1.0)
        with contextlib.suppress(Exception):  # The tally will say what is unreadable.
            rows, looks = read_rows(lake), read_looks(lake)
            lost = len(judge(rows, looks, newsroom.ledger()).lost)
            if lost == 0:
                took = time.monotonic() - began
                watcher.live(LINGER_SECONDS)
                return took
            if least is None or lost < least:
                least, gained = lost, time.monotonic()
    return None


def final_verdict(newsroom: Newsroom, lake: Path) -> tuple[Verdict, str]:
    """What is wrong with the lake, and what it holds."""
    verdict = check_files(lake)
    try:
        rows, looks = read_rows(lake), read_looks(lake)
    except Exception as error:
        verdict.unreadable.append(f"a bare glob: {error}")
        return verdict, "not to be read"
    verdict.add(judge(rows, looks, newsroom.ledger()))
    verdict.add(judge_query(WIREWATCH, lake, rows, looks))
    return verdict, holding(lake)


def holding(lake: Path) -> str:
    """What a lake holds, in numbers."""
    try:
        rows, looks = read_rows(lake), read_looks(lake)
    except Exception:  # There is nothing yet, or the tally will say what is unreadable.
        return "nothing"
    found = texts_of(rows, looks, Verdict()).values()
    texts = sum(map(len, found))
    returns = sum(len(history(one)) - len(set(history(one))) for one in found)
    return f"{len(found)} articles, {texts} texts, {returns} returns, {len(rows)} passages"


def told(newsroom: Newsroom) -> dict[str, str]:
    """What the newsroom did."""
    ledger = newsroom.ledger().values()
    texts = sum(len(set(article.texts)) for article in ledger)
    returns = sum(article.returns for article in ledger)
    withdrawn = sum(article.is_withdrawn for article in ledger)
    return {
        "requests": counted(newsroom.requests),
        "faults": counted(newsroom.faults),
        "published": f"{len(ledger)} articles, {texts} texts, {returns} returns, "
        f"{withdrawn} withdrawn",
    }


@dataclasses.dataclass
class Course:
    """How it went: what the lake held when the newsroom grew calm, and the seconds until it had
    all, if it did, after that and each time texts were brought back."""

    newsroom: Newsroom
    deeds: Deeds
    reader: Reader
    early: str
    took: list[float | None]


def play(work: Path, seconds: float, seed: int) -> Course:
    """Publishes, kills and reads for so long, and lets the watcher catch up."""
    began, share, lake = time.monotonic(), seconds / FULL_SECONDS, work / "lake"
    tormented = TORMENTED * seconds
    newsroom = Newsroom(seed, round(ARTICLES_A_SECOND * tormented), 0.95 * tormented)
    desk, deeds = Desk(newsroom), Deeds()
    servers = serve(desk)
    write_config(work / "monitor.yaml", desk.sources())
    watcher = Watcher(newsroom, work / "monitor.yaml", lake, work / "watcher.log", deeds)
    reader, until = Reader(lake), began + tormented
    rounds = round(COMPACTIONS * share)
    compactor = Compactor(seed, rounds, until, lake, work / "compact.log", deeds)
    reader.start()
    compactor.start()
    try:
        torment(watcher, seed, round(KILLS * share), round(STOPS * share), until)
        newsroom.calm()
        early = holding(lake)
        took = [catch_up(newsroom, watcher, lake)]
        # Of what came and went in the torment much was never seen. This is, twice, so that
        # each of these articles goes from one text to another and back.
        for _ in range(2):
            newsroom.bring_back(DATED)
            took.append(catch_up(newsroom, watcher, lake))
        compactor.join()
        watcher.stop()
    finally:
        watcher.close()
        compactor.close()
    reader.stop()
    for server in servers:
        server.shutdown()
    return Course(newsroom, deeds, reader, early, took)


def soak(work: Path, seconds: float, seed: int) -> bool:
    """Runs all of it and prints the table; whether all is well."""
    began, course = time.monotonic(), play(work, seconds, seed)
    deeds, reader = course.deeds, course.reader
    if "Traceback" in (work / "watcher.log").read_text(errors="replace"):
        deeds.wrong.append(f"a traceback in {work / 'watcher.log'}")
    verdict, held = final_verdict(course.newsroom, work / "lake")
    verdict.add(reader.verdict)
    wrong = {**verdict.kinds(), "wrong": deeds.wrong}
    for kind, lines in wrong.items():
        for line in lines[:SHOWN]:
            print(f"{kind}: {line}")
    took = ["never" if one is None else f"after {one:.0f} s" for one in course.took]
    table = {
        "seed": seed,
        "seconds": f"{time.monotonic() - began:.0f}",
        **told(course.newsroom),
        **deeds.told(),
        "reads beside": f"{reader.reads}, tried again {reader.retries}",
        "when calm": course.early,
        "in the end": held,
        "caught up": f"{took[0]}; with what came back {', '.join(took[1:])}",
        **{kind: len(lines) for kind, lines in wrong.items()},
    }
    print("\n".join(f"{name:<14}{value}" for name, value in table.items()), flush=True)
    return not any(wrong.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, default=FULL_SECONDS)
    parser.add_argument("--seed", type=int, default=None, help="by default any")
    flags = parser.parse_args()
    seed = secrets.randbelow(10**6) if flags.seed is None else flags.seed
    print(f"seed {seed}", flush=True)
    work = Path(tempfile.mkdtemp(prefix="wirewatch-soak-"))
    # So that an end of ours ends what was started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    is_well = soak(work, flags.seconds, seed)
    if is_well:
        shutil.rmtree(work)
    else:
        print(f"lake and logs stay in {work}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
