"""Language models that count: how often each word follows one or two others, or occurs at all.

Rarer contexts lean on what shorter ones say: to the counts after each context 16 are added, spread as the
shorter model would (MacKay and Peto 1995). Sentences are rows of numbers, in which 0 is padding.
"""

import numpy as np

from dagexec import xp


def contexts(sentences):
    """For each word after the first, what the models know: nothing, the word before, the two before."""
    before = sentences[:, :-1]
    earlier = np.concatenate([before[:, :1], before[:, :-1]], axis=1)
    return [(), (before,), (earlier, before)]


def counted(sentences, words, order):
    """How often each word occurs after each context of 0, 1, ... order − 1 words."""
    nexts = sentences[:, 1:]
    tables = []
    for context in contexts(sentences)[:order]:
        table = xp.zeros((words,) * len(context) + (words,), dtype="float32")
        np.add.at(table, (*context, nexts), nexts != 0)
        tables.append(table)
    return tables


def surprise_by_counts(tables, sentences):
    """Minus the mean log-probability of the words, each model leaning on the shorter one."""
    nexts = sentences[:, 1:]
    probability = 1 / (tables[0].shape[0] - 2)  # neither padding nor the start comes next
    for table, context in zip(tables, contexts(sentences)):
        total = np.sum(table, axis=-1)[context]
        probability = (table[(*context, nexts)] + 16 * probability) / (total + 16)
    return -np.sum(np.where(nexts != 0, np.log(probability), 0)) / np.sum(nexts != 0)
