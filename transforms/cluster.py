"""Finds copies: articles that tell the same story in nearly the same words.

By MinHash (Broder, On the resemblance and containment of documents, 1997) over the pairs of
words that follow each other, with the rensa library. Nothing is dropped: a copy gets the
cluster of the article it is most like. Headlines before the text, agency lines, bylines and
captions make no difference, edits up to a point; a text cut short is found while a quarter of
it is left. A translation is not found, nor a story told in other words, and stories
made from one template, such as daily figures, may pass for copies.

``python -m benchmarks.clusters`` says how many copies are found and how many are wrong.
"""

import dataclasses
import functools
import re
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow.compute as pc
import rensa

from schemas.records import Article
from schemas.tables import PASSAGES
from transforms.compare import SPACELESS, prose
from transforms.count import count
from transforms.lake import file_date
from transforms.tail import Changes, Tail

HASHES = 128
SEED = 1
# Raised when signatures are made in another way: those of another kind are passed over.
KIND = bytes([1, rensa.RMinHash.ALGORITHM_VERSION])
# The number of pairs that a text has, and 16 bits of each of its hashes.
HEAD = struct.Struct("<I")
HASH = np.dtype("<u2")
TOKEN = re.compile(rf"{SPACELESS}|\w+")
# A shorter text has too few pairs for more than saying whether two are the same.
LEAST_PAIRS = 50
# A text that holds so much of another is a longer version of it, or the other is cut short;
# below the least similarity that is chance.
CONTAINED, LEAST_SIMILARITY = 0.8, 0.25
COLUMNS = ["article_id", "revision", "fetched_at", "cluster_id", "cluster_source", "signature"]


@dataclasses.dataclass(frozen=True, slots=True)
class CopyPolicy:
    """What counts as a copy: ``similarity`` is the share of the pairs of words of two texts
    that both have; ``window_days`` may lie between the fetching of both."""

    window_days: float = 7.0
    similarity: float = 0.5


class Cluster(NamedTuple):
    """The first article seen that told a story, and its source."""

    cluster_id: str
    source: str


def text_signature(text: str) -> bytes:
    """What a text is compared by: 262 bytes, whatever its length."""
    words = TOKEN.findall(" ".join(prose(text)))
    pairs = {f"{first} {second}" for first, second in zip(words, words[1:] or words, strict=False)}
    sketch = rensa.RMinHash(HASHES, SEED)
    sketch.update(sorted(pairs))
    hashes = np.array(sketch.digest(), np.uint32).astype(HASH)
    return KIND + HEAD.pack(len(pairs)) + hashes.tobytes()


def read_signature(signature: bytes) -> tuple[int, np.ndarray] | None:
    """The number of pairs and the hashes in a signature; None for one of another kind."""
    start = len(KIND) + HEAD.size
    if not signature.startswith(KIND) or len(signature) != start + HASHES * HASH.itemsize:
        return None
    (pairs,) = HEAD.unpack_from(signature, len(KIND))
    return pairs, np.frombuffer(signature, HASH, HASHES, start)


def likeness(size: int, sizes: np.ndarray, shared: np.ndarray, least: float) -> np.ndarray:
    """How like a text of ``size`` pairs is to others, given the share of hashes they share;
    0 where it is no copy. ``least`` is the least similarity of a copy."""
    # With the similarity s, both together have (a + b) / (1 + s) pairs (Broder, 1997).
    both = shared * (size + sizes) / (1 + shared)
    contained = both / np.maximum(np.minimum(size, sizes), 1)
    is_part = (contained >= CONTAINED) & (shared >= LEAST_SIMILARITY)
    is_copy = (shared >= least) | is_part
    is_short = (sizes < LEAST_PAIRS) | (size < LEAST_PAIRS)
    is_copy = np.where(is_short, (shared == 1.0) & (sizes == size) & (size > 0), is_copy)
    found: np.ndarray = np.where(is_copy, shared, 0.0)
    return found


