"""Work in lanes: in each lane one piece after the other, many lanes at once on a few threads."""

import dataclasses
import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")
Outputs = Iterable[Any]
Steps = Generator["Turn", None, Outputs]


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """What a piece of work needs before it goes on: a place in a lane, after ``wait`` seconds."""

    lane: Hashable
    wait: float = 0.0


def wait_through(steps: Generator[Turn, None, Result]) -> Result:
    """The result of work in steps, done on this thread, which waits for each turn."""
    while True:
        try:
            turn = next(steps)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        time.sleep(turn.wait)


@dataclasses.dataclass(slots=True, eq=False)
class Task:
    """A piece of work; ``steps`` is its rest once it has begun and stopped for a turn.

    In the end it has ``outputs`` or an ``error``.
    """

    element: Any
    context: Any = None
    steps: Steps | None = None
    not_before: float = 0.0
    outputs: Outputs = ()
    error: BaseException | None = None


@dataclasses.dataclass(slots=True)
class _Lane:
    queue: deque[Task] = dataclasses.field(default_factory=deque)
    is_busy: bool = False
    # When to look at the lane next; an entry of the heap with another time is void.
    due: float = 0.0


class Lanes:
    """Runs tasks on ``threads`` threads, those of one lane one at a time.

    ``work`` makes the outputs of an element, or is a generator that yields the turns it
    needs and returns them. ``pause`` says for how many seconds a lane is to rest. At most
    ``limit`` tasks are under way or done and not collected: the others are only queued.
    """

    def __init__(
        self,
        threads: int,
        limit: int,
        work: Callable[[Any], Outputs | Steps],
        pause: Callable[[Any], float],
    ):
        self._threads = threads
        self._limit = limit
        self._work = work
        self._pause = pause
        self._lanes: dict[Hashable, _Lane] = {}
        self._due: list[tuple[float, int, Hashable]] = []
        self._done: deque[Task] = deque()
        self._held = self._pending = self._started = 0
        self._numbers = itertools.count()
        self._is_closed = False
        lock = threading.Lock()
        self._ready, self._finished = threading.Condition(lock), threading.Condition(lock)

    def add(self, lane: Hashable | None, element: Any, context: Any = None) -> None:
        """Queues an element; without a lane it waits for none other."""
        with self._ready:
            self._pending += 1
            number = next(self._numbers)
            self._enqueue(("alone", number) if lane is None else lane, Task(element, context))
            if self._started < min(self._threads, self._pending):
                self._started += 1
                threading.Thread(target=self._run, daemon=True, name="lane").start()

    def collect(self, wait: bool) -> list[Task]:
        """The tasks that are done; with ``wait`` at least one, unless none is left."""
        with self._finished:
            while wait and not self._done and self._pending:
                self._finished.wait()
            done = list(self._done)
            self._done.clear()
            self._pending -= len(done)
            self._held -= len(done)
            self._ready.notify(len(done))
            return done

    def close(self) -> None:
        """Begins no further task, and ends the threads after the step each is in."""
        with self._ready:
            self._is_closed = True
            self._ready.notify_all()

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            name, task = taken
            self._put(name, task, self._advance(name, task))

    def _take(self) -> tuple[Hashable, Task] | None:
        """Waits for a lane that is due, and takes the first task of it; None at the end."""
        with self._ready:
            while not self._is_closed:
                is_full = self._held >= self._limit
                wait = self._due[0][0] - time.monotonic() if self._due and not is_full else None
                if wait is None or wait > 0:
                    self._ready.wait(wait)
                elif (taken := self._take_due()) is not None:
                    # One other thread is to wait for what is due next.
                    self._ready.notify()
                    return taken
            return None

    def _take_due(self) -> tuple[Hashable, Task] | None:
        due, _, name = heapq.heappop(self._due)
        lane = self._lanes.get(name)
        if lane is None or lane.due != due or lane.is_busy or not lane.queue:
            return None
        if self._due_time(name, lane) > time.monotonic():
            self._schedule(name)
            return None
        lane.is_busy = True
        self._held += 1
        return name, lane.queue.popleft()

    def _advance(self, name: Hashable, task: Task) -> Turn | None:
        """Does the next steps of a task in a lane; the turn it needs next, None when done."""
        try:
            if task.steps is None:
                begun = self._work(task.element)
                if not isinstance(begun, Generator):
                    task.outputs = begun
                    return None
                task.steps = begun
            while True:
                turn = next(task.steps)
                is_here = turn.lane == name and turn.wait <= 0
                if not is_here or self._pause(name) > 0 or self._is_closed:
                    return turn
        except StopIteration as stop:
            task.outputs = stop.value
        except BaseException as error:
            task.error = error
        return None

    def _put(self, name: Hashable, task: Task, turn: Turn | None) -> None:
        """Queues a task that needs a turn, and frees the lane that it was in."""
        with self._ready:
            self._lanes[name].is_busy = False
            if turn is None:
                self._done.append(task)
                self._finished.notify()
            else:
                self._held -= 1
                task.not_before = time.monotonic() + turn.wait
                self._enqueue(turn.lane, task, goes_first=turn.wait <= 0)
            self._schedule(name)

    def _enqueue(self, name: Hashable, task: Task, goes_first: bool = False) -> None:
        """Queues a task. What has begun goes first; what has to wait lets the others pass."""
        lane = self._lanes.setdefault(name, _Lane())
        if goes_first:
            lane.queue.appendleft(task)
        else:
            # Before those that have yet to wait, and after all the others.
            moment = max(task.not_before, time.monotonic())
            waiting = (n for n, other in enumerate(lane.queue) if other.not_before > moment)
            lane.queue.insert(next(waiting, len(lane.queue)), task)
        if lane.queue[0] is task:
            self._schedule(name)

    def _schedule(self, name: Hashable) -> None:
        """Has a free lane looked at when it is due; forgets one that is empty."""
        lane = self._lanes.get(name)
        if lane is None or lane.is_busy:
            return
        if not lane.queue:
            del self._lanes[name]
            return
        lane.due = self._due_time(name, lane)
        heapq.heappush(self._due, (lane.due, next(self._numbers), name))
        self._ready.notify()

    def _due_time(self, name: Hashable, lane: _Lane) -> float:
        return max(time.monotonic() + self._pause(name), lane.queue[0].not_before)
