"""What pages answered when they were first read, for the first look at them again.

Known to the process alone, and for as long as its lake is not read anew: a look without
validators brings the page whole and is right as well. Those of later looks stand in the lake.
"""

import threading
from collections import OrderedDict
from datetime import datetime

from transforms.urls import address_id

# Of pages that became no article nobody asks.
MOST_KEPT = 50_000
# An ETag and a Last-Modified.
Validators = tuple[str | None, str | None]
NONE: Validators = (None, None)

_lock = threading.Lock()
_by_address: OrderedDict[bytes, tuple[datetime, Validators]] = OrderedDict()


def remember_validators(url: str, moment: datetime, validators: Validators) -> None:
    """Remembers what a page's answer carried, in place of what one before it did."""
    key = bytes.fromhex(address_id(url))
    with _lock:
        _by_address.pop(key, None)
        if any(validators):
            _by_address[key] = moment, validators
        if len(_by_address) > MOST_KEPT:
            _by_address.popitem(last=False)


def take_validators(url: str, moment: datetime) -> Validators:
    """The ETag and the Last-Modified of a page as it was read at a moment; forgotten by this.

    None, where it was read by another process, or again since: they must be of this very text.
    """
    # A process that begins reads all of its lake's recent articles, and remembers none.
    if not _by_address:
        return NONE
    key = bytes.fromhex(address_id(url))
    with _lock:
        read_at, validators = _by_address.pop(key, (None, NONE))
    return validators if read_at == moment else NONE
