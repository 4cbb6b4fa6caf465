"""Counters, kept as Beam metrics and in this process for a progress display."""

from collections import Counter

from apache_beam.metrics import Metrics

NAMESPACE = "wirewatch"

in_process: Counter[str] = Counter()


def count(name: str, by: int = 1) -> None:
    """Adds to the counter ``name``. To be called on the thread that runs the DoFn."""
    if by:
        Metrics.counter(NAMESPACE, name).inc(by)
        in_process[name] += by
