"""What lists named when they were last read, for a process that reads them again and again."""

import threading

from schemas.records import Source

_lock = threading.Lock()
_by_list: dict[str, tuple[Source, ...]] = {}


def remember_listed(location: str, sources: list[Source]) -> None:
    """Remembers what the list at ``location`` names now, in place of what it named before."""
    with _lock:
        if sources:
            _by_list[location] = tuple(dict.fromkeys(sources))
        else:
            _by_list.pop(location, None)


def listed_by(location: str) -> tuple[Source, ...]:
    """What the list at ``location`` named when this process read it; empty for no list."""
    with _lock:
        return _by_list.get(location, ())
