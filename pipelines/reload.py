"""The watcher's configuration: read at the start, and again where its files have changed."""

import dataclasses
import hashlib
import logging
from pathlib import Path
from typing import Any

from configs.settings import UserError, load_settings
from configs.topics import topics_files
from models.fitted import FITTED_FILE
from pipelines.logs import say
from pipelines.monitor import MonitorPlan
from pipelines.options import RunFlags, WatchFlags
from pipelines.prepare import make_plan
from transforms.http import close_clients
from transforms.processes import close_pools

# What changes with the content of each file that a plan may be made of.
Digests = dict[Path, bytes]


class Configuration:
    """The plan that the configuration makes; a broken edit leaves the one before."""

    def __init__(self, flags: WatchFlags):
        """Raises UserError."""
        if "-" in flags.sources:
            raise UserError("watch: standard input has an end: give a file or an address instead")
        # The same file from now on, also where it goes: the shipped one must not step in.
        _, self._path = load_settings(flags.config)
        self._flags = RunFlags(flags.sources, self._path, flags.lake, strict=False, json=False)
        # As they were when they were read last, and when the plan was made of them.
        self._read = self._taken = self._digests()
        self._refused: str | None = None
        self._overruled = self._overruled_keys()
        self.plan = self._make_plan()

    def refresh(self) -> bool:
        """Takes up what has changed; whether the plan is another one than before."""
        before, now = self._read, self._digests()
        if now == before and self._refused is None:
            return False
        self._read = now
        try:
            plan, overruled = self._make_plan(), self._overruled_keys()
        except (UserError, OSError) as error:
            # Tried again at each tick: what is wrong may lie in a file that it names.
            if str(error) != self._refused:
                message = f"{error}; going on with the configuration as it was"
                say("config_refused", message, logging.WARNING, error=str(error))
            self._refused = str(error)
            return False
        was_refused, self._refused = self._refused is not None, None
        self._say_overruled(overruled)
        if plan.lake != self.plan.lake:
            message = f"lake: {plan.lake} needs a restart; going on with {self.plan.lake}"
            say("config_restart", message, logging.WARNING, lake=self.plan.lake)
            plan = dataclasses.replace(plan, lake=self.plan.lake)
        if plan == self.plan:
            if was_refused:
                names = self._named(before, now)
                say("config_well", f"{names}: reads well again", file=names)
            self._taken = now
            return False
        names, self._taken = self._named(self._taken, now), now
        self._take_up(plan)
        say("config", f"{names}: the change is taken up", file=names, sources=len(plan.sources))
        return True

    def _take_up(self, plan: MonitorPlan) -> None:
        if plan.http != self.plan.http:
            close_clients()
        if plan.extract != self.plan.extract:
            close_pools()
        self.plan = plan

    def _named(self, before: Digests, now: Digests) -> str:
        """The files that have changed; the configuration's where what it names has."""
        changed = [str(path) for path, digest in now.items() if before[path] != digest]
        return ", ".join(changed or [str(self._path)])

    def _overruled_keys(self) -> dict[str, Any]:
        """What the file says and the command line overrules. Raises UserError."""
        settings, _ = load_settings(self._path)
        said: dict[str, Any] = {}
        if self._flags.lake not in (None, settings.lake):
            said["lake"] = settings.lake
        if self._flags.sources:
            said["sources"] = settings.sources
        return said

    def _say_overruled(self, overruled: dict[str, Any]) -> None:
        """Names what has changed in the file without any effect."""
        stands = {
            "lake": f"--lake {self._flags.lake} stands",
            "sources": "those of the command line stand",
        }
        for key, value in overruled.items():
            if value != self._overruled.get(key):
                message = f"{self._path}: {key}: the change has no effect: {stands[key]}"
                say("config_overruled", message, logging.WARNING, file=str(self._path), key=key)
        self._overruled = overruled

    def _make_plan(self) -> MonitorPlan:
        plan = make_plan(self._flags)
        return dataclasses.replace(plan, polls=dataclasses.replace(plan.polls, only_due=True))

    def _digests(self) -> Digests:
        topics = topics_files(self._path)
        paths = (self._path, *topics, *(path.with_name(FITTED_FILE) for path in topics))
        return {path: hashlib.sha256(content(path)).digest() for path in paths}


def content(path: Path) -> bytes:
    """What a file holds; nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
