"""Pages that stand in an article's place, and articles that look like them."""

import pytest

from transforms.deadletter import Unusable
from transforms.extract import extract_article
from transforms.walls import find_wall

URL = "https://news.river.org/ferry"
# Paragraphs of which no two are the same, since the extractor keeps one of such.
STORY = [
    f"In year {n} the towns agreed to run the ferry again from the {n}th day of spring, to share "
    f"its cost in {n} parts, and to paint the boat in {n} colours that nobody there disliked."
    for n in range(2, 14)
]
TEASER = "The towns agreed to run the ferry again. The councils will meet on Monday to sign it."
CONSENT = (
    "Before you continue to River News. We and our 842 partners store and/or access information "
    "on a device, such as cookies, and process personal data. Accept all. Reject all. "
    "Manage your preferences at any time in the privacy settings."
)
COOKIES = (
    "The regulator said on Tuesday that a newspaper had used cookies before its readers could "
    "consent. It fined the company two million, and told others to make refusing as easy as "
    "agreeing. Privacy groups said that partners of the paper had received the data. "
)


def html(*paragraphs, title="Ferry talks end", headline=None, head=""):
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    headline = f"<h1>{headline}</h1>" if headline else ""
    return (
        f"<html><head><title>{title}</title>{head}</head>"
        f"<body><article>{headline}{body}</article></body></html>"
    ).encode()


def not_free(value="false", kind="NewsArticle"):
    return (
        '<script type="application/ld+json">{"@context": "https://schema.org", '
        f'"@type": "{kind}", "isAccessibleForFree": {value}}}</script>'
    )


@pytest.mark.parametrize(
    ("body", "error_type", "retryable"),
    [
        pytest.param(html(CONSENT), "ConsentWall", False, id="consent"),
        pytest.param(
            html(
                "Wir und unsere 230 Partner verwenden Cookies und ähnliche Techniken, um Angebote "
                "zu messen. Alle akzeptieren. Datenschutz-Einstellungen."
            ),
            "ConsentWall",
            False,
            id="consent-de",
        ),
        pytest.param(html(TEASER, head=not_free()), "Paywall", False, id="paywall"),
        pytest.param(html(TEASER, head=not_free('"False"')), "Paywall", False, id="paywall-text"),
        pytest.param(html(head=not_free()), "Paywall", False, id="paywall-without-a-teaser"),
        pytest.param(
            html(TEASER, head='<meta property="article:content_tier" content="locked">'),
            "Paywall",
            False,
            id="locked",
        ),
        pytest.param(
            html("You do not have permission to view this.", title="Access Denied"),
            "ErrorPage",
            True,
            id="denied",
        ),
        pytest.param(
            html("Enable JavaScript and cookies to continue.", title="Just a moment..."),
            "ErrorPage",
            True,
            id="challenge",
        ),
        pytest.param(html(title="503 Service Unavailable"), "ErrorPage", True, id="503"),
        pytest.param(
            html("Try our front page.", title="Page not found | River News"),
            "ErrorPage",
            False,
            id="404-with-site",
        ),
        pytest.param(
            html("It may have moved.", title="River News", headline="404 - Page Not Found"),
            "ErrorPage",
            False,
            id="404-in-headline",
        ),
        pytest.param(
            html("Можливо, її видалено.", title="Сторінку не знайдено | Річка"),
            "ErrorPage",
            False,
            id="404-uk",
        ),
    ],
)
def test_a_wall_is_a_dead_letter_and_not_an_article(page, body, error_type, retryable):
    with pytest.raises(Unusable) as caught:
        extract_article(page(body, URL))
    assert (caught.value.error_type, caught.value.retryable) == (error_type, retryable)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(html(COOKIES), id="a-short-article-on-cookies"),
        pytest.param(html(CONSENT, *STORY), id="a-long-article-with-a-banner"),
        pytest.param(html(*STORY, title="Access denied"), id="a-long-access-denied"),
        pytest.param(
            html(TEASER * 3, title="Access denied to the ferry, captain says"), id="in-a-headline"
        ),
        pytest.param(html(TEASER, title="404 days without a ferry"), id="a-number"),
        pytest.param(html(*STORY[:4], head=not_free()), id="a-whole-article-not-free"),
        pytest.param(html(TEASER, head=not_free("true")), id="free"),
        pytest.param(html(TEASER, head=not_free(kind="WebPage")), id="the-site-is-not-free"),
        pytest.param(html(TEASER), id="short"),
    ],
)
def test_an_article_is_no_wall(page, body):
    assert extract_article(page(body, URL)).text


def test_a_page_of_a_consent_host_is_a_wall():
    wall = find_wall("Some words.", [], None, "https://consent.river.org/form?to=x")
    assert wall is not None and wall.error_type == "ConsentWall"
