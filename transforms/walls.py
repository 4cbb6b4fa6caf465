"""Pages that stand in an article's place: consent walls, paywalls and error pages.

Precision comes first: what is taken for a wall is lost, what is not stays to be seen. So a
long text is never a wall, and a short one only by a title that is nothing but an error's, by
what the page itself says of its price, or by the words consent managers use of themselves.
"""

import re

from transforms.content import Refusal

# A page with more text than this, in characters, is an article whatever else it holds.
LONGEST_ERROR = 1500
LONGEST_TEASER = 500
LONGEST_CONSENT = 3000
# How many of the phrases below a text of consent has at least.
CONSENT_PHRASES = 2


def one_of(lines: str) -> re.Pattern[str]:
    """A pattern of alternatives, one a line, in any case."""
    return re.compile("|".join(filter(None, map(str.strip, lines.splitlines()))), re.IGNORECASE)


# Parts of a title: "Access denied | The Daily Planet".
TITLE_PARTS = re.compile(r"\s+[|\u2013\u2014·:»-]\s+|\s*\|\s*")
PUNCTUATION = re.compile(r"[\s.!…?,]+$")
# Titles of pages that refuse for now: what asks whether we are a robot, or is overloaded.
REFUSING = one_of(r"""
    access (to this (page|site|website) (has been|was|is) )?denied
    just a moment
    (one moment,? please|please wait)
    attention required
    checking your browser.*
    ddos-guard
    are you (a )?(robot|human)
    (robot|security|bot) (check|verification)
    human verification
    verif(y|ying) (that )?you are (a )?human
    pardon our interruption
    you have been blocked
    request (blocked|rejected)
    (http )?(error )?(401|403|429|500|502|503|504)( error)?
    (http )?(error )?(401|403|429|50[0-4])[ :-]+(unauthorized|forbidden|too many requests)
    (http )?(error )?(401|403|429|50[0-4])[ :-]+(internal server error|bad gateway)
    (http )?(error )?(401|403|429|50[0-4])[ :-]+(service )?(temporarily )?unavailable
    (http )?(error )?(401|403|429|50[0-4])[ :-]+gateway time-?out
    forbidden
    too many requests
    internal server error
    bad gateway
    gateway time-?out
    (service )?(temporarily )?unavailable
    (site )?(under|down for) maintenance
    (error: )?the request could not be satisfied
    доступ (ограничен|запрещ[её]н|заборонено|обмежено)
    zugriff verweigert
    accès refusé
    acceso denegado
    accesso negato
""")
# Titles of pages that are not there.
MISSING = one_of(r"""
    (http )?(error )?(404|410)( error)?([ :,-]+.{0,30}not found|[ :,-]+gone)?
    (the )?(page|article|story|content|file) (you requested )?(was |could )?not (be )?found
    not found
    (oops[,!]? )?(this|the|that) page (could not|can.?t|cannot) be found
    (this|the) page (does not|doesn.t) exist
    (this )?page (is )?(no longer )?unavailable
    (this )?page no longer exists
    page (has been )?(removed|deleted)
    (die )?seite (wurde )?nicht gefunden
    page (introuvable|non trouvée)
    página no encontrada
    página não encontrada
    pagina non trovata
    pagina niet gevonden
    nie znaleziono strony
    strona nie została znaleziona
    страница не найдена
    стор[іи]нку не знайдено
    такої сторінки не існує
""")
# What consent managers say of themselves, and articles about them do not.
CONSENT = one_of(r"""
    (we|us) (and|&) (our|its|selected) ([\d,]+ |trusted |advertising )*(partners|vendors)
    our ([\d,]+ |trusted )*partners (store|process|use|may)
    (we|this (web)?site|our (web)?site) uses? (essential |necessary |first.party )*cookies
    uses? cookies and (other |similar )*(tracking )?technologies
    store and/or access information on (a|your) device
    (accept|reject|allow|decline|deny) (all|and (continue|close))( cookies)?
    (manage|change|customi[sz]e|withdraw) (your |my )*(consent|choices|preferences|settings)
    (manage|cookie|privacy|consent) (preferences|settings|options|choices)
    by (clicking|continuing|using).{0,60}(you )?(agree|consent|accept)
    before you continue( to)?
    your privacy choices
    we (value|care about|respect) your privacy
    personali[sz]ed (ads|advertising|content)( and content)?,? (ad |content )*measurement
    wir und unsere ([\d.]+ )?partner
    wir (verwenden|nutzen) cookies
    alle (cookies )?akzeptieren
    zustimmen und weiter
    datenschutz-?einstellungen
    ihre (einwilligung|zustimmung)
    nous et nos ([\d ]+ )?partenaires
    nous utilisons des cookies
    tout (accepter|refuser)
    (gérer|paramétrer) (mes|vos|les) (choix|préférences|cookies)
    continuer sans accepter
    nosotros y nuestros ([\d.]+ )?socios
    utilizamos cookies
    aceptar (todo|todas|y continuar)
    noi e i nostri ([\d.]+ )?partner
    utilizziamo i cookie
    accetta (tutto|tutti|e continua)
    my i nasi ([\d ]+ )?(zaufani )?partnerzy
    używamy plików cookie
    zaakceptuj wszystk
    wij en onze ([\d.]+ )?partners
    alle(s| cookies) accepteren
    ми та наші партнери
    ми використовуємо (файли )?(cookie|кукі)
    прийняти вс.
    мы и наши партн[её]ры
    мы используем (файлы )?(cookie|куки)
    принять все
""")
# One of these stands in nearly every text of consent, and in few articles.
CONSENT_WORDS = re.compile(
    r"[Cc]ookie|COOKIE|[Cc]onsent|[Pp]rivacy|[Pp]artne|[Kk]ukie|кук[иі]|согласи|згод|Daten"
)
# Hosts that serve nothing but consent forms.
CONSENT_HOST = re.compile(r"https?://((consent|guce)\.[^/]+|[^/]*\.privacymanager\.io)/")


