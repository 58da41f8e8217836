"""First steps: one small function at a time, its graph and its gradients, made in two ways.

    dagexec draw graphs/first_steps.py -p what=multiply -o multiply.svg

A graph comes about in one of two ways. **Static**: the function is called once with arrays that have shapes
but no values, and each operation becomes a node; the graph is then run as often as one likes.
**Define-by-run**: the function computes with values at once, each result remembers what it was made from, and
the graph is read off the result afterwards; the picture then shows the values too. Both give the same
operations and the same gradients. They differ where the program looks at a value: `collatz` repeats until it
reaches 1, so the number of its nodes depends on its input. Only define-by-run can follow it; with
`-p how=static` it is refused, and the message names the line.

What to look at in the gradients, those of the result by each input:

- add: 1 and 1; minus: 1 and -1. A sum hands its gradient on to both of its inputs.
- multiply: each input's gradient is the other input.
- relu: 1 where the input is positive, 0 elsewhere: what is cut off learns nothing.
- dropout: 1 / keep where a number was kept, 0 where it was dropped. The dice are thrown by key: the same
  `seed` drops the same numbers, on every executor.
- max-pool: 1 for the largest number of each 2 × 2 window, 0 for the other three.
- collatz: the result is 1 whatever the start, and the gradient tells the way there: a factor 1/2 for each
  halving and 3 for each odd number. From 6 it is 3² / 2⁶.
"""

from inspect import signature
from typing import Literal

import numpy as np

from dagexec import random, trace, variable


def add(a, b):
    """The sum of two numbers."""
    return a + b


def minus(a, b):
    """The difference of two numbers."""
    return a - b


def multiply(a, b):
    """The product of two numbers."""
    return a * b


def relu(x):
    """What is negative becomes zero; summed, so that there is one number to differentiate."""
    return np.sum(np.where(x > 0, x, 0))


def dropout(x, key, keep=0.5):
    """Each number is kept with probability `keep`, and made larger to make up for the others; or it is 0."""
    kept = random.bernoulli(key, keep, x.shape)
    return np.sum(np.where(kept, x / keep, 0))


def max_pool(x):
    """The largest number of each 2 × 2 window of an image."""
    height, width = x.shape
    windows = x.reshape(height // 2, 2, width // 2, 2)
    return np.sum(np.max(windows, axis=(1, 3)))


def collatz(x):
    """Halve what is even, take 3 x + 1 of what is odd, until it is 1: the gradient counts the halvings."""
    while x != 1:
        x = x / 2 if x % 2 == 0 else 3 * x + 1
    return x


def build(
    what: Literal["add", "minus", "multiply", "relu", "dropout", "max-pool", "collatz"] = "add",
    how: Literal["static", "define-by-run"] = "static",
    seed: int = 0,
):
    """The graph of one function, with the gradients of all its numbers; `how` it is made."""
    dice = np.random.default_rng(seed)
    fn, args = {
        "add": (add, (2.0, 3.0)),
        "minus": (minus, (2.0, 3.0)),
        "multiply": (multiply, (2.0, 3.0)),
        "relu": (relu, (np.array([-2.0, -1.0, 0.5, 3.0]),)),
        "dropout": (dropout, (np.arange(1.0, 9.0), random.key(seed))),
        "max-pool": (max_pool, (dice.permutation(16).reshape(4, 4).astype(float),)),
        "collatz": (collatz, (6.0,)),
    }[what]
    variables = map(variable, args, signature(fn).parameters)  # with their names, for the pictures
    graph = trace(fn)(*args) if how == "static" else fn(*variables).graph
    numbers = [i for i, value in enumerate(args) if np.asarray(value).dtype.kind == "f"]
    return graph.backward(numbers), args
