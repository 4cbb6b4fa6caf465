"""The language of texts, and of passages inside articles of another one."""

import pytest

from transforms.identify import identify_language
from transforms.language import passage_language

UKRAINIAN = "Ми ніколи не визнаємо окупації нашої землі, сказав президент увечері в Києві."
RUSSIAN = "Мы никогда не согласимся на такие условия перемирия, заявил министр в Москве."
ENGLISH = "We will never recognise the occupation of our land, the president said in Kyiv."


@pytest.mark.parametrize(
    "text, lang, expected",
    [
        pytest.param(ENGLISH, "en", "en", id="plain"),
        pytest.param(UKRAINIAN, "en", "uk", id="ukrainian-in-english"),
        pytest.param(RUSSIAN, "uk", "ru", id="russian-in-ukrainian"),
        pytest.param(f"{ENGLISH} «{UKRAINIAN[:40]}»", "en", "en", id="a-quoted-half-sentence"),
        pytest.param("Łódź, Kraków, Zürich, Škofja Loka, Ålesund", "en", "en", id="latin-letters"),
        pytest.param("Bellerín; Özil, Kolašinac; Torreira", "en", "en", id="a-list-of-names"),
        pytest.param("Слава!", "en", "en", id="too-short-to-tell"),
        pytest.param("1 234 / 5 678 €", "en", "en", id="no-letters"),
        pytest.param(ENGLISH, None, None, id="unknown"),
    ],
)
def test_a_passage_is_identified_where_its_script_is_another(text, lang, expected):
    assert passage_language(text, lang) == expected


@pytest.mark.parametrize(
    "headline",
    [
        # To the library with all its languages these are Javanese and Nigerian Pidgin.
        "Biden, Sunak, Albanese agree Aukus sub deal in San Diego",
        "Macron, Scholz urge Putin to end siege of Mariupol",
        "US senators back new aid bill for Kyiv, Tel Aviv, Taipei",
        "Finland, Sweden in; Ankara, Budapest last to say yes",
    ],
)
def test_a_headline_full_of_names_is_english(headline):
    assert identify_language(headline) == "en"


def test_too_short_a_text_is_in_no_language():
    assert identify_language("Truce holds") is None
