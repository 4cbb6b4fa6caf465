"""Addresses: their normal form and the id made from it."""

from urllib.parse import urljoin

from courlan import normalize_url

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

    The rules are those of the courlan library; a URL it cannot parse stays as it is.
    """
    try:
        return normalize_url(url, strict=False).partition("#")[0]
    except ValueError:
        return url


def address_id(url: str) -> str:
    """The id of an address: the article_id of an article whose canonical URL it is.

    The same for http and https, which sites serve the same pages under.
    """
    return stable_id("url", "https://" + normal_url(url).partition("://")[2])
