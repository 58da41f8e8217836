"""Random recurrent programs: layers, steps, ways to write a step and to take one from a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dagexec.pytrees import flatten

TAKING = {
    "x[t]": lambda x, t: x[t],
    "x[t:t+1]": lambda x, t: x[t : t + 1].reshape(x.shape[1:]),
    "backwards": lambda x, t: x[x.shape[0] - 1 - t],
    "x[:, t]": lambda x, t: np.swapaxes(x, 0, 1)[:, t],
    "computed": lambda x, t: np.sin(x[t]),
    "every other": lambda x, t: x[t // 2],
}


@dataclass(frozen=True)
class Recurrent:
    """A loss over a recurrent network, as a function of its parameters and inputs."""

    steps: int
    batch: int | None  # None: vectors, not matrices of rows
    sizes: tuple[int, ...]  # of the inputs, then of each layer
    gates: bool
    columns: bool  # W @ x in the place of x @ W, for vectors
    taking: str
    every_step: bool  # does each step have a part in the loss?

    def arguments(self) -> tuple[Any, np.ndarray]:
        random = np.random.default_rng(0)
        params = []
        for features, hidden in zip(self.sizes, self.sizes[1:]):
            wide = 3 * hidden if self.gates else hidden
            w, u = random.normal(size=(features, wide)), random.normal(size=(hidden, wide))
            params.append((w.T, u.T, random.normal(size=wide)) if self.columns else (w, u, np.ones(wide)))
        rows = () if self.batch is None else (self.batch,)
        return params, random.normal(size=(self.steps, *rows, self.sizes[0]))

    def loss(self, params: Any, x: Any) -> Any:
        values = [TAKING[self.taking](x, t) for t in range(self.steps)]
        for w, u, b in params:
            values = self._layer(values, w, u, b)
        seen = values if self.every_step else values[-1:]
        return sum(np.sum(value**2) for value in seen) if len(seen) > 1 else np.sum(seen[0] ** 2)

    def _layer(self, values: Any, w: Any, u: Any, b: Any) -> list[Any]:
        hidden = u.shape[1] if self.columns else u.shape[0]
        state = np.zeros(hidden if self.batch is None else (self.batch, hidden))
        states = []
        for value in values:
            pre = w @ value + u @ state + b if self.columns else value @ w + state @ u + b
            if self.gates:
                keep, new, show = (pre[..., n * hidden : (n + 1) * hidden] for n in range(3))
                state = np.tanh(show) * (np.tanh(keep) * state + np.tanh(new))
            else:
                state = np.tanh(pre)
            states.append(state)
        return states


@st.composite
def recurrent(draw: Any) -> Recurrent:
    """Networks of one or two layers over a few steps."""
    batch = draw(st.sampled_from([None, 1, 2, 3]))
    return Recurrent(
        steps=draw(st.integers(1, 5)),
        batch=batch,
        sizes=tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))),
        gates=draw(st.booleans()),
        columns=batch is None and draw(st.booleans()),
        taking=draw(st.sampled_from([*TAKING] if batch else [name for name in TAKING if name != "x[:, t]"])),
        every_step=draw(st.booleans()),
    )


def close(found: Any, wanted: Any) -> None:
    """Equal to rounding, leaf by leaf, and of the same shapes and dtypes."""
    for one, other in zip(flatten(found)[0], flatten(wanted)[0], strict=True):
        assert np.shape(one) == np.shape(other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def count(graph: Any, op: str) -> int:
    """How many nodes of this op there are."""
    return sum(node.op.name == op for node in graph.nodes)
