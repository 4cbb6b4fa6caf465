"""Holds a lake against what the newsroom published, article by article, revision by revision.

    lost        an article that is published and not withdrawn is not there, or not with its
                last text
    duplicated  a passage_id twice, a text of an article twice, an article under two ids
    unreadable  a file or a query that fails
    unexpected  an article or a text that the newsroom did not serve, passages that do not make
                up a text, revisions out of order, another answer of ``wirewatch query``

A withdrawn article may be there or not, and a revision between the first and the last.
"""

import dataclasses
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.parquet

from tests.soak.newsroom import Published

COLUMNS = (
    "passage_id, article_id, revision, canonical_url, fetched_at, position, text, separator, "
    'start, "end"'
)
ARTICLES = "select article_id, revision, canonical_url, text, passages from articles"
PASSAGES = "select count(*) as passages, count(distinct passage_id) as ids from passages"


@dataclasses.dataclass(frozen=True)
class Row:
    """A passage as the lake has it."""

    passage_id: str
    article_id: str
    revision: str
    canonical_url: str | None
    fetched_at: datetime
    position: int
    text: str
    separator: str
    start: int
    end: int


@dataclasses.dataclass
class Verdict:
    """What is wrong, by kind, one line each."""

    lost: list[str] = dataclasses.field(default_factory=list)
    duplicated: list[str] = dataclasses.field(default_factory=list)
    unreadable: list[str] = dataclasses.field(default_factory=list)
    unexpected: list[str] = dataclasses.field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not any(self.kinds().values())

    def kinds(self) -> dict[str, list[str]]:
        return dataclasses.asdict(self)

    def add(self, other: "Verdict") -> None:
        for kind, lines in other.kinds().items():
            getattr(self, kind).extend(lines)


@dataclasses.dataclass(frozen=True)
class Text:
    """A revision of an article as the lake has it."""

    article_id: str
    revision: str
    fetched_at: datetime
    text: str


def read_rows(lake: Path) -> list[Row]:
    """The passages of a lake, by a bare glob of DuckDB."""
    files = lake / "passages" / "date=*" / "*.parquet"
    found = duckdb.connect().execute(
        f"select {COLUMNS} from read_parquet(?, union_by_name = true)", [str(files)]
    )
    return [Row(*row) for row in found.fetchall()]


def check_files(lake: Path) -> Verdict:
    """Reads every file of every table by itself."""
    verdict = Verdict()
    for path in sorted(lake.glob("*/date=*/*")):
        try:
            pyarrow.parquet.ParquetFile(path).read()
        except Exception as error:
            verdict.unreadable.append(f"{path}: {error}")
    return verdict


def judge(rows: Sequence[Row], published: Mapping[str, Published]) -> Verdict:
    """What is wrong with the passages of a lake."""
    verdict = Verdict()
    ids: set[str] = set()
    for row in rows:
        if row.passage_id in ids:
            verdict.duplicated.append(f"passage {row.passage_id} of {row.canonical_url}")
        ids.add(row.passage_id)
    found = texts_of(rows, verdict)
    for url in sorted(found, key=str):
        article = published.get(url or "")
        if article is None:
            verdict.unexpected.append(f"{url}: never published")
        else:
            judge_article(article, found[url], verdict)
    for url, article in sorted(published.items()):
        if article.is_withdrawn:
            continue
        held = {text.text for text in found.get(url, ())}
        if not held:
            verdict.lost.append(f"{url}: not in the lake")
        elif article.texts[-1] not in held:
            verdict.lost.append(f"{url}: its revision {len(article.texts)} is not in the lake")
    return verdict


def texts_of(rows: Iterable[Row], verdict: Verdict) -> dict[str | None, list[Text]]:
    """The texts of each address in the order they were fetched, put together from passages."""
    parts: dict[tuple[str | None, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        parts[row.canonical_url, row.article_id, row.revision].append(row)
    found: dict[str | None, list[Text]] = defaultdict(list)
    for (url, article_id, revision), passages in parts.items():
        passages.sort(key=lambda row: row.position)
        positions = [row.position for row in passages]
        if len(set(positions)) < len(positions):
            verdict.duplicated.append(f"{url}: positions {positions} in revision {revision}")
        elif positions != list(range(len(positions))):
            verdict.unexpected.append(f"{url}: positions {positions} in revision {revision}")
        text = "".join(row.text + row.separator for row in passages)
        if any(text[row.start : row.end] != row.text for row in passages):
            verdict.unexpected.append(f"{url}: a passage is not where its offsets say")
        moment = min(row.fetched_at for row in passages)
        found[url].append(Text(article_id, revision, moment, text))
    for texts in found.values():
        texts.sort(key=lambda text: text.fetched_at)
    return found


def judge_article(article: Published, texts: list[Text], verdict: Verdict) -> None:
    """What is wrong with the texts that the lake has of one article."""
    if len({text.article_id for text in texts}) > 1:
        verdict.duplicated.append(f"{article.url}: under several article_ids")
    order = []
    for text in texts:
        number = article.texts.index(text.text) if text.text in article.texts else None
        if number is None:
            words = f"{text.text[:60]!r} ... {text.text[-60:]!r}"
            verdict.unexpected.append(f"{article.url}: a text it never had: {words}")
        elif number in order:
            verdict.duplicated.append(f"{article.url}: revision {number + 1} twice")
        elif number not in article.served:
            verdict.unexpected.append(f"{article.url}: revision {number + 1} was never served")
        if number is not None:
            order.append(number)
    if order != sorted(order):
        verdict.unexpected.append(f"{article.url}: revisions in the order {order}")


def judge_query(command: Sequence[str], lake: Path, rows: Sequence[Row]) -> Verdict:
    """Whether ``wirewatch query`` says the same: ``command`` is what runs wirewatch."""
    verdict = Verdict()
    answers = []
    for sql in (PASSAGES, ARTICLES):
        arguments = [*command, "query", sql, "--lake", str(lake), "--format", "json"]
        done = subprocess.run(arguments, capture_output=True, text=True)
        if done.returncode != 0:
            verdict.unreadable.append(f"wirewatch query: {done.stderr.strip()}")
            return verdict
        answers.append(json.loads(done.stdout))
    ((counts,), articles) = answers
    if (counts["passages"], counts["ids"]) != (len(rows), len({row.passage_id for row in rows})):
        verdict.unexpected.append(f"wirewatch query counts {counts}, a bare glob {len(rows)}")
    latest = {url: texts[-1] for url, texts in texts_of(rows, Verdict()).items()}
    shown = {one["canonical_url"]: one for one in articles}
    if len(shown) < len(articles) or set(shown) != set(latest):
        verdict.unexpected.append(
            f"view articles has {len(articles)} rows for {len(latest)} articles"
        )
    for url in sorted(set(shown) & set(latest), key=str):
        one = shown[url]
        if (one["text"], one["revision"]) != (latest[url].text, latest[url].revision):
            verdict.unexpected.append(f"{url}: view articles shows another text than the latest")
    return verdict
