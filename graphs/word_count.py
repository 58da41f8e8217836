"""Word count by map and reduce: a DAG of plain Python functions, with the text made up in the file.

Each document is generated and its words are counted; the counts are added pairwise, as a tree, and the most
frequent words are picked from the sum. No array is involved: any functions make a graph.
"""

from collections import Counter
from random import Random

from dagexec import task

WORDS = ("graph", "node", "edge", "task", "plan", "worker", "queue", "value", "ready", "span", "path", "tree")


@task
def document(seed, words):
    """A text of so many words, the first of the list more often than the last."""
    frequency = range(len(WORDS), 0, -1)
    return " ".join(Random(seed).choices(WORDS, frequency, k=words))


@task
def count(text):
    """How often each word occurs."""
    return Counter(text.split())


@task
def merge(left, right):
    """Two counts as one."""
    return left + right


@task
def most_common(counts, top):
    """The most frequent words, those that occur equally often in the order of the alphabet."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:top]


def build(documents: int = 8, words: int = 2000, top: int = 3, seed: int = 0):
    """The `top` most frequent words of some documents of so many `words`."""
    if documents < 1:
        raise ValueError(f"documents={documents}: there is nothing to count")
    counts = [count(document(seed + number, words)) for number in range(documents)]
    while len(counts) > 1:
        pairs = [merge(left, right) for left, right in zip(counts[::2], counts[1::2])]
        counts = pairs + counts[len(pairs) * 2 :]
    return most_common(counts[0], top)
