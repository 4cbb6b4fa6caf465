"""Reads an article back from the lake: its text as it was stored."""

import dataclasses
from collections.abc import Collection
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import PASSAGES
from transforms.lake import file_date, table_files
from transforms.tail import Tail

COLUMNS = [
    "revision", "canonical_url", "fetched_at", "position", "text", "separator",
    "cluster_id", "cluster_source",
]  # fmt: skip
# Files may be exchanged for others between listing and reading them.
ATTEMPTS = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A revision of an article as the lake has it; a cluster may be missing in old files."""

    revision: str
    text: str
    canonical_url: str | None
    cluster_id: str | None
    cluster_source: str | None


def read_stored(
    lake: str, article_id: str, revision: str | None, days: Collection[date]
) -> Stored | None:
    """A revision of an article, or the one fetched last; None where the lake has none.

    It is looked for in the partitions ``days`` first, and in all others only then.
    """
    wanted = pc.field("article_id") == article_id
    if revision is not None:
        wanted &= pc.field("revision") == revision
    for attempt in range(1, ATTEMPTS + 1):
        files = table_files(lake, PASSAGES)
        near = [path for path in files if file_date(path) in days]
        try:
            return find(lake, near, wanted) or find(lake, sorted(set(files) - set(near)), wanted)
        except FileNotFoundError:
            if attempt == ATTEMPTS:
                raise
    return None


def find(lake: str, paths: list[str], wanted: pc.Expression) -> Stored | None:
    """The last fetched of the revisions in files that are wanted."""
    if not paths:
        return None
    found: pa.Table = Tail(lake, PASSAGES).rows(paths, COLUMNS, wanted)
    if not found.num_rows:
        return None
    rows = sorted(found.to_pylist(), key=lambda row: (row["fetched_at"], -row["position"]))
    last = rows[-1]
    own = [row for row in reversed(rows) if row["revision"] == last["revision"]]
    return Stored(
        last["revision"],
        "".join(row["text"] + row["separator"] for row in own),
        last["canonical_url"],
        last["cluster_id"],
        last["cluster_source"],
    )
