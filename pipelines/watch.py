"""``wirewatch watch``: the monitor again and again, over the feeds that are due.

A tick is a bounded pipeline, the same as that of a run. What it knows of feeds, articles and
failures it has from the lake; models, connections and page processes stay from tick to tick.
"""

import dataclasses
import logging
import threading
import time
from datetime import UTC, datetime

from configs.settings import UserError
from pipelines.agenda import Agenda, Work
from pipelines.environment import MachineFailed, environment_problem
from pipelines.logs import configure_logs, say, say_crash
from pipelines.monitor import MonitorPlan, run_plan
from pipelines.options import WatchFlags, beam_options, parse_watch
from pipelines.reload import Configuration
from pipelines.report import Report, Tick, feeds_now
from pipelines.summary import read_counters
from pipelines.supervise import supervise
from pipelines.upkeep import Upkeep
from transforms.count import in_process
from transforms.ledger import Ledger, open_ledger
from transforms.writer import Lock

# After a tick that failed for want of a disk or a store: twice as long each time, up to this.
LONGEST_WAIT = 600.0


class Watcher:
    """The loop of ticks over one lake, of which this process is the one writer."""

    def __init__(
        self,
        configuration: Configuration,
        lock: Lock,
        every: float,
        report: Report,
        upkeep: Upkeep | None = None,
    ):
        self._configuration = configuration
        self._lock = lock
        self._every = every
        self._report = report
        self._upkeep = upkeep
        self._agenda = Agenda(datetime.now(UTC))
        self._options = beam_options({})
        self._ledger: Ledger | None = None
        self._failures = 0
        self._has_begun = False

    def run(self, stop: threading.Event) -> int:
        """Ticks until ``stop`` is set; the exit code."""
        while not stop.is_set():
            stop.wait(self.tick())
        return 0

    def tick(self) -> float:
        """One tick; the seconds to wait until the next one."""
        began, start = datetime.now(UTC), time.monotonic()
        tick = Tick(began)
        self._report.begin()
        try:
            tick = self._work(tick)
            if self._upkeep is not None:
                self._upkeep.after_tick(self._configuration.plan.lake)
            self._failures = 0
        except Exception as error:
            problem = environment_problem(error, self._configuration.plan.lake)
            if problem is None:
                raise
            self._failures += 1
            # What was written of the tick is in the lake, and to be read from there.
            self._ledger = None
            tick = dataclasses.replace(tick, problem=problem)
        seconds = time.monotonic() - start
        wait = max(0.0, self._every - seconds)
        if self._failures:
            wait = min(self._every * 2 ** min(self._failures - 1, 20), LONGEST_WAIT)
            wait = max(wait, self._every)
        self._report.note(dataclasses.replace(tick, seconds=seconds), wait)
        return wait

    def _work(self, tick: Tick) -> Tick:
        if self._lock.find_again():
            self._ledger = None
            self._agenda.forget()
        self._configuration.refresh()
        plan = self._configuration.plan
        if self._ledger is None:
            self._ledger = self._open_ledger(plan)
        work = self._agenda.find(plan, self._ledger, tick.began)
        if not work.is_nothing:
            tick = dataclasses.replace(tick, counters=self._run(work))
            self._lock.check()
            self._agenda.commit(work)
            self._ledger.refresh()
        return dataclasses.replace(
            tick,
            feeds=feeds_now(self._ledger, self._agenda.watched),
            missing=frozenset(self._agenda.missing),
        )

    def _open_ledger(self, plan: MonitorPlan) -> Ledger:
        ledger = open_ledger(plan.lake, plan.ledger)
        if not self._has_begun:
            self._report.recall(ledger)
        self._has_begun = True
        return ledger

    def _run(self, work: Work) -> dict[str, int]:
        """Runs the pipeline over the work; its counters."""
        in_process.clear()
        plan = dataclasses.replace(
            self._configuration.plan,
            sources=work.sources,
            listed=work.listed,
            letters=work.letters,
        )
        return read_counters(run_plan(plan, self._options))


def watch(arguments: list[str]) -> int:
    """``wirewatch watch``: runs until a signal ends it.

    Exit codes: 0; 1 a bug, or a disk that is full from the start; 2 a mistake.
    """
    flags = parse_watch(arguments)
    configure_logs(flags.log_format)
    try:
        return supervise(lambda stop: watch_lake(flags, stop), say)
    except (UserError, MachineFailed) as error:
        if flags.log_format == "text":
            raise
        say("refused", str(error), logging.ERROR, error=str(error))
        return 2 if isinstance(error, UserError) else 1
    except Exception as error:
        if flags.log_format == "text":
            raise
        say_crash(error)
        return 1


def watch_lake(flags: WatchFlags, stop: threading.Event) -> int:
    """Takes the lake and watches until ``stop`` is set. Raises UserError, MachineFailed."""
    from pipelines.cli import hold_lake

    configuration = Configuration(flags)
    # The report first, which may be refused its port: a lake is only made for who can go on.
    with (
        Report(flags, configuration) as report,
        hold_lake(configuration.plan.lake, "watch") as lock,
    ):
        report.start()
        return Watcher(configuration, lock, flags.every, report, Upkeep(stop)).run(stop)
