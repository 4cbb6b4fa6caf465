"""``wirewatch diff``: what changed in an article between its revisions."""

import difflib
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from configs.settings import UserError
from pipelines.arguments import Parser
from transforms.clean import one_line
from transforms.urls import WEB, address_id, is_web

LAST_LOOK = """
select checked_at, error from checks where article_id = ? order by checked_at desc limit 1
"""
SHORTEST_ID = 6
ID = re.compile(r"[0-9a-f]{1,32}")
WIDTH = 96
# Two paragraphs less alike are two paragraphs, and not one that was edited.
LEAST_ALIKE = 0.5
# Red and green (ECMA-48, SGR), for a terminal.
COLOURS = {"-": "\x1b[31m", "+": "\x1b[32m"}
PLAIN = "\x1b[0m"

BY_ADDRESS = """
select distinct article_id, url, canonical_url from passages
where position = 0 and (contains(lower(url), ?) or contains(lower(canonical_url), ?))
"""
HISTORY = """
select revision, seen_at, title, modified_at, text, canonical_url, url, source
from sights join revisions using (article_id, revision)
where article_id = ? order by seen_at, revision
"""


def diff(arguments: list[str]) -> int:
    """Prints what changed between an article's revisions."""
    parser = Parser("diff")
    parser.add_argument(
        "article",
        metavar="ARTICLE",
        help=f"an article_id, {SHORTEST_ID} or more of its first characters, or an address of it",
    )
    parser.add_argument("--lake", default="lake", help="default: lake")
    flags = parser.parse_args(arguments)

    from pipelines.query import read_lake
    from transforms.lake import is_remote

    if not is_remote(flags.lake) and not os.path.isdir(flags.lake):
        raise UserError(f"{flags.lake}: no such lake")
    lines = read_lake(flags.lake, lambda lake: article_lines(lake, flags.article))
    is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in lines:
        colour = COLOURS.get(line[:1]) if is_coloured else None
        print(f"{colour}{line}{PLAIN}" if colour else line)
    return 0


def article_lines(lake: Any, name: str) -> list[str]:
    """What is shown of an article. Raises UserError."""
    article_id = find_article(lake, name)
    found = lake.execute(HISTORY, [article_id])
    names = [column[0] for column in found.description]
    sights = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    lines = list(history_lines(article_id, sights))
    look = lake.execute(LAST_LOOK, [article_id]).fetchone()
    if look is not None and look[1] is not None:
        lines[1:1] = [f"  not to be had when last looked at, {shown(look[0])}: {one_line(look[1])}"]
    return lines


def find_article(lake: Any, name: str) -> str:
    """The article_id that a name stands for. Raises UserError where it is none, or several."""
    if is_web(name):
        found = by_address(lake, name)
    elif not ID.fullmatch(name.lower()):
        raise UserError(f"{name}: an article is named by its article_id or its address")
    elif len(name) < SHORTEST_ID:
        raise UserError(f"{name}: give {SHORTEST_ID} or more characters of the article_id")
    else:
        query = "select distinct article_id from passages where starts_with(article_id, ?)"
        found = {row[0] for row in lake.execute(query, [name.lower()]).fetchall()}
    if not found:
        raise UserError(f"{name}: the lake has no such article")
    if len(found) > 1:
        raise UserError(f"{name}: {len(found)} articles begin so; give more characters")
    return str(found.pop())


def by_address(lake: Any, url: str) -> set[str]:
    """The article found under an address: its own, or another that led to it."""
    wanted = address_id(url)
    query = "select distinct article_id from passages where article_id = ?"
    own = lake.execute(query, [wanted]).fetchall()
    if own:
        return {own[0][0]}
    host = url.lower().removeprefix(WEB[0]).removeprefix(WEB[1]).partition("/")[0]
    rows = lake.execute(BY_ADDRESS, [host, host]).fetchall()
    found = sorted(row[0] for row in rows if wanted in map(address_id, filter(None, row[1:])))
    return set(found[:1])


