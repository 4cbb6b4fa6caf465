"""The article of an HTML page, by trafilatura: one parse for text and metadata.

Runs in a process of its own, see ``transforms/processes.py``; it must not import Beam.
"""

from typing import Any

from lxml.html import HtmlElement
from trafilatura import bare_extraction, load_html

from transforms.content import Content, Refusal
from transforms.metadata import read_metadata
from transforms.walls import find_wall


def html_content(body: bytes, url: str | None) -> Content | Refusal:
    """What a page says, or why it has no article.

    The settings are the library's, but for readers' comments, which are not the article's.
    """
    tree = load_html(body)
    if tree is None:
        return Refusal("NoArticle", "no article text in the page")
    metadata = read_metadata(tree, url)
    titles = page_titles(tree)
    found: Any = bare_extraction(tree, url=url, include_comments=False)
    text = (found.text or "").strip() if found is not None else ""
    wall = find_wall(text, titles, metadata.is_free, url)
    if wall is not None:
        return wall
    if not text:
        return Refusal("NoArticle", "no article text in the page")
    return Content(
        text=text,
        title=metadata.title,
        authors=metadata.authors,
        canonical=metadata.canonical,
        publisher=metadata.publisher,
        section=metadata.section,
        published=metadata.published,
        modified=metadata.modified,
    )


def page_titles(tree: HtmlElement) -> list[str]:
    """The text of the page's title and of its headline, where it has one of each."""
    titles = []
    for path in (".//head/title", ".//h1"):
        found = tree.findall(path)
        if len(found) == 1:
            titles.append(" ".join(found[0].text_content()[:500].split()))
    return titles
