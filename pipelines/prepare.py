"""Turns flags and configuration into a plan, refusing what cannot work before it runs."""

import contextlib
import dataclasses
import glob
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from apache_beam.io.filesystems import FileSystems

from configs.settings import (
    ExtractSettings,
    FetchSettings,
    PollSettings,
    Settings,
    UserError,
    config_sources,
    load_settings,
)
from configs.topics import load_topics
from pipelines.environment import refusal
from pipelines.monitor import MonitorPlan
from pipelines.options import RunFlags
from pipelines.policy import open_model, topic_policy
from schemas.records import Source
from transforms.cluster import CopyPolicy
from transforms.deadletter import Unusable
from transforms.exchange import check_url
from transforms.guard import DEFAULT_PORTS, Guard, is_local_name
from transforms.http import HttpPolicy
from transforms.lake import is_remote
from transforms.ledger import LedgerPolicy
from transforms.locate import locate
from transforms.poll import PollPolicy
from transforms.processes import ExtractPolicy
from transforms.recent import RevisionPolicy
from transforms.sources import KINDS
from transforms.urls import is_web

# The extra of apache-beam that reads addresses of a kind.
FILESYSTEM_EXTRAS = {"gs": "gcp", "s3": "aws", "azfs": "azure", "hdfs": "hadoop"}


def make_plan(flags: RunFlags) -> MonitorPlan:
    """The plan of a run. Raises UserError for a mistake in flags, configuration or paths."""
    settings, config = load_settings(flags.config)
    if flags.sources:
        sources = command_sources(flags.sources)
    else:
        sources = config_sources(settings, config)
        if not sources:
            raise UserError(f"{config}: sources: none is enabled, and none was given")
    for source in sources:
        check_source(source, "" if flags.sources else f"{config}: ")
    # What comes in on standard input may be anybody's.
    typed = tuple(location for location in flags.sources if location != "-")
    named = command_sources(typed) if flags.sources else sources
    located = located_sources(sources)
    return settings_plan(settings, config, flags.lake, located, named, force=flags.force)


def settings_plan(
    settings: Settings,
    config: Path,
    lake: str | None,
    sources: tuple[Source, ...],
    named: tuple[Source, ...],
    force: bool,
) -> MonitorPlan:
    """The plan that the settings make for sources; ``named`` are those the user named.

    Raises UserError.
    """
    topics = load_topics(config, settings.topics)
    policy = topic_policy(settings, config, topics)
    lake = lake or settings.lake
    check_lake(lake)
    open_model(policy)  # What is wrong with a model shows before anything is fetched.
    return MonitorPlan(
        sources=sources,
        lake=lake,
        http=http_policy(settings.fetch, named, config),
        threads=settings.fetch.threads,
        extract=extract_policy(settings.extract),
        min_chars=settings.passages.min_chars,
        max_chars=settings.passages.max_chars,
        topics=policy,
        polls=poll_policy(settings.polls, force),
        revisions=RevisionPolicy(**settings.revisions.model_dump()),
        copies=CopyPolicy(**settings.copies.model_dump()),
        ledger=LedgerPolicy(**settings.ledger.model_dump()),
    )


def poll_policy(polls: PollSettings, force: bool) -> PollPolicy:
    """The limits of polling that the settings state."""
    return PollPolicy(**polls.model_dump(), force=force)


def http_policy(fetch: FetchSettings, named: tuple[Source, ...], config: Path) -> HttpPolicy:
    """How requests are made, by the settings and the sources that the user named.

    Raises UserError for an entry of allow_hosts that is none.
    """
    try:
        Guard(fetch.allow_hosts)
    except ValueError as error:
        raise UserError(f"{config}: fetch.allow_hosts: {error}") from error
    contact = f"+{fetch.contact}" if fetch.contact else "contact not set"
    return HttpPolicy(
        user_agent=f"{fetch.user_agent} ({contact})",
        has_contact=fetch.contact is not None,
        connect_timeout=fetch.connect_timeout,
        total_timeout=fetch.total_timeout,
        attempts=fetch.attempts,
        max_bytes=fetch.max_bytes,
        allow_hosts=(*fetch.allow_hosts, *named_hosts(named)),
        host_delay=fetch.host_delay,
        local_delay=fetch.local_delay,
        robots=fetch.robots,
        max_crawl_delay=fetch.max_crawl_delay,
        max_retry_after=fetch.max_retry_after,
        archive_timeout=fetch.archive_timeout,
        max_archive_bytes=fetch.max_archive_bytes,
    )


def named_hosts(sources: tuple[Source, ...]) -> tuple[str, ...]:
    """The hosts, with ports, that the user allows by naming a source on them.

    Only those that nobody else can lead elsewhere: addresses and local names. Whoever
    holds a public name could have it lead into the user's network.
    """
    hosts: list[str] = []
    for source in sources:
        if is_web(source.location):
            with contextlib.suppress(Unusable):
                url = check_url(source.location)
                if is_local_name(url.host):
                    host = f"[{url.host}]" if ":" in url.host else url.host
                    hosts.append(f"{host}:{url.port or DEFAULT_PORTS[url.scheme]}")
    return tuple(dict.fromkeys(hosts))


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


def located_sources(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """The sources as they are named in the lake, whichever folder they are named from."""
    found = (dataclasses.replace(source, location=locate(source.location)) for source in sources)
    return tuple(dict.fromkeys(found))


def check_source(source: Source, prefix: str) -> None:
    """Raises UserError where a local source is not there or cannot be read."""
    location = source.location
    if source.kind is not None and source.kind not in KINDS:
        kinds = ", ".join(KINDS)
        raise UserError(f"{prefix}{location}: unknown kind {source.kind!r}; one of {kinds}")
    if is_web(location):
        if not urlsplit(location).hostname:
            raise UserError(f"{prefix}{location}: the URL has no host")
        return
    if is_remote(location):
        check_filesystem(location, prefix)
        return
    # A glob's match may be a folder that is not there: "gone/**" gives "gone/".
    if not any(map(os.path.exists, [location, *glob.iglob(location, recursive=True)])):
        hint = f"; a URL begins with https://, as https://{location}" if "." in location else ""
        raise UserError(f"{prefix}{location}: no such file, folder or URL{hint}")
    if os.path.exists(location) and not os.access(location, os.R_OK):
        raise UserError(f"{prefix}{location}: cannot be read: permission denied")


def check_filesystem(path: str, prefix: str = "") -> None:
    """Raises UserError for an address of a kind that no installed filesystem of Beam's reads."""
    scheme = path.partition("://")[0]
    extra = FILESYSTEM_EXTRAS.get(scheme)
    try:
        FileSystems.get_filesystem(path)
    except ValueError as error:
        needed = f"needs pip install 'apache-beam[{extra}]'" if extra else "is of no known kind"
        raise UserError(f"{prefix}{path}: an address with {scheme}:// {needed}") from error


def check_lake(lake: str) -> None:
    """Raises UserError, MachineFailed where a lake cannot be written. Leaves nothing behind."""
    if is_remote(lake):
        check_filesystem(lake)
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
        raise refusal(lake, "written", error) from error
