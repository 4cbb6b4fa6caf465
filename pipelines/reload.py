"""The watcher's configuration: read at the start, and again where its files have changed."""

import dataclasses
import hashlib
import logging
from pathlib import Path

from configs.settings import UserError, load_settings
from configs.topics import topics_file
from models.fitted import FITTED_FILE
from pipelines.logs import say
from pipelines.monitor import MonitorPlan
from pipelines.options import RunFlags, WatchFlags
from pipelines.prepare import make_plan
from transforms.http import close_clients
from transforms.processes import close_pools


class Configuration:
    """The plan that the configuration makes; a broken edit leaves the one before."""

    def __init__(self, flags: WatchFlags):
        """Raises UserError."""
        if "-" in flags.sources:
            raise UserError("watch: standard input has an end: give a file or an address instead")
        # The same file from now on, also where it goes: the shipped one must not step in.
        _, self._path = load_settings(flags.config)
        self._flags = RunFlags(flags.sources, self._path, flags.lake, strict=False, json=False)
        self._digest = self._read_digest()
        self._refused: str | None = None
        self.plan = self._make_plan()

    def refresh(self) -> bool:
        """Takes up what has changed; whether the plan is another one than before."""
        try:
            digest = self._read_digest()
            if digest == self._digest and self._refused is None:
                return False
            self._digest = digest
            plan = self._make_plan()
        except (UserError, OSError) as error:
            # Tried again at each tick: what is wrong may lie in a file that it names.
            if str(error) != self._refused:
                message = f"{error}; going on with the configuration as it was"
                say("config_refused", message, logging.WARNING, error=str(error))
            self._refused = str(error)
            return False
        self._refused = None
        if plan.lake != self.plan.lake:
            message = f"lake: {plan.lake} needs a restart; going on with {self.plan.lake}"
            say("config_restart", message, logging.WARNING, lake=self.plan.lake)
            plan = dataclasses.replace(plan, lake=self.plan.lake)
        if plan == self.plan:
            return False
        if plan.http != self.plan.http:
            close_clients()
        if plan.extract != self.plan.extract:
            close_pools()
        self.plan = plan
        say("config", f"{self._path}: the change is taken up", sources=len(plan.sources))
        return True

    def _make_plan(self) -> MonitorPlan:
        plan = make_plan(self._flags)
        return dataclasses.replace(plan, polls=dataclasses.replace(plan.polls, only_due=True))

    def _read_digest(self) -> str:
        """What changes with the content of any of the files."""
        topics = topics_file(self._path)
        digest = hashlib.sha256()
        for path in (self._path, topics, topics.with_name(FITTED_FILE)):
            digest.update(f"\0{path}\0".encode("utf-8", "surrogateescape") + content(path))
        return digest.hexdigest()


def content(path: Path) -> bytes:
    """What a file holds; nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
