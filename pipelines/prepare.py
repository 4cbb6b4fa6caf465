"""Turns flags and configuration into a plan, refusing what cannot work before it runs."""

import glob
import os
import sys
import tempfile
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from configs.settings import (
    ExtractSettings,
    FetchSettings,
    Settings,
    Topic,
    UserError,
    config_sources,
    load_settings,
    load_topics,
)
from models import DEFAULT_MODEL
from models.topic_model import ModelError, ModelInfo, read_model_info
from pipelines.monitor import MonitorPlan
from pipelines.options import RunFlags
from schemas.records import Source
from transforms.classify import TopicPolicy
from transforms.http import HttpPolicy
from transforms.lake import is_remote
from transforms.processes import ExtractPolicy
from transforms.sources import KINDS
from transforms.urls import is_web


def make_plan(flags: RunFlags) -> MonitorPlan:
    """The plan of a run. Raises UserError for a mistake in flags, configuration or paths."""
    settings, config = load_settings(flags.config)
    topics = load_topics(config, settings.topics)
    sources = command_sources(flags.sources) or config_sources(settings, config)
    if not sources:
        raise UserError(f"{config}: sources: none is enabled, and none was given")
    for source in sources:
        check_source(source, "" if flags.sources else f"{config}: ")
    policy = topic_policy(settings, topics)
    lake = flags.lake or settings.lake
    check_lake(lake)
    return MonitorPlan(
        sources=sources,
        lake=lake,
        http=http_policy(settings.fetch),
        threads=settings.fetch.threads,
        extract=extract_policy(settings.extract),
        min_chars=settings.passages.min_chars,
        max_chars=settings.passages.max_chars,
        topics=policy,
    )


def http_policy(fetch: FetchSettings) -> HttpPolicy:
    """The limits of requests that the settings state."""
    return HttpPolicy(
        user_agent=fetch.user_agent,
        connect_timeout=fetch.connect_timeout,
        total_timeout=fetch.total_timeout,
        attempts=fetch.attempts,
        max_bytes=fetch.max_bytes,
    )


def extract_policy(extract: ExtractSettings) -> ExtractPolicy:
    """The limits of reading a page that the settings state."""
    processes = extract.processes or ExtractPolicy.processes
    return ExtractPolicy(extract.timeout, extract.max_memory, processes)


def command_sources(locations: tuple[str, ...]) -> tuple[Source, ...]:
    """The sources of a command line; ``-`` stands for the URLs on standard input."""
    sources: list[Source] = []
    for location in locations:
        if location == "-":
            lines = [line.strip() for line in sys.stdin]
            sources += [Source(line) for line in lines if line and not line.startswith("#")]
        else:
            sources.append(Source(location))
    return tuple(dict.fromkeys(sources))


def check_source(source: Source, prefix: str) -> None:
    """Raises UserError where a local source is not there or cannot be read."""
    location = source.location
    if source.kind is not None and source.kind not in KINDS:
        kinds = ", ".join(KINDS)
        raise UserError(f"{prefix}{location}: unknown kind {source.kind!r}; one of {kinds}")
    if is_web(location) or is_remote(location):
        return
    # A glob's match may be a folder that is not there: "gone/**" gives "gone/".
    if not any(map(os.path.exists, [location, *glob.iglob(location, recursive=True)])):
        raise UserError(f"{prefix}{location}: no such file, folder or URL")
    if os.path.exists(location) and not os.access(location, os.R_OK):
        raise UserError(f"{prefix}{location}: cannot be read: permission denied")


def check_lake(lake: str) -> None:
    """Raises UserError where a lake cannot be written. Leaves nothing behind."""
    if is_remote(lake):
        try:
            FileSystems.get_filesystem(lake)
        except ValueError as error:
            raise UserError(f"{lake}: the lake cannot be written: {error}") from error
        return
    folder = Path(lake)
    try:
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(20, "not a folder")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{lake}: the lake cannot be written: {error.strerror}") from error


def topic_policy(settings: Settings, topics: tuple[Topic, ...]) -> TopicPolicy:
    """The model and the thresholds to use. Raises UserError where they do not match."""
    directory = str(settings.model or DEFAULT_MODEL)
    try:
        info: ModelInfo = read_model_info(directory)
    except ModelError as error:
        raise UserError(f"model: {error}") from error
    own = {head.topic: head.threshold for head in info.heads}
    for topic in topics:
        if topic.name not in own:
            raise UserError(f"topics: the model {directory} has no topic {topic.name!r}")
    thresholds = tuple(
        (topic.name, own[topic.name] if topic.threshold is None else topic.threshold)
        for topic in topics
    )
    return TopicPolicy(directory, thresholds)
