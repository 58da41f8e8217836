"""Texts for the language graph files, made by a small grammar (nothing is downloaded), and words as numbers.

A subject and its verb agree in number and kind however much stands between them ("the lamp near the guards
breaks"), "if" waits for its "then", and many words are a noun here and a verb there ("the cook that ducks
watch waits"). So who looks at the last two words only, or at one word by itself, cannot know what a whole
sentence tells. All choices are equally likely, so it is known how surprising each sentence must be.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

PAD, UNKNOWN, START = "<pad>", "<unknown>", "<start>"  # the words 0, 1 and 2 of each vocabulary
BOTH = ["cook", "duck", "guard", "nurse"]  # nouns and verbs
NOUNS = {"person": [*BOTH, "girl"], "thing": ["light", "play", "watch", "star"]}
VERBS = {"person": ["sleep", "laugh", "wait"], "thing": ["break", "fall", "shine"]}
ACTIONS = [*BOTH, "watch", "play", "like"]  # what a person does to someone or something
ADJECTIVES = ["old", "small", "light"]
PREPOSITIONS = ["near", "behind"]


class Sentence(NamedTuple):
    """Words, the part of speech of each, and the surprise: minus the log-probability in the grammar."""

    words: list
    tags: list
    surprise: float


def grammatical(count, seed=0):
    """`count` sentences of the grammar."""
    random = np.random.default_rng(seed)
    return [_Writer(random).write() for _ in range(count)]


def _with_s(word):
    return word + ("es" if word.endswith("ch") else "s")


class _Writer:
    """Writes one sentence. Each rule of the grammar is a method that returns (word, tag) pairs."""

    def __init__(self, random):
        self.random, self.surprise = random, 0.0

    def choose(self, options):
        self.surprise += np.log(len(options))
        return options[self.random.integers(len(options))]

    def write(self):
        form = self.choose(["plain", "plain", "plain", "if", "either"])
        self.surprise -= np.log(3) * (form == "plain")
        pairs = self.clause()
        if form == "if":
            pairs = [("if", "CONJ"), *pairs, ("then", "CONJ"), *self.clause()]
        if form == "either":
            pairs = [("either", "CONJ"), *pairs, ("or", "CONJ"), *self.clause()]
        words, tags = zip(*pairs, (".", "STOP"))
        return Sentence(list(words), list(tags), self.surprise)

    def clause(self):
        kind, plural = self.choose(["person", "thing"]), self.choose([False, True])
        return self.subject(kind, plural) + self.predicate(kind, plural)

    def subject(self, kind, plural):
        """A noun phrase with what may stand between it and its verb."""
        more = self.choose(["", "preposition", "that"])
        phrase = self.noun_phrase(kind, plural)
        if more == "preposition":
            phrase += [(self.choose(PREPOSITIONS), "PREP"), *self.any_phrase()]
        if more == "that" and kind == "person" and self.choose([False, True]):
            phrase += [("that", "THAT"), self.verb(ACTIONS, plural)]  # the cook that ducks
        elif more == "that":
            other = self.choose([False, True])  # the cook that ducks watch
            phrase += [("that", "THAT"), *self.noun_phrase("person", other), self.verb(ACTIONS, other)]
        return phrase

    def predicate(self, kind, plural):
        if kind == "person" and self.choose([False, True]):
            return [self.verb(ACTIONS, plural), *self.any_phrase()]
        return [self.verb(VERBS[kind], plural)]

    def any_phrase(self):
        return self.noun_phrase(self.choose(["person", "thing"]), self.choose([False, True]))

    def noun_phrase(self, kind, plural):
        determiner = self.choose(["the", "these", ""] if plural else ["the", "this", "a"])
        adjective = [(self.choose(ADJECTIVES), "ADJ")] if self.choose([False, False, True]) else []
        self.surprise -= np.log(2) * (not adjective)
        noun = self.choose(NOUNS[kind])
        pairs = [(determiner, "DET"), *adjective, (_with_s(noun) if plural else noun, "NOUN")]
        return pairs if determiner else pairs[1:]

    def verb(self, stems, plural):
        stem = self.choose(stems)
        return stem if plural else _with_s(stem), "VERB"


# --- words as numbers -----------------------------------------------------------------------------------
def vocabulary(texts, most=None):
    """The words of some texts, the most frequent first, after those that stand for none."""
    counts = Counter(word for text in texts for word in text)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return [PAD, UNKNOWN, START, *ranked[: None if most is None else max(0, most - 3)]]


def numbered(texts, words, length=None):
    """(texts, longest) numbers of words, from the left, cut off after `length`; 0 where a text has ended."""
    number = {word: place for place, word in enumerate(words)}
    length = length or max(map(len, texts))
    table = np.zeros((len(texts), length), int)
    for row, text in zip(table, texts):
        row[: len(text)] = [number.get(word, 1) for word in text[:length]]
    return table
