"""Dates in six ways of writing, and in one form: what `translation.py` learns from. No graph, only data.

Days 1 to 28 of each month, years 1900 to 2099: 67,200 dates, of which a few thousand are drawn at random.
"""

import numpy as np

MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september"]
MONTHS += ["october", "november", "december"]
PAD = "_"  # stands after the end of a text; letter 0
LETTERS = PAD + "".join(sorted(set("".join(MONTHS)) | set("0123456789 ,./thnds")))
SYMBOLS = "0123456789-^"  # of the one form; ^ stands before its first letter
LENGTH = 20


def written(day, month, year, way):
    """A date in one of six ways."""
    name = MONTHS[month - 1]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(day % 10 if day // 10 != 1 else 0, "th")
    return [
        f"{name} {day}{ending}, {year}",
        f"{day} {name} {year}",
        f"{day} {name[:3]} {year}",
        f"{name[:3]} {day}, {year}",
        f"{day}.{month}.{year}",
        f"{year}/{month:02}/{day:02}",
    ][way]


def numbered(texts):
    """Each text as the numbers of its letters, a row of `LENGTH`."""
    return np.array([[LETTERS.index(letter) for letter in text.ljust(LENGTH, PAD)] for text in texts])


def dates(count, seed):
    """Random dates: in any of the ways (count, LENGTH), and in the one form, after a ^ (count, 11)."""
    chance = np.random.default_rng(seed)
    texts, answers = [], []
    for _ in range(count):
        day, month, year = chance.integers(1, 29), chance.integers(1, 13), chance.integers(1900, 2100)
        texts.append(written(day, month, year, chance.integers(6)))
        answers.append([SYMBOLS.index(letter) for letter in f"^{year}-{month:02}-{day:02}"])
    return numbered(texts), np.array(answers)