def find_wall(
    text: str, titles: list[str], is_free: bool | None, url: str | None
) -> Refusal | None:
    """Why this page is no article although it was served as one; None where it is one.

    ``titles`` are the page's title and headline, ``is_free`` is what the page says of its
    price. Which are worth another try: a page that refused for now.
    """
    if len(text) <= LONGEST_ERROR:
        for part in (part for title in titles for part in title_parts(title)):
            if REFUSING.fullmatch(part):
                return Refusal("ErrorPage", f"the page refuses: {part}", retryable=True)
            if MISSING.fullmatch(part):
                return Refusal("ErrorPage", f"the page is missing: {part}")
    if is_consent(text) or (url and CONSENT_HOST.match(url)):
        return Refusal("ConsentWall", "the page asks for consent and holds no article")
    if is_free is False and len(text) <= LONGEST_TEASER:
        return Refusal("Paywall", f"{len(text)} characters of an article that is not free")
    return None


def title_parts(title: str) -> list[str]:
    """A title, and each of its parts where it names its site as well."""
    title = title.strip()
    return [PUNCTUATION.sub("", part) for part in (title, *TITLE_PARTS.split(title)) if part]


def is_consent(text: str) -> bool:
    """Whether a text is the form of a consent manager: short, and most of it in paragraphs
    that hold its phrases. An article with a banner in front of it is none."""
    if len(text) > LONGEST_CONSENT or not CONSENT_WORDS.search(text):
        return False  # The phrases take ten times as long to look for.
    phrases: set[str] = set()
    covered = 0
    for paragraph in text.splitlines():
        found = {match[0].lower() for match in CONSENT.finditer(paragraph)}
        phrases |= found
        covered += len(paragraph) if found else 0
    return len(phrases) >= CONSENT_PHRASES and covered > len(text) / 2
