"""Holds a lake against what the newsroom published, article by article, revision by revision.

    lost        an article that is published and not withdrawn is not there, or its last text
                is not the one that was seen last
    duplicated  a passage_id twice, a text of an article twice, an article under two ids
    unreadable  a file or a query that fails
    unexpected  an article or a text that the newsroom did not serve, passages that do not make
                up a text, texts seen out of order, a look at a text that is not there,
                another answer of ``wirewatch query``

A withdrawn article may be there or not, and a revision between the first and the last. A text
that returns is stored once; that it was there again is a row in ``checks``.
"""

import dataclasses
import itertools
import json
import subprocess
from collections import Counter, defaultdict
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
ARTICLES = "select article_id, revision, canonical_url, text, revisions from articles"
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


@dataclasses.dataclass(frozen=True)
class Look:
    """A look at an article that saw a revision, as the lake has it."""

    article_id: str
    revision: str
    checked_at: datetime


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
    """A revision of an article as the lake has it, with the moments it was seen."""

    article_id: str
    revision: str
    seen_at: tuple[datetime, ...]
    text: str


def read_looks(lake: Path) -> list[Look]:
    """The looks of a lake that saw a revision, by a bare glob of DuckDB."""
    if not any(lake.glob("checks/date=*/*.parquet")):
        return []
    files = lake / "checks" / "date=*" / "*.parquet"
    sql = "select article_id, revision, checked_at from read_parquet(?) where revision is not null"
    return [Look(*look) for look in duckdb.connect().execute(sql, [str(files)]).fetchall()]


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


def judge(
    rows: Sequence[Row], looks: Sequence[Look], published: Mapping[str, Published]
) -> Verdict:
    """What is wrong with the passages of a lake, and with its looks at them."""
    verdict = Verdict()
    ids: set[str] = set()
    for row in rows:
        if row.passage_id in ids:
            verdict.duplicated.append(f"passage {row.passage_id} of {row.canonical_url}")
        ids.add(row.passage_id)
    stored = {(row.article_id, row.revision) for row in rows}
    unknown = [look for look in looks if (look.article_id, look.revision) not in stored]
    verdict.unexpected.extend(f"{look}: its revision is not in the lake" for look in unknown)
    found = texts_of(rows, looks, verdict)
    for url in sorted(found, key=str):
        article = published.get(url or "")
        if article is None:
            verdict.unexpected.append(f"{url}: never published")
        else:
            judge_article(article, found[url], verdict)
    for url, article in sorted(published.items()):
        if not article.is_withdrawn:
            judge_last(article, history(found.get(url, ())), verdict)
    return verdict


def judge_last(article: Published, seen: list[str], verdict: Verdict) -> None:
    """Whether the last text of an article is the one that was seen last."""
    if not seen:
        verdict.lost.append(f"{article.url}: not in the lake")
    elif article.texts[-1] not in seen:
        verdict.lost.append(f"{article.url}: its text {len(article.texts)} is not in the lake")
    elif article.texts[-1] != seen[-1]:
        verdict.lost.append(f"{article.url}: its last text was not seen last")


def texts_of(
    rows: Iterable[Row], looks: Iterable[Look], verdict: Verdict
) -> dict[str | None, list[Text]]:
    """The texts of each address in the order they were last seen, put together from passages."""
    looked: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for look in looks:
        looked[look.article_id, look.revision].append(look.checked_at)
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
        moments = [min(row.fetched_at for row in passages), *looked[article_id, revision]]
        found[url].append(Text(article_id, revision, tuple(sorted(moments)), text))
    for texts in found.values():
        texts.sort(key=lambda text: text.seen_at[-1])
    return found


def history(texts: Iterable[Text]) -> list[str]:
    """What was seen of one article, in order; a text that returned stands there again."""
    sights = sorted((moment, text.text) for text in texts for moment in text.seen_at)
    return [text for text, _ in itertools.groupby(text for _, text in sights)]


def judge_article(article: Published, texts: list[Text], verdict: Verdict) -> None:
    """What is wrong with the texts that the lake has of one article."""
    if len({text.article_id for text in texts}) > 1:
        verdict.duplicated.append(f"{article.url}: under several article_ids")
    served = [article.texts[number] for number in sorted(article.served)]
    for text, times in Counter(text.text for text in texts).items():
        if text not in article.texts:
            words = f"{text[:60]!r} ... {text[-60:]!r}"
            verdict.unexpected.append(f"{article.url}: a text it never had: {words}")
            continue
        number = article.texts.index(text) + 1
        if text not in served:
            verdict.unexpected.append(f"{article.url}: text {number} was never served")
        if times > 1:
            verdict.duplicated.append(f"{article.url}: text {number} twice")
    seen, rest = [text for text in history(texts) if text in served], iter(served)
    # Each ``in`` goes on where the one before it stopped.
    if not all(text in rest for text in seen):
        order = [article.texts.index(text) + 1 for text in seen]
        verdict.unexpected.append(f"{article.url}: its texts were seen in the order {order}")


def judge_query(
    command: Sequence[str], lake: Path, rows: Sequence[Row], looks: Sequence[Look]
) -> Verdict:
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
    texts = texts_of(rows, looks, Verdict())
    shown = {one["canonical_url"]: one for one in articles}
    if len(shown) < len(articles) or set(shown) != set(texts):
        verdict.unexpected.append(
            f"view articles has {len(articles)} rows for {len(texts)} articles"
        )
    for url in sorted(set(shown) & set(texts), key=str):
        one, last = shown[url], texts[url][-1]
        if (one["text"], one["revision"]) != (last.text, last.revision):
            verdict.unexpected.append(f"{url}: view articles shows another text than the latest")
        if one["revisions"] != len(texts[url]):
            verdict.unexpected.append(f"{url}: view articles counts {one['revisions']} revisions")
    return verdict
