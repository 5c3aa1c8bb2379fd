"""The grammar of direction ids: what is written can be read, and what cannot be read is refused."""

import random

import pytest

from config import ConfigError
from directions import LONGEST_ID, LONGEST_LAYERS, DirectionId, parse_layers, split_conditions

KNOWN = {
    "smile": DirectionId("smile"),
    "SeFa/SeFa 1": DirectionId("SeFa 1", "SeFa"),
    "SeFa@0-2,5/SeFa 1": DirectionId("SeFa 1", "SeFa", "0-2,5"),
    "A/smile | keep age, make-up": DirectionId("smile", "A", keep=("age", "make-up")),
    "smile | keep age": DirectionId("smile", keep=("age",)),
    "S@coarse/long/short hair": DirectionId("long/short hair", "S", "coarse"),
}


@pytest.mark.parametrize("text", KNOWN)
def test_known_ids(text):
    assert DirectionId.parse(text) == KNOWN[text]
    assert str(KNOWN[text]) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (" smile|keep age ,gender ", "smile | keep age, gender"),
        ("A@ 0 - 2 / smile", "A@0-2/smile"),
        ("A@/smile", "A/smile"),
        ("A/smile | KEEP age,,", "A/smile | keep age"),
    ],
)
def test_spaces_and_empty_parts_do_not_count(text, same):
    assert str(DirectionId.parse(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "/smile",
        "@0-2/smile",
        "A/",
        "A/ | keep age",
        "| keep age",
        "smile |",
        "smile | keep",
        "smile | with age",
        "smile | keep age | keep hat",
        "x" * (LONGEST_ID + 1),
        "A@" + "1," * LONGEST_LAYERS + "/smile",
        "9" * 5000,
    ],
)
def test_what_is_no_id_is_refused_in_words(text):
    with pytest.raises(ConfigError, match="direction"):
        DirectionId.parse(text)


ALPHABET = [
    "a",
    "B",
    "7",
    " ",
    "/",
    "@",
    "|",
    ",",
    "=",
    "-",
    " | keep ",
    "keep",
    "é",
    "\n",
    "\0",
    "\u2003",
    "<",
]


def word(draw: random.Random, longest: int = 6) -> str:
    return "".join(draw.choice(ALPHABET) for _ in range(draw.randrange(longest)))


@pytest.mark.parametrize("seed", range(10))
def test_what_can_be_made_can_be_written_and_read_again(seed):
    draw, made = random.Random(seed), 0
    for _ in range(2000):
        keep = tuple(word(draw, 4) for _ in range(draw.randrange(3)))
        try:
            each = DirectionId(word(draw), word(draw, 4), draw.choice(["", "0-2", word(draw, 3)]), keep)
        except ConfigError:
            continue
        made += 1
        assert DirectionId.parse(str(each)) == each
    assert made > 50


@pytest.mark.parametrize("seed", range(10))
def test_what_can_be_read_stays_the_same_when_it_is_written(seed):
    draw, read = random.Random(seed), 0
    for _ in range(2000):
        text = word(draw, 12)
        try:
            each = DirectionId.parse(text)
        except ConfigError as error:
            assert len(str(error)) < 400  # noqa: PT017
            continue
        read += 1
        assert DirectionId.parse(str(each)) == each
        assert str(DirectionId.parse(str(each))) == str(each)
        assert split_conditions(each.within) == (each.name, each.keep)
    assert read > 50


@pytest.mark.parametrize("text", ["0," * 500_000, "9" * 5000, "1" * (LONGEST_LAYERS + 1)])
def test_lists_of_layers_are_bounded(text):
    with pytest.raises(ConfigError, match="100 characters"):
        parse_layers(text, 18, 1024)
