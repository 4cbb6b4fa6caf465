"""What the watcher logs: lines of text, or JSON objects one a line, on standard error."""

import io
import logging
import sys
import threading
import time
import traceback
from typing import Any

from transforms.clean import one_line

LOGGER = logging.getLogger("wirewatch")
# They log every error of a step with its traceback, which we name in one line or raise.
ENGINE = ("apache_beam.runners", "apache_beam.io")


class StandardError(logging.StreamHandler):
    """Writes to what standard error is now: a status line stands in for it while it is shown."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


class TextFormatter(logging.Formatter):
    """``2026-02-19 16:40:03Z message``; with level and logger where a library speaks."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%d %H:%M:%SZ"
    default_msec_format = ""

    def format(self, record: logging.LogRecord) -> str:
        # A message may quote what a server said.
        message = one_line(record.getMessage())
        if record.name != LOGGER.name:
            message = f"{record.name}: {message}"
        if record.levelno >= logging.WARNING:
            message = f"{record.levelname.lower()}: {message}"
        lines = [f"{self.formatTime(record)} {message}"]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return "\n".join(lines)


class LinesToLog(io.TextIOBase):
    """Stands in for standard error: each line that is printed there becomes a log record."""

    def __init__(self) -> None:
        self._rest = threading.local()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._rest, "text", "") + text).split("\n")
        self._rest.text = rest
        for line in filter(str.strip, lines):
            LOGGER.warning(line, extra={"event": "stderr"})
        return len(text)


def configure_logs(log_format: str) -> None:
    """Logs as text or as JSON, warnings of libraries too, in place of what was set up before."""
    handler: logging.StreamHandler = StandardError()
    if log_format == "json":
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(json_formatter())
        sys.stderr = LinesToLog()
    else:
        handler.setFormatter(TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        for chatter in old.filters:
            handler.addFilter(chatter)
        root.removeHandler(old)
    root.addHandler(handler)
    logging.captureWarnings(True)
    LOGGER.setLevel(logging.INFO)
    for name in ENGINE:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def json_formatter() -> logging.Formatter:
    """Objects with time, level, logger and message, and what a record carries besides."""
    from pythonjsonlogger.json import JsonFormatter

    formatter = JsonFormatter(
        ["asctime", "levelname", "name", "message"],
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%SZ",
    )
    formatter.converter = time.gmtime
    return formatter


def say(event: str, message: str, level: int = logging.INFO, **fields: Any) -> None:
    """Logs one event; ``fields`` go into the JSON beside ``event``, those without a value not."""
    given = {name: value for name, value in fields.items() if value is not None}
    LOGGER.log(level, message, extra={"event": event, **given})


def say_crash(error: BaseException) -> None:
    """Logs a bug: the traceback in one record."""
    lines = "".join(traceback.format_exception(error))
    say("crash", f"crashed: {error!r}", logging.CRITICAL, error=repr(error), traceback=lines)
