"""A population of small networks that learns XOR without a gradient, by a genetic algorithm.

A network's weights are its genes. In each generation every network is measured; then the next one is born.
**Selection**: two parents for each child, each the best of a few chosen at random (a tournament).
**Crossover**: each gene comes from one parent or the other. **Mutation**: some genes change by chance. The
few best go on as they are (the elite), so that the best is never lost.

    dagexec train graphs/genetic.py --plot genetic.png
    dagexec draw graphs/genetic.py -p population=4 -p elite=1 -o generation.svg --level high

A generation is one graph: as wide as the population where the networks are measured, narrow where they are
ranked, wide again where children are made. So the scheduler can use as many workers as there are networks.
With four points a network takes microseconds, too little to be worth a second worker; with 20,000 points
around the four there is work for all: `dagexec bench graphs/genetic.py -p copies=5000 -p noise=0.2`.
"""

import numpy as np

from dagexec import block, random, scope
from dagexec.training import Training


def network(genes, points):
    """The outputs of a network with one hidden layer of tanh, positive for "true"."""
    hidden = (genes.shape[0] - 1) // 4
    weights, biases, readout, bias = np.split(genes, [2 * hidden, 3 * hidden, 4 * hidden])
    return np.tanh(points @ weights.reshape(2, hidden) + biases) @ readout + bias


@block
def measure(genes, points, truth):
    """How wrong a network is: the binary cross-entropy of its outputs, averaged over the points."""
    outputs = network(genes, points)
    return np.mean(np.logaddexp(0, outputs) - truth * outputs)


@block
def child(key, ranked, tournament, mutation):
    """The genes of a child of two parents, chosen from a population with the best first."""
    chosen, taken, changed, change = random.split(key, 4)
    candidates = random.uniform(chosen, (2, tournament), maxval=ranked.shape[0])
    best = np.min(candidates, axis=1).astype(int)  # the lower the rank, the better the network
    mother, father = ranked[best]
    genes = np.where(random.bernoulli(taken, 0.5, mother.shape), mother, father)
    mutated = random.bernoulli(changed, 0.2, genes.shape)
    return genes + mutation * mutated * random.normal(change, genes.shape)


def accuracy(state, points, truth):
    """The part of the points on which the best network is right."""
    return np.mean((network(state["genes"][0], points) > 0) == (truth > 0.5))


def build(
    population: int = 50,
    hidden: int = 4,
    elite: int = 2,
    tournament: int = 3,
    mutation: float = 0.5,
    copies: int = 1,
    noise: float = 0.0,
    epochs: int = 50,
    seed: int = 0,
):
    """`epochs` generations on XOR's four corners, each `copies` times and moved by `noise`."""
    if not 0 < elite < population:
        raise ValueError(f"elite={elite} must be at least 1 and less than population={population}")
    start, key = random.split(random.key(seed))
    corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    points = np.tile(corners, (copies, 1))
    points = points + noise * np.random.default_rng(seed).standard_normal(points.shape)
    truth = np.tile([0.0, 1.0, 1.0, 0.0], copies)

    def generation(state, points, truth):
        losses = np.stack([measure(genes, points, truth) for genes in state["genes"]])
        with scope("rank"):
            ranked = state["genes"][np.argsort(losses)]
        key, *keys = random.split(state["key"], population - elite + 1)
        children = [child(key, ranked, tournament, mutation) for key in keys]
        genes = np.concatenate([ranked[:elite], np.stack(children)])
        return np.min(losses), {"genes": genes, "key": key}

    genes = random.normal(start, (population, 4 * hidden + 1))
    return Training(
        generation, {"genes": genes, "key": key}, (points, truth), {"accuracy": accuracy}, epochs=epochs
    )
