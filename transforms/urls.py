"""Addresses: their normal form and the id made from it."""

import functools
from urllib.parse import urljoin

from courlan import extract_domain, normalize_url

from schemas.tables import stable_id

WEB = ("http://", "https://")


def is_web(location: str) -> bool:
    """Whether a location is an http or https address."""
    return location.lower().startswith(WEB)


def absolute_url(base: str, link: str) -> str:
    """A link as seen from ``base`` (RFC 3986, section 5); one that is no URL stays as it is."""
    try:
        return urljoin(base, link.strip())
    except ValueError:
        return link


def normal_url(url: str) -> str:
    """A URL without fragment and tracking parameters, host in lower case, query sorted.

    The rules are those of the courlan library; a URL it cannot parse stays as it is, but for
    halves of characters, which no text can be stored with.
    """
    url = url.encode("utf-8", "ignore").decode()
    try:
        return normalize_url(url, strict=False).partition("#")[0]
    except ValueError:
        return url


def address_id(url: str) -> str:
    """The id of an address: the article_id of an article whose canonical URL it is.

    The same for http and https, which sites serve the same pages under.
    """
    return stable_id("url", "https://" + normal_url(url).partition("://")[2])


def canonical_url(fetched: str | None, claimed: object) -> str | None:
    """The address that identifies an article: the one it claims, where that can be believed.

    A fetched page may name another address only on its own site, and not the front page,
    lest one page pass for another or for all.
    """
    claim = normal_url(claimed) if isinstance(claimed, str) and is_web(claimed) else None
    if fetched is None:
        return claim
    own = normal_url(fetched)
    if claim is None or site(claim) != site(own):
        return own
    is_front = claim.split("://", 1)[1].partition("/")[2].strip("/") == ""
    return own if is_front else claim


def site(url: str) -> str:
    """The registered domain of a URL, or its host and port where it has none."""
    return _domain(url.partition("://")[2].partition("/")[0])


@functools.lru_cache(maxsize=65_536)
def _domain(host: str) -> str:
    return extract_domain(f"https://{host}") or host.lower().removeprefix("www.")
