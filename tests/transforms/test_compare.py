import pytest

from transforms.compare import is_same_text, resembles

LEAD = "Negotiators said after 3 days of talks that both armies would stop the fighting."
MORE = "Bakers and drivers in the town went back to work on the very same morning."
OLD = f"{LEAD}\nPhoto: A. Quill\n{MORE}"


@pytest.mark.parametrize(
    "new",
    [
        f"{MORE}\n{LEAD}",
        f"{LEAD}\n\n  {MORE} \nRead more",
        f"{LEAD}\n{MORE}\n12,345 people read this",
        f"{LEAD}\n{MORE}\nLast updated on Sunday 22 November 2026 at 14:05 GMT",
        f"{LEAD.replace(' ', chr(160))}\n{MORE}",
        f"{LEAD} Photo: A. Quill {MORE}",
        f"{LEAD}\n{MORE}\n{LEAD}",
    ],
)
def test_boilerplate_is_no_change(new):
    assert is_same_text(OLD, new)


@pytest.mark.parametrize(
    "new",
    [
        OLD.replace("3 days", "4 days"),
        OLD.replace("would stop", "would not stop"),
        LEAD,
        f"{OLD}\nA spokesman said later that nothing at all had been agreed in the end.",
        "",
    ],
)
def test_a_changed_word_or_number_in_a_sentence_is_one(new):
    assert not is_same_text(OLD, new)
    assert not is_same_text(new, OLD)


def test_typography_is_no_change():
    old = 'He said: "It isn\'t over" - and left the hall before the others did.'
    new = (
        "He said: \u201cIt isn\u2019t over\u201d\u2014and left\u00a0the hall before the others did."
    )
    assert is_same_text(old, new)


def test_a_text_without_prose_is_compared_whole():
    assert not is_same_text("Truce agreed", "Truce broken")
    assert is_same_text("Truce agreed", "Truce  agreed")


def test_sentences_in_scripts_without_spaces_are_prose():
    old = "双方谈判代表周五表示停火将于午夜生效。\n更多"
    assert not is_same_text(old, old.replace("周五", "周六"))
    assert is_same_text(old, old.replace("更多", "分享"))


def test_a_text_resembles_another_state_of_itself_only():
    assert resembles(OLD, OLD.replace("3 days", "4 days"))
    assert resembles(OLD, LEAD)
    assert not resembles(OLD, MORE.replace("town", "city"))
