"""A DoFn whose slow work runs on threads while its results keep flowing downstream."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue


class ConcurrentDoFn(beam.DoFn):
    """Runs ``work`` on up to ``threads`` elements at once.

    Results are emitted as they come, with the window and timestamp of their own
    element; at most twice ``threads`` elements are held, so memory is bounded
    whatever the bundle's size. An exception from ``work`` fails the bundle.
    """

    def __init__(self, threads: int):
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._pending: dict[Future, tuple[Any, Any]] = {}

    def work(self, element: Any) -> Iterable[Any]:
        """The outputs of one element; called on a thread, so it must not count metrics."""
        raise NotImplementedError

    def tally(self, output: Any) -> None:
        """Counts one output; called on the thread that runs the bundle."""

    def start_bundle(self) -> None:
        self._pending = {}

    def process(
        self,
        element: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=type(self).__name__)
        self._pending[self._pool.submit(self.work, element)] = (timestamp, window)
        if len(self._pending) >= 2 * self._threads:
            yield from self._emit(wait(self._pending, return_when=FIRST_COMPLETED).done)

    def finish_bundle(self) -> Iterator[Any]:
        while self._pending:
            yield from self._emit(wait(self._pending, return_when=FIRST_COMPLETED).done)

    def teardown(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _emit(self, done: Iterable[Future]) -> Iterator[Any]:
        for future in done:
            timestamp, window = self._pending.pop(future)
            for output in future.result():
                self.tally(output)
                tag = output.tag if isinstance(output, TaggedOutput) else None
                value = output.value if isinstance(output, TaggedOutput) else output
                windowed = WindowedValue(value, timestamp, (window or GlobalWindow(),))
                yield windowed if tag is None else TaggedOutput(tag, windowed)
