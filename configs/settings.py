"""Reads monitor.yaml into frozen, validated settings.

Only the launcher reads configuration; workers receive these values.
"""

import itertools
import os
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from schemas.records import Source

PACKAGED = Path(__file__).parent
DEFAULT_CONFIG = Path("configs/monitor.yaml")
LONGEST_RECHECK = 30 * 86_400.0


class UserError(Exception):
    """A mistake in configuration, flags or paths: shown as one line, exit code 2."""


class Strict(pydantic.BaseModel):
    """Base of all settings: unknown keys are errors, values are frozen."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=Strict)


class SourceSettings(Strict):
    """One source: a ``url`` or a ``path`` (from the configuration file's folder)."""

    name: str | None = None
    url: str | None = pydantic.Field(None, pattern=r"^https?://\S+$")
    path: str | None = None
    kind: str | None = None
    lang: str | None = None
    enabled: bool = True

    @pydantic.model_validator(mode="after")
    def _one_location(self) -> "SourceSettings":
        if (self.url is None) == (self.path is None):
            raise ValueError("give either url or path")
        return self


class FetchSettings(Strict):
    """How feeds and pages are requested. Times in seconds, sizes in bytes."""

    user_agent: str = pydantic.Field("wirewatch/0.1", pattern=r"^[\x20-\x7e]+$")
    contact: str | None = pydantic.Field(None, pattern=r"^[\x21-\x7e]+$")
    threads: int = pydantic.Field(16, ge=1, le=256)
    connect_timeout: float = pydantic.Field(5.0, gt=0)
    total_timeout: float = pydantic.Field(20.0, gt=0)
    attempts: int = pydantic.Field(3, ge=1, le=10)
    max_bytes: int = pydantic.Field(20_000_000, gt=0)
    host_delay: float = pydantic.Field(0.5, ge=0)
    local_delay: float = pydantic.Field(0.0, ge=0)
    robots: bool = True
    max_crawl_delay: float = pydantic.Field(10.0, ge=0)
    max_retry_after: float = pydantic.Field(5.0, ge=0)
    allow_hosts: tuple[str, ...] = ()
    archive_timeout: float = pydantic.Field(3600.0, gt=0)
    max_archive_bytes: int = pydantic.Field(2_000_000_000, gt=0)


class PollSettings(Strict):
    """When feeds are polled and failed pages tried again. Times in seconds."""

    shortest: float = pydantic.Field(300.0, gt=0)
    usual: float = pydantic.Field(900.0, gt=0)
    longest: float = pydantic.Field(14_400.0, gt=0)
    full_every: float = pydantic.Field(86_400.0, ge=0)
    retry_after: float = pydantic.Field(300.0, ge=0)
    tries: int = pydantic.Field(12, ge=1)

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> "PollSettings":
        if self.shortest > self.longest:
            raise ValueError("shortest is more than longest")
        return self


class RevisionSettings(Strict):
    """When articles that the lake has are looked at again. Times in seconds.

    ``recheck`` counts from when an article was first fetched; at most 30 days.
    """

    recheck: tuple[float, ...] = (3600.0, 21_600.0, 86_400.0, 259_200.0)
    least_gap: float = pydantic.Field(3600.0, ge=0)

    @pydantic.field_validator("recheck")
    @classmethod
    def _rising(cls, recheck: tuple[float, ...]) -> tuple[float, ...]:
        steps = (0.0, *recheck)
        if any(after <= before for before, after in itertools.pairwise(steps)):
            raise ValueError("each step must be longer than the one before, and than 0")
        if steps[-1] > LONGEST_RECHECK:
            raise ValueError(f"no step may be longer than {LONGEST_RECHECK:,.0f} (30 days)")
        return recheck


class CopySettings(Strict):
    """What counts as a copy of an article; ``similarity`` is a share of words in pairs."""

    window_days: float = pydantic.Field(7.0, gt=0, le=60)
    similarity: float = pydantic.Field(0.5, ge=0.25, le=1)


class LedgerSettings(Strict):
    """How far back a run looks for what it knows, in days of the lake's partitions."""

    look_back_days: int = pydantic.Field(3650, ge=1, le=100_000)
    event_days: int = pydantic.Field(14, ge=14, le=100_000)


class ExtractSettings(Strict):
    """Limits of reading one page: seconds, bytes of memory; and how many at once."""

    timeout: float = pydantic.Field(20.0, gt=0, le=3600)
    max_memory: int = pydantic.Field(1_000_000_000, ge=300_000_000)
    processes: int | None = pydantic.Field(None, ge=1, le=256)


class PassageSettings(Strict):
    """Lengths of passages in characters: shorter ones are joined, longer ones cut."""

    min_chars: int = pydantic.Field(120, ge=1)
    max_chars: int = pydantic.Field(700, ge=50)


class Settings(Strict):
    """The content of monitor.yaml, with the topics of topics.yaml beside it."""

    lake: str = "lake"
    model: str | None = None
    fetch: FetchSettings = pydantic.Field(default_factory=FetchSettings)
    polls: PollSettings = pydantic.Field(default_factory=PollSettings)
    revisions: RevisionSettings = pydantic.Field(default_factory=RevisionSettings)
    copies: CopySettings = pydantic.Field(default_factory=CopySettings)
    ledger: LedgerSettings = pydantic.Field(default_factory=LedgerSettings)
    extract: ExtractSettings = pydantic.Field(default_factory=ExtractSettings)
    passages: PassageSettings = pydantic.Field(default_factory=PassageSettings)
    topics: tuple[str, ...] | None = pydantic.Field(None, min_length=1)
    sources: tuple[SourceSettings, ...] = ()


def load_settings(path: Path | None) -> tuple[Settings, Path]:
    """The settings in a file, and the file they came from.

    ``path`` None means ``configs/monitor.yaml`` below the working directory, or the
    one that ships with the package. Raises UserError.
    """
    if path is None:
        path = DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else PACKAGED / "monitor.yaml"
    return validate(Settings, path), path


def validate(model: type[Model], path: Path) -> Model:
    """Reads a YAML file into ``model``; raises UserError with the file and the key."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return model.model_validate({} if content is None else content)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read: {reason}") from error
    except pydantic.ValidationError as error:
        raise UserError(f"{path}: {first_problem(error)}") from error
    # A ValueError is a value that YAML itself reads, such as a date in month 13.
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


PLAIN_WORDS = {
    "extra_forbidden": "unknown key",
    "string_pattern_mismatch": "must begin with http:// or https://",
}


def first_problem(error: pydantic.ValidationError) -> str:
    """The first validation problem as ``key: what is wrong``."""
    problem: Any = error.errors()[0]
    key = ""
    for part in problem["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    message = PLAIN_WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    return f"{key}: {message}" if key else message


def config_sources(settings: Settings, config: Path) -> tuple[Source, ...]:
    """The enabled sources of a configuration; paths count from its folder."""
    return tuple(
        Source(
            location=source.url or location_below(config.parent, source.path or ""),
            name=source.name,
            kind=source.kind,
            lang=source.lang,
        )
        for source in settings.sources
        if source.enabled
    )


def location_below(folder: Path, path: str) -> str:
    """A path of the configuration as a location: absolute ones and object stores as they are."""
    return path if "://" in path else os.path.normpath(folder / path)