class Clusters:
    """The clusters of the articles fetched lately; safe to use from threads.

    An article is noted before it is written. One that then is not written comes again and
    finds its own cluster, so that nothing that was noted has to be taken back.
    """

    def __init__(self, lake: str, policy: CopyPolicy):
        self._policy = policy
        self._window = timedelta(days=policy.window_days)
        self._tail = Tail(lake, PASSAGES)
        self._lock = threading.Lock()
        self._has_begun = False
        self._known: dict[tuple[str, str], None] = {}
        self._cluster_of: dict[str, Cluster] = {}
        self._clusters: list[Cluster] = []
        self._articles: list[tuple[str, str]] = []
        self._hashes = np.zeros((1024, HASHES), HASH)
        self._sizes = np.zeros(1024, np.int64)
        self._times = np.zeros(1024)

    def refresh(self) -> None:
        """Reads what is new in the lake, and forgets what is too old."""
        with self._lock:
            self._forget((datetime.now(UTC) - self._window).timestamp())
            self._tail.follow(self._read)

    def _read(self, changes: Changes) -> None:
        since = datetime.now(UTC) - self._window
        paths = changes.new
        if not self._has_begun:
            paths = [path for path in paths if file_date(path) >= since.date()]
        if paths:
            where = (pc.field("position") == 0) & (pc.field("fetched_at") >= since)
            for batch in self._tail.rows(paths, COLUMNS, where).to_batches():
                for row in batch.to_pylist():
                    if row["signature"] is not None and row["cluster_id"] is not None:
                        cluster = Cluster(row["cluster_id"], row["cluster_source"])
                        key = row["article_id"], row["revision"]
                        self._note(key, row["fetched_at"], cluster, row["signature"])
        self._has_begun = True

    def assign(self, article: Article) -> Article:
        """The article with its cluster: the one it had, else that of what it is most like."""
        signature = text_signature(article.text)
        with self._lock:
            cluster = self._own(article) or self._nearest(signature, article.fetched_at)
            cluster = cluster or Cluster(article.article_id, article.source)
            self._note(
                (article.article_id, article.revision), article.fetched_at, cluster, signature
            )
        return dataclasses.replace(
            article,
            cluster_id=cluster.cluster_id,
            cluster_source=cluster.source,
            signature=signature,
        )

    def _own(self, article: Article) -> Cluster | None:
        if article.cluster_id is not None and article.cluster_source is not None:
            return Cluster(article.cluster_id, article.cluster_source)
        return self._cluster_of.get(article.article_id)

    def _nearest(self, signature: bytes, moment: datetime) -> Cluster | None:
        read, number = read_signature(signature), len(self._clusters)
        if read is None or not number:
            return None
        size, hashes = read
        shared = np.count_nonzero(self._hashes[:number] == hashes, axis=1) / HASHES
        found = likeness(size, self._sizes[:number], shared, self._policy.similarity)
        distance = np.abs(self._times[:number] - moment.timestamp())
        found[distance > self._window.total_seconds()] = 0.0
        best = int(found.argmax())
        return self._clusters[best] if found[best] > 0 else None

    def _note(
        self, key: tuple[str, str], moment: datetime, cluster: Cluster, signature: bytes
    ) -> None:
        read = read_signature(signature)
        if read is None or key in self._known:
            return
        number = len(self._clusters)
        if number == len(self._sizes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
            self._sizes = np.concatenate([self._sizes, np.zeros_like(self._sizes)])
            self._times = np.concatenate([self._times, np.zeros_like(self._times)])
        self._sizes[number], self._hashes[number] = read
        self._times[number] = moment.timestamp()
        self._known[key] = None
        self._articles.append(key)
        self._clusters.append(cluster)
        self._cluster_of.setdefault(key[0], cluster)

    def _forget(self, before: float) -> None:
        number = len(self._clusters)
        stay = np.flatnonzero(self._times[:number] >= before)
        if len(stay) == number:
            return
        for values in (self._hashes, self._sizes, self._times):
            values[: len(stay)] = values[stay]
        self._clusters = [self._clusters[n] for n in stay]
        self._articles = [self._articles[n] for n in stay]
        self._known = dict.fromkeys(self._articles)
        kept = zip(self._articles, self._clusters, strict=True)
        self._cluster_of = {key[0]: cluster for key, cluster in kept}


@functools.cache
def _clusters(lake: str, policy: CopyPolicy) -> Clusters:
    return Clusters(lake, policy)


def open_clusters(lake: str, policy: CopyPolicy) -> Clusters:
    """The process's one Clusters of a lake, up to date with the lake's files."""
    clusters = _clusters(lake, policy)
    clusters.refresh()
    return clusters


class ClusterArticle(beam.DoFn):
    """Gives articles their cluster; see ClusterArticles."""

    _clusters: Clusters

    def __init__(self, lake: str, policy: CopyPolicy):
        self._lake = lake
        self._policy = policy

    def setup(self) -> None:
        self._clusters = open_clusters(self._lake, self._policy)

    def process(self, element: Article) -> Iterator[Article]:
        article = self._clusters.assign(element)
        is_copy = article.cluster_id != article.article_id and element.cluster_id is None
        count("articles_copied", int(is_copy))
        yield article


@beam.typehints.with_input_types(Article)
@beam.typehints.with_output_types(Article)
class ClusterArticles(beam.PTransform):
    """Articles with the cluster of those that tell the same story.

    Copies that several workers meet at one moment do not know of each other.
    """

    def __init__(self, lake: str, policy: CopyPolicy | None = None):
        super().__init__()
        self._cluster = ClusterArticle(lake, policy or CopyPolicy())

    def expand(self, pcoll):
        return pcoll | beam.ParDo(self._cluster)
