"""Sets of ids that take little memory: what a ledger knows of articles.

An id is the first 64 bits of a SHA-256, or made of two such. Among n known ids a new one is
taken for known by chance once in 2**64 / n questions: with four million, once in 4.6e12.
"""

import functools

import numpy as np

from schemas.tables import stable_id
from transforms.urls import site

MASK = (1 << 64) - 1
# Odd, so that multiplying loses nothing (Knuth, TAOCP 3, section 6.4: the golden ratio).
GOLDEN = 0x9E3779B97F4A7C15
# Ids beyond so many are sorted in; until then they lie in a dict, which takes ten times as much.
NEW_IDS = 50_000

NO_IDS, NO_DAYS = np.zeros(0, np.uint64), np.zeros(0, np.int32)


def id_number(hex_id: str) -> int:
    """The first 64 bits of an id in hex."""
    return int(hex_id[:16], 16)


def id_numbers(hex_ids: list[str]) -> np.ndarray:
    """The first 64 bits of many ids of 32 hex digits."""
    raw = bytes.fromhex("".join(hex_ids))
    return np.frombuffer(raw, ">u8").reshape(-1, 2)[:, 0].astype(np.uint64)


@functools.lru_cache(maxsize=65_536)
def _host_number(host: str) -> int:
    return id_number(stable_id("site", site(f"https://{host}")))


def site_number(url: str) -> int:
    """The number of the site of a URL."""
    return _host_number(url.partition("://")[2].partition("/")[0])


def text_number(owner: int, revision: int) -> int:
    """The number of a text of an article, or of a site."""
    return (owner * GOLDEN + revision) & MASK


def text_numbers(owners: np.ndarray, revisions: np.ndarray) -> np.ndarray:
    """``text_number`` of many."""
    return owners * np.uint64(GOLDEN) + revisions


class KnownIds:
    """Ids, each with the day (its proleptic ordinal) of the partition it is from.

    One thread at a time may add; any may ask meanwhile. An id may be of several days.
    """

    def __init__(self, ids: np.ndarray = NO_IDS, days: np.ndarray = NO_DAYS):
        order = np.argsort(ids, kind="stable")
        self._ids, self._days = ids[order], days[order]
        self._new: dict[int, tuple[int, ...]] = {}

    def __contains__(self, number: int) -> bool:
        if number in self._new:
            return True
        wanted = np.uint64(number)
        place = int(np.searchsorted(self._ids, wanted))
        return place < len(self._ids) and self._ids[place] == wanted

    def __len__(self) -> int:
        return len(self._ids) + len(self._new)

    def add(self, number: int, day: int) -> None:
        """Adds one id."""
        days = self._new.get(number, ())
        if day not in days:
            self._new[number] = (*days, day)

    def plus(self, ids: np.ndarray, days: np.ndarray) -> "KnownIds":
        """These ids and others: this set where they are few, else a new one."""
        if len(self._new) + len(ids) <= NEW_IDS:
            for number, day in zip(ids.tolist(), days.tolist(), strict=True):
                self.add(number, day)
            return self
        mine, my_days = self.arrays()
        return KnownIds(np.concatenate([mine, ids]), np.concatenate([my_days, days]))

    def without(self, lost: set[int], first: int) -> "KnownIds":
        """A new set, without the ids of some days and of those before ``first``."""
        ids, days = self.arrays()
        keep = (days >= first) & ~np.isin(days, np.array(sorted(lost), np.int32))
        return KnownIds(ids[keep], days[keep])

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All ids and their days."""
        pairs = [(number, day) for number, days in self._new.items() for day in days]
        ids = np.array([number for number, _ in pairs], np.uint64)
        days = np.array([day for _, day in pairs], np.int32)
        return np.concatenate([self._ids, ids]), np.concatenate([self._days, days])
