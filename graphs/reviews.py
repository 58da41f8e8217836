"""Reviews for text_classification.py, made up here: "the food was not really bad and the staff was friendly".

Each has one to three remarks, all good or all bad, and "not" turns a remark around: a third of the good ones
say that something is not bad.
"""

import numpy as np

THINGS = ["food", "staff", "music", "room", "wine", "view"]
GOOD = ["good", "fresh", "friendly", "lovely", "quick", "warm"]
BAD = ["bad", "stale", "rude", "ugly", "slow", "cold"]


def review(random):
    """The words of a review of one to three remarks, and whether it is a good one."""
    good = bool(random.integers(2))
    words = []
    for _ in range(random.integers(1, 4)):
        turned = random.random() < 0.35
        words += [random.choice(["and", "but"])] if words else []
        words += ["the", random.choice(THINGS), "was"]
        words += ["not"] if turned else []
        words += [random.choice(["very", "really"])] if random.random() < 0.3 else []
        words += [random.choice(GOOD if good != turned else BAD)]
    return list(map(str, words)), good


def reviews(count, seed=0):
    """The words of `count` reviews, and 1 for each good one."""
    random = np.random.default_rng(seed)
    texts, labels = zip(*[review(random) for _ in range(count)])
    return list(texts), np.array(labels, int)
