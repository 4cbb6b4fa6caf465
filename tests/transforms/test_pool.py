import threading

import apache_beam as beam
import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from transforms.pool import ConcurrentDoFn


class FirstWaitsForSecond(ConcurrentDoFn):
    """Its first element is done after its second."""

    def setup(self):
        self._second = threading.Event()

    def work(self, element):
        if element == 2:
            self._second.set()
        return [element * 10] if self._second.wait(10) else []


class OddIsAnError(ConcurrentDoFn):
    def work(self, element):
        return [TaggedOutput("errors", element) if element % 2 else element]


class AllAtOnce(ConcurrentDoFn):
    """An element is done when as many are under way as there are threads."""

    def setup(self):
        self._all = threading.Barrier(self._threads, timeout=10)

    def work(self, element):
        self._all.wait()
        return [element]


class CountsHeld(ConcurrentDoFn):
    """Outputs how many elements had begun and were not yet emitted."""

    def setup(self):
        self._begun = self._emitted = 0
        self._lock = threading.Lock()

    def work(self, element):
        with self._lock:
            self._begun += 1
            return [self._begun - self._emitted]

    def tally(self, output):
        with self._lock:
            self._emitted += 1


class Fails(ConcurrentDoFn):
    def work(self, element):
        raise LookupError(f"cannot do {element}")


def numbers(count):
    return beam.Create(range(1, count + 1), reshuffle=False)


def with_place(value, time=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
    return value, float(time), float(window.start)


def test_outputs_keep_window_and_timestamp_of_their_element(pipeline):
    with pipeline as p:
        placed = (
            p
            | numbers(3)
            | beam.Map(lambda n: TimestampedValue(n, n * 100 + 5))
            | beam.WindowInto(FixedWindows(60))
            | beam.ParDo(FirstWaitsForSecond(2))
            | beam.Map(with_place)
        )
        assert_that(placed, equal_to([(10, 105, 60), (20, 205, 180), (30, 305, 300)]))


def test_tagged_outputs_go_their_own_way(pipeline):
    with pipeline as p:
        outputs = p | numbers(5) | beam.ParDo(OddIsAnError(2)).with_outputs("errors", main="even")
        assert_that(outputs.even, equal_to([2, 4]), "even")
        assert_that(outputs.errors, equal_to([1, 3, 5]), "odd")


def test_as_many_elements_as_threads_are_under_way_at_once(pipeline):
    with pipeline as p:
        assert_that(p | numbers(4) | beam.ParDo(AllAtOnce(4)), equal_to([1, 2, 3, 4]))


def test_no_more_than_twice_the_threads_are_held(pipeline):
    def all_few(held):
        assert len(held) == 300
        assert max(held) <= 6, max(held)

    with pipeline as p:
        assert_that(p | numbers(300) | beam.ParDo(CountsHeld(3)), all_few)


def test_an_exception_fails_the_run(pipeline):
    with pytest.raises(Exception, match="cannot do 1"), pipeline as p:
        p | numbers(1) | beam.ParDo(Fails(2))
