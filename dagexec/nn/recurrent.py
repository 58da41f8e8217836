"""Recurrent layers: a cell reads a sequence step by step and hands its state on.

A cell is a function `(params, x, state) -> state` of one step. `unroll` calls it once for each step of
(batch, time, features), so that each step is a box of the graph: the states are a chain, and what hangs off
it (backward, each step's part of the weights' gradients) can run beside it. `bidirectional` reads both ways,
which are two chains that run side by side.

Gates are in PyTorch's order, side by side on the last axis: the parameters of a cell are the weights
"inputs" (features, gates × hidden) and "state" (hidden, gates × hidden), and "bias" (gates × hidden).

>>> import numpy as np
>>> from dagexec import random
>>> params = init_lstm(random.key(0), features=3, hidden=8)
>>> outputs, (hidden, memory) = unroll(lstm_cell, params, np.ones((2, 5, 3), "float32"))
>>> outputs.shape, hidden.shape
((2, 5, 8), (2, 8))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import optree

from dagexec import random, xp
from dagexec.array import naming_the_line, shape_of
from dagexec.nn.activations import sigmoid
from dagexec.nn.initialisers import Initialiser, orthogonal, xavier_uniform
from dagexec.nn.masks import columns
from dagexec.tracing import block, scope


# --- parameters -----------------------------------------------------------------------------------------
def init_rnn(
    key: Any,
    features: int,
    hidden: int,
    *,
    inputs: Initialiser = xavier_uniform,
    state: Initialiser = orthogonal,
    dtype: Any = "float32",
) -> dict[str, Any]:
    """Parameters of `rnn_cell`: "inputs" and "state" from the initialisers so named, and a bias of zeros.

    >>> {name: p.shape for name, p in init_rnn(random.key(0), 3, 8).items()}
    {'inputs': (3, 8), 'state': (8, 8), 'bias': (8,)}
    """
    return _init(key, features, hidden, 1, inputs, state, dtype)


def init_lstm(
    key: Any,
    features: int,
    hidden: int,
    *,
    inputs: Initialiser = xavier_uniform,
    state: Initialiser = orthogonal,
    forget: float = 1.0,
    dtype: Any = "float32",
) -> dict[str, Any]:
    """Parameters of `lstm_cell`; the initialisers make the weights of each gate.

    The bias of the forget gate is `forget`, the others 0: at first, the memory is kept (Gers et al. 2000).

    >>> {name: p.shape for name, p in init_lstm(random.key(0), 3, 8).items()}
    {'inputs': (3, 32), 'state': (8, 32), 'bias': (32,)}
    """
    params = _init(key, features, hidden, 4, inputs, state, dtype)
    gates = xp.asarray([0, forget, 0, 0], dtype=dtype)
    return {**params, "bias": xp.repeat(gates, hidden)}


def init_gru(
    key: Any,
    features: int,
    hidden: int,
    *,
    inputs: Initialiser = xavier_uniform,
    state: Initialiser = orthogonal,
    dtype: Any = "float32",
) -> dict[str, Any]:
    """Parameters of `gru_cell`; the initialisers make the weights of each gate, the biases are zeros.

    >>> {name: p.shape for name, p in init_gru(random.key(0), 3, 8).items()}
    {'inputs': (3, 24), 'state': (8, 24), 'bias': (24,), 'state bias': (24,)}
    """
    params = _init(key, features, hidden, 3, inputs, state, dtype)
    return {**params, "state bias": xp.zeros(3 * hidden, dtype=dtype)}


def _init(
    key: Any, features: int, hidden: int, gates: int, inputs: Initialiser, state: Initialiser, dtype: Any
) -> dict[str, Any]:
    keys = list(random.split(key, 2 * gates))
    return {
        "inputs": xp.concat([inputs(key, (features, hidden), dtype) for key in keys[:gates]], axis=1),
        "state": xp.concat([state(key, (hidden, hidden), dtype) for key in keys[gates:]], axis=1),
        "bias": xp.zeros(gates * hidden, dtype=dtype),
    }


# --- cells ----------------------------------------------------------------------------------------------
@naming_the_line
@block
def rnn_cell(params: Any, x: Any, state: Any) -> Any:
    """The simple cell (Elman 1990): tanh(x @ inputs + state @ state weights + bias).

    `x` (batch, features) and `state` (batch, hidden) give the next state. Raises ValueError where `x` or
    `state` does not fit the weights.

    >>> import numpy as np
    >>> params = init_rnn(random.key(0), 3, 8)
    >>> rnn_cell(params, np.ones((2, 3)), np.zeros((2, 8))).shape
    (2, 8)
    """
    return _rnn_step(params, _read(params, x), state)


@naming_the_line
@block
def lstm_cell(params: Any, x: Any, state: Any) -> tuple[Any, Any]:
    """Long short-term memory (Hochreiter and Schmidhuber 1997): a memory behind gates.

    `x` (batch, features) and `state`, which is (hidden, memory), both (batch, hidden), give the next state.
    The memory is multiplied by the forget gate and added to, never squeezed, so gradients last. Raises
    ValueError where `x` or `state` does not fit the weights.

    >>> import numpy as np
    >>> params, zero = init_lstm(random.key(0), 3, 8), np.zeros((2, 8))
    >>> hidden, memory = lstm_cell(params, np.ones((2, 3)), (zero, zero))
    >>> hidden.shape, memory.shape
    ((2, 8), (2, 8))
    """
    return _lstm_step(params, _read(params, x), state)


@naming_the_line
@block
def gru_cell(params: Any, x: Any, state: Any) -> Any:
    """The gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), in PyTorch's form.

    `x` (batch, features) and `state` (batch, hidden) give the next state: a mean of the old one and a new
    one, weighed by the update gate; the reset gate says how much the new one sees of the old. Raises
    ValueError where `x` or `state` does not fit the weights.

    >>> import numpy as np
    >>> params = init_gru(random.key(0), 3, 8)
    >>> gru_cell(params, np.ones((2, 3)), np.zeros((2, 8))).shape
    (2, 8)
    """
    return _gru_step(params, _read(params, x), state)


def _read(params: Any, x: Any) -> Any:
    """What the gates get from `x` (..., features)."""
    shape, weights = shape_of(x), shape_of(params["inputs"])
    if shape[-1:] != weights[:1]:
        raise ValueError(
            f"x of shape {shape} does not end with the {weights[0]} features of inputs {weights}"
        )
    return x @ params["inputs"] + params["bias"]


def _rnn_step(params: Any, gates: Any, state: Any) -> Any:
    return xp.tanh(gates + _recalled(params, state, 1))


def _lstm_step(params: Any, gates: Any, state: Any) -> tuple[Any, Any]:
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise ValueError("the state of an lstm_cell is a pair, (hidden, memory)")
    hidden, memory = state
    write, keep, new, show = _parts(gates + _recalled(params, hidden, 4), 4)
    memory = sigmoid(keep) * memory + sigmoid(write) * xp.tanh(new)
    return sigmoid(show) * xp.tanh(memory), memory


def _gru_step(params: Any, gates: Any, state: Any) -> Any:
    from_x, from_state = _parts(gates, 3), _parts(_recalled(params, state, 3) + params["state bias"], 3)
    reset = sigmoid(from_x[0] + from_state[0])
    update = sigmoid(from_x[1] + from_state[1])
    new = xp.tanh(from_x[2] + reset * from_state[2])
    return new + update * (state - new)


def _recalled(params: Any, state: Any, gates: int) -> Any:
    """What the gates get from the state (..., hidden)."""
    shape, weights = shape_of(state), shape_of(params["state"])
    if weights[1] != gates * weights[0]:
        raise ValueError(f"state weights {weights} are those of another cell: this one has {gates} × hidden")
    if shape[-1:] != weights[:1]:
        raise ValueError(f"the state of shape {shape} does not end with {weights[0]}, the size of the cell")
    return state @ params["state"]


def _parts(gates: Any, count: int) -> list[Any]:
    size = shape_of(gates)[-1] // count
    return [gates[..., start : start + size] for start in range(0, count * size, size)]


class _Kind(NamedTuple):
    step: Callable[..., Any]  # (params, gates, state) -> state, after the inputs were read
    states: int  # how many arrays the state is


_KINDS = {rnn_cell: _Kind(_rnn_step, 1), gru_cell: _Kind(_gru_step, 1), lstm_cell: _Kind(_lstm_step, 2)}


# --- layers ---------------------------------------------------------------------------------------------
@naming_the_line
@block
def unroll(
    cell: Callable[..., Any],
    params: Any,
    xs: Any,
    state: Any = None,
    *,
    mask: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`cell` for each step of `xs` (batch, time, features): outputs (batch, time, hidden), last state.

    It starts from `state`, by default zeros for the cells of this module. With `reverse` it reads from the
    last step to the first; output t still belongs to step t. Where `mask` (batch, time) is False there is
    padding: the state stays as it was. A cell of your own is `(params, x, state) -> state`, a pytree whose
    first leaf is the output. Raises ValueError for other shapes, and where your own cell has no `state`.

    The cells of this module read all inputs before the first step, as one large product.

    >>> import numpy as np
    >>> params = init_gru(random.key(0), 3, 8)
    >>> outputs, last = unroll(gru_cell, params, np.ones((2, 5, 3), "float32"))
    >>> outputs.shape, bool((outputs[:, -1] == last).all())
    ((2, 5, 8), True)
    """
    shape = shape_of(xs)
    if len(shape) != 3 or not shape[1]:
        raise ValueError(f"xs of shape {shape} must be (batch, time, features), of at least one step")
    masks = columns(mask, shape[:2])
    if kind := _KINDS.get(cell):
        with scope("inputs"):
            xs = _read(params, xs)
        state = _zeros(params, xs, kind.states) if state is None else state
    elif state is None:
        raise ValueError("a cell of your own needs the state to start from")
    step = block(_named(kind.step, cell)) if kind else cell
    steps = list(zip(xp.unstack(xs, axis=1), masks))
    outputs = []
    for x, known in reversed(steps) if reverse else steps:
        new = step(params, x, state)
        state = new if known is None else optree.tree_map(partial(xp.where, known), new, state)
        outputs.append(optree.tree_leaves(state)[0])
    return xp.stack(outputs[::-1] if reverse else outputs, axis=1), state


