"""What tells a compacted file from others, and which files it stands for."""

import json

import pyarrow.parquet as pq

# How its name begins; that of the folders it is made in does as well.
PREFIX = "compacted-"
# In its metadata: the names of all files that were merged into it, as JSON.
MERGED = b"wirewatch.merged"


def merged_names(path: str, meta: pq.FileMetaData) -> set[str]:
    """The names of a file and of all that were merged into it."""
    inside = (meta.metadata or {}).get(MERGED, b"[]")
    return {path.rpartition("/")[2], *json.loads(inside)}
