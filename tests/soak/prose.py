"""Invented news for the soak: every sentence is unlike any other, so that a text tells which
article and which revision it is."""

import random

TOWNS = (
    *("Alderhaven", "Brackmoor", "Corvenne", "Dunmarrow", "Eastwhistle", "Fennick", "Garrowby"),
    *("Hollenberg", "Ister Bay", "Juniper Cross", "Kestrel Point", "Lowmere", "Marrowgate"),
)
PEOPLE = (
    *("the mayor", "a bus driver", "the harbour master", "an envoy", "the head of the clinic"),
    *("a baker", "a spokeswoman for the ministry", "the stationmaster", "a retired teacher"),
)
THINGS = (
    *("the bridge over the canal", "the winter market", "a shipment of grain", "the old mill"),
    *("the ferry timetable", "the water works", "a column of lorries", "the night shift"),
)
PLANS = (
    *("would be mended before the first frost", "had been counted twice and found complete"),
    *("should stay as it is until the council meets", "was later than anybody remembered"),
    *("would cost half of what had been feared", "had become the talk of the whole valley"),
)
NEWS = (
    "Both delegations in {town} agreed that the ceasefire along the river would hold until {day}",
    "Ministers put {number} banks and shipping firms from {town} on the list of sanctions on {day}",
    "Troops gave up {number} villages east of {town} on {day} and moved the front line westward",
    "Allies of NATO said on {day} that {number} engineers would help to guard the port of {town}",
    "Talks about {thing} in {town} ended on {day} without a paper that anybody wanted to sign",
)
PLAIN = (
    "{who} in {town} told {number} listeners on {day} that {thing} {plan}",
    "On {day} {who} walked from {town} with {number} signatures and said that {thing} {plan}",
    "For {number} days people in {town} had asked about {thing}, and on {day} {who} answered them",
    "{number} households in {town} were told on {day} by {who} that {thing} {plan}",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SENTENCES_A_PARAGRAPH = 4


def sentence(chance: random.Random, mark: str) -> str:
    """A sentence with ``mark`` in it, which no other sentence has."""
    form = chance.choice(NEWS if chance.random() < 0.15 else PLAIN)
    said = form.format(
        who=chance.choice(PEOPLE),
        town=chance.choice(TOWNS),
        thing=chance.choice(THINGS),
        plan=chance.choice(PLANS),
        day=chance.choice(DAYS),
        number=chance.randint(2, 900),
    )
    return f"{said[0].upper()}{said[1:]}, says notice {mark}."


def paragraph(seed: int, serial: int, revision: int, number: int) -> str:
    """A paragraph of an article; the same for the same numbers."""
    name = f"{serial}r{revision}p{number}"
    chance = random.Random(f"{seed} {name}")
    marks = (f"N{name}s{place}" for place in range(SENTENCES_A_PARAGRAPH))
    return " ".join(sentence(chance, mark) for mark in marks)


def first_text(seed: int, serial: int) -> tuple[str, ...]:
    """The paragraphs of an article as it is first published: some 250 to 500 words."""
    length = random.Random(f"{seed} length {serial}").randint(4, 7)
    return tuple(paragraph(seed, serial, 1, number) for number in range(length))


def revised(seed: int, serial: int, revision: int, before: tuple[str, ...]) -> tuple[str, ...]:
    """The paragraphs of the next revision: a new one, in place of one, two or none.

    Never those of an earlier revision, which the lake would have already.
    """
    chance = random.Random(f"{seed} revise {serial} {revision}")
    fresh = paragraph(seed, serial, revision, 0)
    replaced = chance.choice((0, 1, 2)) if len(before) > 4 else 0
    place = chance.randrange(len(before) - replaced)
    return (*before[:place], fresh, *before[place + replaced :])


def title(serial: int) -> str:
    """The headline of an article."""
    return f"Notice {serial} from {TOWNS[serial % len(TOWNS)]}"
