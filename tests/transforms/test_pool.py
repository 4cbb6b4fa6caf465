import threading

import apache_beam as beam
import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from transforms.lanes import Lanes, Turn
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


@pytest.fixture
def lanes():
    """Makes lanes whose threads end with the test."""
    made = []

    def make(work, threads=4, limit=8, pause=lambda lane: 0.0):
        made.append(Lanes(threads, limit, work, pause))
        return made[-1]

    yield make
    for each in made:
        each.close()


def collect_all(lanes):
    outputs = []
    while done := lanes.collect(wait=True):
        assert [task.error for task in done] == [None] * len(done)
        outputs += [output for task in done for output in task.outputs]
    return outputs


@pytest.mark.parametrize("threads", [1, 8])
def test_the_elements_of_a_lane_go_one_at_a_time_and_in_order(lanes, threads):
    locks = [threading.Lock() for _ in range(10)]
    orders = [[] for _ in locks]

    def work(number):
        lane = number % 10
        for _ in range(3):
            assert locks[lane].acquire(blocking=False), "another one is in the lane"
            orders[lane].append(number)
            locks[lane].release()
            yield Turn(lane)
        return [number]

    made = lanes(work, threads, limit=2 * threads)
    for number in range(200):
        made.add(number % 10, number)
    assert sorted(collect_all(made)) == list(range(200))
    assert orders == [[n for n in range(lane, 200, 10) for _ in range(3)] for lane in range(10)]


def test_an_element_moves_to_another_lane_and_waits_for_it(lanes):
    in_b = threading.Lock()

    def work(element):
        yield Turn(element)
        yield Turn("b")
        assert in_b.acquire(blocking=False), "another one is in the lane"
        in_b.release()
        return [element]

    made = lanes(work)
    for number in range(100):
        made.add(f"lane {number % 7}" if number % 2 else "b", f"lane {number % 7}")
    assert len(collect_all(made)) == 100


def test_no_thread_is_held_by_what_waits(lanes):
    def work(element):
        if element == "late":
            yield Turn("slow", 3600)
        return [element]

    made = lanes(work, threads=1, pause=lambda lane: 3600 if lane == "resting" else 0.0)
    made.add("slow", "late")
    made.add("resting", "never")
    made.add("slow", "next in its lane")
    made.add("other", "elsewhere")
    made.add(None, "in no lane")
    found = set()
    while len(found) < 3:
        found |= {output for task in made.collect(wait=True) for output in task.outputs}
    assert found == {"next in its lane", "elsewhere", "in no lane"}


def test_an_element_passes_one_that_began_to_wait_before_it_came(lanes):
    def work(element):
        if element == "late":
            yield Turn("slow", 3600)
        return [element]

    made = lanes(work, threads=1)
    made.add("slow", "late")
    made.add("other", "elsewhere")
    # With one thread, the late one waits in its lane by the time this is done.
    assert [task.element for task in made.collect(wait=True)] == ["elsewhere"]
    made.add("slow", "next in its lane")
    made.add(None, "in no lane")
    found = []
    while len(found) < 2:
        found += [task.element for task in made.collect(wait=True)]
    assert set(found) == {"next in its lane", "in no lane"}


def test_only_as_many_are_begun_as_may_be_held(lanes):
    begun, some = [], threading.Semaphore(0)

    def work(element):
        begun.append(element)
        some.release()
        return [element]

    made = lanes(work, threads=3, limit=5)
    for number in range(50):
        made.add(None, number)
    for _ in range(5):
        assert some.acquire(timeout=10)
    assert len(begun) == 5
    assert sorted(collect_all(made)) == list(range(50))


def test_an_error_belongs_to_its_element(lanes):
    def work(element):
        yield Turn("a")
        if element == 2:
            raise LookupError("no such thing")
        return [element]

    made = lanes(work)
    for number in range(4):
        made.add("a", number)
    done = []
    while found := made.collect(wait=True):
        done += found
    assert [type(task.error) for task in done] == [type(None), type(None), LookupError, type(None)]
