"""Which dead letters ``wirewatch retry`` puts through again, and what it may connect to."""

import dataclasses
import os
from datetime import UTC, datetime
from urllib.parse import urlsplit

from configs.settings import UserError, config_sources, load_settings
from pipelines.environment import machine_failures
from pipelines.monitor import MonitorPlan
from pipelines.options import RetryFlags
from pipelines.prepare import settings_plan
from schemas.records import DeadLetter, Source
from transforms.deadletter import letter_input
from transforms.events import Letters
from transforms.guard import to_address
from transforms.lake import is_remote

# Errors of an address that was refused, or that is none.
NEVER_CHECKED = ("Refused", "InvalidURL")
# Errors that a host can cause whose name could not be looked up.
PERHAPS_NOT_CHECKED = ("UnknownHost", "LookupTimeout", "HostDown", "RobotsUnreachable")


@dataclasses.dataclass(frozen=True)
class RetryPlan:
    """What is tried again, and how many open dead letters are not.

    ``waiting`` are those whose server asked to wait; ``hopeless`` those that trying again
    is not expected to help.
    """

    monitor: MonitorPlan
    waiting: int
    hopeless: int


def make_retry_plan(flags: RetryFlags) -> RetryPlan:
    """The plan that puts open dead letters through again. Raises UserError, MachineFailed."""
    settings, config = load_settings(flags.config)
    lake = flags.lake or settings.lake
    if not is_remote(lake) and not os.path.isdir(lake):
        raise UserError(f"{lake}: no such lake")
    found = Letters(lake)
    with machine_failures(lake):
        found.refresh()
    now = datetime.now(UTC)
    asked = [letter for letter in found.all() if flags.stage in (None, letter.stage)]
    ready = [letter for letter in asked if letter.retry_at is None or letter.retry_at <= now]
    letters = tuple(letter for letter in ready if flags.everything or letter.retryable)
    given = [(letter, letter_input(letter)) for letter in letters]
    sources = tuple(item for _, item in given if isinstance(item, Source))
    allowed = (Source(item.location) for letter, item in given if item and was_allowed(letter))
    named = (*config_sources(settings, config), *allowed)
    plan = settings_plan(settings, config, flags.lake, sources, named, force=True)
    return RetryPlan(
        dataclasses.replace(plan, letters=letters),
        waiting=len(asked) - len(ready),
        hopeless=len(ready) - len(letters),
    )


def was_allowed(letter: DeadLetter) -> bool:
    """Whether the run that met a letter was allowed to connect to the letter's host.

    It was where anything but the check of the address failed. A name that could not be
    looked up was not checked.
    """
    if letter.error_type in NEVER_CHECKED:
        return False
    host = urlsplit(letter.key).hostname
    is_address = host is not None and to_address(host) is not None
    return is_address or letter.error_type not in PERHAPS_NOT_CHECKED


def left_lines(plan: RetryPlan) -> list[str]:
    """What is not tried again, a line each."""
    parts = (
        (plan.waiting, "left alone: their server asked to wait"),
        (plan.hopeless, "left alone: trying again is not expected to help (--all tries it)"),
    )
    return [f"Dead letters {what}: {number:,}" for number, what in parts if number]
