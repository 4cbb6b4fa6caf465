"""Lakes for tests: rows put into them, readers that know nothing of us, and a bucket in memory."""

import dataclasses
import io
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.dataset as ds
from apache_beam.io.filesystem import FileMetadata, FileSystem

from schemas.records import DeadLetter, Poll
from schemas.rows import passage_rows
from schemas.tables import ERRORS, PASSAGES, POLLS
from transforms.lake import day_files, put_rows, read_table, replace_table, table_files

DAY = datetime(2024, 3, 1, 8, tzinfo=UTC)


def article_rows(classified, number, source="desk", published=DAY, text="One.\nTwo."):
    """The rows of an article of a source; numbers make articles."""
    one = classified(f"https://a.example/{number}", f"{number} {text}", published)
    article = dataclasses.replace(one.split.article, source=source)
    return list(
        passage_rows(
            dataclasses.replace(one, split=dataclasses.replace(one.split, article=article))
        )
    )


def put_articles(lake, *articles, name=None):
    """Puts articles into one file of the first one's day."""
    rows = [row for article in articles for row in article]
    day = (rows[0]["published_at"] or rows[0]["fetched_at"]).date()
    ids = [name] if name else [row["passage_id"] for row in rows]
    return put_rows(str(lake), PASSAGES, day, ids, rows)


def put_poll(lake, number, day=DAY):
    poll = Poll(f"https://a.example/{number}", "desk", 200, None, None, 3, 2, 99, 5, None, day)
    return put_rows(str(lake), POLLS, day.date(), [str(number)], [dataclasses.asdict(poll)])


def put_letter(lake, number, day=DAY, name=""):
    key = f"https://a.example/{number}"
    letter = DeadLetter("fetch", key, None, "Gone", "gone", True, 1, None, day, str(number))
    row = dataclasses.asdict(letter) | {"content": b"\x00x"}
    return put_rows(str(lake), ERRORS, day.date(), [f"{number}{name}"], [row])


def fill_day(lake, classified, files=4):
    """Fills a lake with one day of several files in each table, and returns the articles."""
    articles = [article_rows(classified, n) for n in range(files)]
    for number, article in enumerate(articles):
        put_articles(lake, article)
        put_poll(lake, number)
        put_letter(lake, number)
    return articles


def file_names(lake, table=PASSAGES):
    """The names of a table's files."""
    return [Path(path).name for path in table_files(str(lake), table)]


def relabel(lake, label):
    """Replaces the first file as reclassify does."""
    path, mark = next(iter(day_files(str(lake), PASSAGES, DAY.date()).items()))
    rows = read_table(path)
    models = [[label] * rows.num_rows]
    rows = rows.set_column(rows.schema.names.index("model"), rows.schema.field("model"), models)
    return replace_table(str(lake), path, rows, mark)


def glob_rows(lake, table="passages", key="passage_id"):
    """The rows of a table as DuckDB and pyarrow find them by a bare glob, which must agree."""
    pattern = f"{lake}/{table}/date=*/*.parquet"
    found = duckdb.sql(f"select {key} from read_parquet('{pattern}', union_by_name = true)")
    counts = Counter(row[0] for row in found.fetchall())
    files = ds.dataset(Path(lake) / table, partitioning="hive")
    assert Counter(files.to_table(columns=[key])[key].to_pylist()) == counts
    return counts


def our_rows(lake, table=PASSAGES, key="passage_id"):
    """The rows of a table as our own readers find them."""
    return Counter(
        value
        for path in table_files(str(lake), table)
        for value in read_table(path, [key])[key].to_pylist()
    )


def unique(*articles):
    return Counter(row["passage_id"] for article in articles for row in article)


class Killed(BaseException):
    """Stands for the end of a process."""


class BucketFileSystem(FileSystem):
    """Files in memory under bucket://: a put is whole, there is no rename."""

    files: dict[str, tuple[bytes, float]] = {}
    puts = 0
    changes_left: int | None = None

    @classmethod
    def scheme(cls):
        return "bucket"

    @classmethod
    def change(cls):
        if cls.changes_left is not None:
            cls.changes_left -= 1
            if cls.changes_left < 0:
                raise Killed

    def create(self, path, mime_type=None, compression_type="auto"):
        files, change = self.files, self.change

        class Put(io.BytesIO):
            def close(self):
                if not self.closed:
                    change()
                    BucketFileSystem.puts += 1
                    files[path] = (self.getvalue(), float(BucketFileSystem.puts))
                super().close()

            def __exit__(self, kind, *_):
                if kind is None:
                    self.close()

        return Put()

    def open(self, path, mime_type=None, compression_type="auto"):
        if path not in self.files:
            raise FileNotFoundError(path)
        return io.BytesIO(self.files[path][0])

    def delete(self, paths):
        for path in paths:
            self.change()
            del self.files[path]

    def _list(self, dir_or_prefix):
        for path, (body, moment) in list(self.files.items()):
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(body), moment)

    def has_dirs(self):
        return False

    def split(self, path):
        return path.rpartition("/")[0], path.rpartition("/")[2]

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def exists(self, path):
        return path in self.files

    def size(self, path):
        return len(self.files[path][0])

    def metadata(self, path):
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def last_updated(self, path):
        return self.files[path][1]

    def _unused(self, *arguments, **named):
        raise NotImplementedError

    mkdirs = copy = rename = checksum = _unused
