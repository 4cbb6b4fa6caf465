"""Gives passages that are in the lake the scores and topics of the current model.

A file is read, scored and replaced whole under its own name, as long as no compaction has put
another in its place; ids, texts and all other columns
stay as they are. What a file's scores are from, its column ``model`` says: a file that has the
current label throughout is left alone, so that an interrupted run can simply be run again.
"""

import dataclasses
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.ml.inference.base import PredictionResult, RunInference

from schemas.records import TopicScores
from schemas.tables import PASSAGES
from transforms.classify import Passages, TopicModelHandler, TopicPolicy, count_results
from transforms.count import count
from transforms.lake import file_mark, read_table, replace_table
from transforms.storage import Mark


@dataclasses.dataclass(frozen=True)
class StoredFile:
    """One file of passages with its rows; ``mark`` is the file's before they were read."""

    path: str
    mark: Mark
    rows: pa.Table


def stored_passages(stored: StoredFile) -> Passages:
    """The passages of a file, each with the language of its article."""
    texts, languages = stored.rows["text"].to_pylist(), stored.rows["lang"].to_pylist()
    return list(zip(texts, languages, strict=True))


def is_stale(path: str, label: str) -> bool:
    """Whether any row of a file is from another model, other topics or other thresholds."""
    models = read_table(path, ["model"])["model"].unique().to_pylist()
    return any(model != label for model in models)


def reclassified_rows(rows: pa.Table, results: tuple[TopicScores, ...], label: str) -> pa.Table:
    """The rows with other topics, scores and model; nothing else changes.

    Columns that an older version of the table did not have are null.
    """
    parts = [PASSAGES.schema.empty_table(), rows]
    rows = pa.concat_tables(parts, promote_options="default").select(PASSAGES.schema.names)
    columns = {
        "topics": [result.topics for result in results],
        "scores": [
            None if result.scores is None else [{"topic": t, "score": s} for t, s in result.scores]
            for result in results
        ],
        "model": [label] * len(results),
        "schema_version": [PASSAGES.version] * len(results),
    }
    for name, values in columns.items():
        field = PASSAGES.schema.field(name)
        rows = rows.set_column(
            rows.schema.get_field_index(name), field, pa.array(values, field.type)
        )
    # What a compacted file stands for is still so.
    return rows.replace_schema_metadata({**rows.schema.metadata, **PASSAGES.schema.metadata})


class ReadStaleFile(beam.DoFn):
    """Reads files that are not at the current label; see ReadStaleFiles."""

    def __init__(self, lake: str, label: str):
        self._lake = lake
        self._label = label

    def process(self, element: str) -> Iterator[StoredFile]:
        stored = self._stored(element)
        if stored is not None:
            yield stored

    def _stored(self, path: str) -> StoredFile | None:
        mark = file_mark(self._lake, PASSAGES, path)
        if mark is None:
            count("files_gone")
            return None
        try:
            if is_stale(path, self._label):
                return StoredFile(path, mark, read_table(path))
        except OSError:
            if file_mark(self._lake, PASSAGES, path) is not None:
                raise
            count("files_gone")
            return None
        count("files_current")
        return None


class ReplaceFile(beam.DoFn):
    """Replaces files by what was predicted for them; see ReplaceFiles."""

    def __init__(self, lake: str, label: str):
        self._lake = lake
        self._label = label

    def process(self, element: PredictionResult) -> None:
        stored, results = element.example, element.inference
        rows = reclassified_rows(stored.rows, results, self._label)
        if not replace_table(self._lake, stored.path, rows, stored.mark):
            count("files_gone")
            return
        count_results(results)
        count("passages", len(results))
        count("files_replaced")


@beam.typehints.with_input_types(str)
@beam.typehints.with_output_types(StoredFile)
class ReadStaleFiles(beam.PTransform):
    """Paths of files to those files that another model or other topics have labelled."""

    def __init__(self, lake: str, policy: TopicPolicy):
        super().__init__()
        self._read = ReadStaleFile(lake, policy.label)

    def expand(self, pcoll):
        return pcoll | beam.ParDo(self._read)


@beam.typehints.with_input_types(StoredFile)
class ScoreFiles(beam.PTransform):
    """Files with the results of all their passages, of whatever length."""

    def __init__(self, policy: TopicPolicy):
        super().__init__()
        self._handler = TopicModelHandler(policy, stored_passages, whole=False)

    def expand(self, pcoll):
        return pcoll | RunInference(self._handler)


@beam.typehints.with_input_types(PredictionResult)
class ReplaceFiles(beam.PTransform):
    """Puts scored files in the place of the old ones."""

    def __init__(self, lake: str, policy: TopicPolicy):
        super().__init__()
        self._replace = ReplaceFile(lake, policy.label)

    def expand(self, pcoll):
        return pcoll | beam.ParDo(self._replace)