def history_lines(article_id: str, sights: Sequence[dict[str, Any]]) -> Iterator[str]:
    """An article's revisions in the order they were seen, and what changed from each to the next.

    ``sights`` are in that order too; a text that came back counts as one more.
    """
    seen = [now for n, now in enumerate(sights) if not n or is_another(sights[n - 1], now)]
    last = sights[-1]
    title = textwrap.shorten(headline(last), WIDTH, placeholder=" …")
    if len(seen) == 1:
        checked = "" if len(sights) == 1 else f", last looked at {shown(last['seen_at'])}"
        yield f"{title}: one revision, read {shown(sights[0]['seen_at'])}{checked}"
        return
    yield title
    yield f"  {one_line(last['canonical_url'] or last['url'] or last['source'])}"
    yield f"  {article_id}, {one_line(last['source'])}"
    for number, sight in enumerate(seen, 1):
        moment = sight["modified_at"]
        modified = f", changed {shown(moment)} by the page" if moment else ""
        yield f"  {number}  {sight['revision'][:12]}  seen {shown(sight['seen_at'])}{modified}"
    for number in range(1, len(seen)):
        yield ""
        yield f"--- {number}"
        yield f"+++ {number + 1}"
        yield from change_lines(seen[number - 1], seen[number])


def headline(sight: dict[str, Any]) -> str:
    """An article's title, or how its text begins."""
    return one_line(sight["title"] or "") or one_line(sight["text"].partition("\n")[0])


def is_another(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether two sights are of different revisions."""
    return bool(before["revision"] != after["revision"])


def change_lines(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """What changed between two revisions: the title, then the text by paragraphs."""
    if before["title"] != after["title"]:
        yield f"- title: {one_line(before['title'] or '')}"
        yield f"+ title: {one_line(after['title'] or '')}"
    old, new = (list(paragraphs(one["text"])) for one in (before, after))
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for group in matcher.get_grouped_opcodes(1):
        first, last = group[0], group[-1]
        yield f"@@ -{span(first[1], last[2])} +{span(first[3], last[4])} @@ paragraphs"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                for paragraph in old[i1:i2]:
                    yield f"  {textwrap.shorten(paragraph, WIDTH - 2, placeholder=' …')}"
            else:
                yield from replaced_lines(old[i1:i2], new[j1:j2])


def replaced_lines(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """Paragraphs that others took the place of; changed words are marked where most stayed."""
    for number in range(max(len(old), len(new))):
        before, after = old[number : number + 1], new[number : number + 1]
        if before and after:
            marked = marked_words(before[0], after[0])
            before, after = [marked[0]], [marked[1]]
        for sign, texts in (("-", before), ("+", after)):
            for text in texts:
                yield from wrapped(sign, text)


def marked_words(old: str, new: str) -> tuple[str, str]:
    """Two paragraphs with the words marked that only one has, as in git's word diff."""
    before, after = old.split(), new.split()
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < LEAST_ALIKE:
        return old, new
    left, right = [], []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        removed, added = " ".join(before[i1:i2]), " ".join(after[j1:j2])
        left.append(removed if tag == "equal" else f"[-{removed}-]" * bool(removed))
        right.append(added if tag == "equal" else f"{{+{added}+}}" * bool(added))
    return " ".join(filter(None, left)), " ".join(filter(None, right))


def wrapped(sign: str, text: str) -> list[str]:
    """A paragraph on lines that each begin with a sign."""
    lines = textwrap.wrap(text, WIDTH - 2, break_on_hyphens=False, break_long_words=False)
    return [f"{sign} {line}" for line in lines]


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a text, safe to print."""
    return filter(None, map(one_line, text.splitlines()))


def span(start: int, end: int) -> str:
    """A range of paragraphs, counted from 1, as unified diffs write it."""
    return (
        str(start + 1)
        if end - start == 1
        else f"{start + 1 if end > start else start},{end - start}"
    )


def shown(moment: datetime) -> str:
    """A moment to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