def init_bidirectional(init: Callable[..., Any], key: Any, *sizes: int, **options: Any) -> dict[str, Any]:
    """Parameters of `bidirectional`: those of a cell for each direction, from its `init` function.

    >>> list(init_bidirectional(init_gru, random.key(0), 3, 8))
    ['forward', 'backward']
    """
    forward, backward = random.split(key)
    return {"forward": init(forward, *sizes, **options), "backward": init(backward, *sizes, **options)}


@naming_the_line
@block
def bidirectional(
    cell: Callable[..., Any], params: Any, xs: Any, state: Any = (None, None), *, mask: Any = None
) -> tuple[Any, Any]:
    """`unroll` in both directions (Schuster and Paliwal 1997), each with parameters of its own.

    Gives the outputs side by side, (batch, time, 2 × hidden), and the pair of the last states; the backward
    one is that after the first step. `state` is the pair to start from.

    >>> import numpy as np
    >>> params = init_bidirectional(init_lstm, random.key(0), 3, 8)
    >>> outputs, (forward, backward) = bidirectional(lstm_cell, params, np.ones((2, 5, 3), "float32"))
    >>> outputs.shape
    (2, 5, 16)
    """
    ahead, last = unroll(cell, params["forward"], xs, state[0], mask=mask)
    back, first = unroll(cell, params["backward"], xs, state[1], mask=mask, reverse=True)
    return xp.concat([ahead, back], axis=-1), (last, first)


def _named(step: Callable[..., Any], cell: Callable[..., Any]) -> Callable[..., Any]:
    """The step under the name of its cell, for pictures."""

    def named(params: Any, gates: Any, state: Any) -> Any:
        return step(params, gates, state)

    named.__name__ = cell.__name__
    return named


def _zeros(params: Any, xs: Any, count: int) -> Any:
    zero = xp.zeros((shape_of(xs)[0], shape_of(params["state"])[0]), dtype=xs.dtype)
    return zero if count == 1 else (zero,) * count
