"""Random sequences of what happens to a lake, beside a model of the rows that it should hold."""

import contextlib
import errno
import shutil
import tempfile
from collections import Counter
from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from schemas.tables import PASSAGES
from tests.lakes import DAY, article_rows, glob_rows, our_rows, put_articles
from tests.stores import Killed
from transforms import compact, swap
from transforms.compact import compact_lake
from transforms.lake import file_mark, read_table, replace_table, table_files

TODAY = (DAY + timedelta(days=5)).date()
DAYS = st.integers(0, 1).map(lambda number: DAY + timedelta(days=number))
# Where a compaction ends: before it merges, before the change, after it, at its very end.
ENDS = [(compact, "merge_files"), (compact, "put_in_place"), (compact, "settle")]
ENDS.append((compact, "sync_folder"))


class LakeMachine(RuleBasedStateMachine):
    """The model is ``rows``: how often each passage is there."""

    can_exchange = True

    def __init__(self):
        super().__init__()
        self.lake, self.labels = tempfile.mkdtemp(), 0
        self.rows: Counter[str] = Counter()
        self.patches = pytest.MonkeyPatch()
        if not self.can_exchange:
            self.patches.setattr(swap, "exchange_call", lambda *_: errno.EINVAL)

    def teardown(self):
        self.patches.undo()
        shutil.rmtree(self.lake)

    @rule(number=st.integers(0, 5), day=DAYS, copy=st.integers(0, 2))
    def write(self, number, day, copy):
        """A file; where it is new and its article is not, the article is there twice."""
        rows = article_rows(self.classified, f"{day.day}/{number}", published=day)
        before = table_files(self.lake, PASSAGES)
        path = put_articles(self.lake, rows, name=f"{number}/{copy}")
        # A file that was merged is not there again under its name, as long as there are records.
        if path in set(table_files(self.lake, PASSAGES)) - set(before):
            self.rows.update(row["passage_id"] for row in rows)

    @rule()
    def compact(self):
        assert compact_lake(self.lake, TODAY).skipped == ()
        self.rows = Counter(set(self.rows))

    @rule(number=st.integers(6, 9), day=DAYS)
    def compact_while_an_article_comes(self, number, day):
        merge, late = compact.merge_files, []

        def merge_then_write(*arguments):
            merged = merge(*arguments)
            if not late:
                self.write(number, day, 0)
                late.append(number)
            return merged

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compact, "merge_files", merge_then_write)
            assert compact_lake(self.lake, TODAY).skipped == ()
        found = our_rows(self.lake)
        rows = article_rows(self.classified, f"{day.day}/{number}", published=day)
        new = {row["passage_id"] for row in rows}
        assert set(found) == set(self.rows)
        assert {name for name, times in found.items() if times > 1} <= (new if late else set())
        self.rows = found

    @rule(data=st.data())
    def relabel(self, data):
        """What a reclassification does."""
        paths = table_files(self.lake, PASSAGES)
        if paths:
            path = data.draw(st.sampled_from(paths))
            mark, rows = file_mark(self.lake, PASSAGES, path), read_table(path)
            self.labels += 1
            models = pa.array([f"model {self.labels}"] * rows.num_rows)
            place = rows.schema.get_field_index("model")
            rows = rows.set_column(place, rows.schema.field("model"), models)
            assert replace_table(self.lake, path, rows, mark)

    @rule(end=st.sampled_from(ENDS))
    def die_while_compacting(self, end):
        def die(*_, **__):
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*end, die)
            # The end of a process leaves the folder that it worked in.
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            with contextlib.suppress(Killed):
                compact_lake(self.lake, TODAY)
        found = our_rows(self.lake)
        assert set(found) == set(self.rows) and found <= self.rows
        self.rows = found

    @invariant()
    def every_row_is_there_as_often_as_it_should(self):
        if self.rows:
            assert our_rows(self.lake) == self.rows
            if self.can_exchange:
                assert glob_rows(self.lake) == self.rows


@pytest.mark.parametrize("can_exchange", [True, False], ids=["exchange", "records"])
def test_a_lake_holds_what_was_written_whatever_happens(classified, can_exchange):
    parts = {"classified": staticmethod(classified), "can_exchange": can_exchange}
    run_state_machine_as_test(
        type("Machine", (LakeMachine,), parts),
        settings=settings(
            max_examples=8,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
