"""A DoFn whose slow work runs on threads while its results keep flowing downstream."""

from collections.abc import Generator, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from transforms.lanes import Lanes, Task, Turn


class ConcurrentDoFn(beam.DoFn):
    """Runs ``work`` on up to ``threads`` elements at once, and one at a time a lane.

    Results are emitted as they come, with the window and timestamp of their own element.
    Of a bundle's elements at most twice ``threads`` are under way or done and not yet
    emitted; the others are queued as they are, so they must be light. An exception from
    ``work`` fails the bundle.
    """

    def __init__(self, threads: int):
        self._threads = threads
        self._lanes: Lanes | None = None

    def work(self, element: Any) -> Iterable[Any] | Generator[Turn, None, Iterable[Any]]:
        """The outputs of one element; called on a thread, so it must not count metrics.

        It may be a generator that yields a Turn wherever it needs one, and returns the
        outputs: no thread waits until it is due.
        """
        raise NotImplementedError

    def lane(self, element: Any) -> str | None:
        """The lane that an element begins in; None where it need not wait for others."""
        return None

    def pause(self, lane: str) -> float:
        """Seconds until the next element of a lane may begin."""
        return 0.0

    def tally(self, output: Any) -> None:
        """Counts one output; called on the thread that runs the bundle."""

    def start_bundle(self) -> None:
        self._close()  # A bundle that failed may have left some.
        self._lanes = Lanes(self._threads, 2 * self._threads, self.work, self._pause)

    def process(
        self,
        element: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        assert self._lanes is not None, "a bundle has begun"
        self._lanes.add(self.lane(element), element, (timestamp, window))
        yield from self._emit(self._lanes.collect(wait=False))

    def finish_bundle(self) -> Iterator[Any]:
        assert self._lanes is not None, "a bundle has begun"
        while done := self._lanes.collect(wait=True):
            yield from self._emit(done)
        self._close()

    def teardown(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._lanes is not None:
            self._lanes.close()
            self._lanes = None

    def _pause(self, lane: Any) -> float:
        return self.pause(lane) if isinstance(lane, str) else 0.0

    def _emit(self, done: Iterable[Task]) -> Iterator[Any]:
        for task in done:
            if task.error is not None:
                raise task.error
            timestamp, window = task.context
            for output in task.outputs:
                self.tally(output)
                tag = output.tag if isinstance(output, TaggedOutput) else None
                value = output.value if isinstance(output, TaggedOutput) else output
                windowed = WindowedValue(value, timestamp, (window or GlobalWindow(),))
                yield windowed if tag is None else TaggedOutput(tag, windowed)
