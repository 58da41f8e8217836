"""Transformer blocks (Vaswani et al. 2017, arXiv 1706.03762): attention mixes places, dense layers features.

Both are residual and normalised: before the layer by default, which trains without warming up (Xiong et al.
2020, arXiv 2002.04745), or after the sum, as in the paper; then a last `layer_norm` after the stack is not
needed. A language model that predicts the next token is a stack of `encoder_block`s with `causal_mask`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dagexec import random
from dagexec.array import naming_the_line, shape_of
from dagexec.nn.activations import relu
from dagexec.nn.attention import init_multi_head_attention, multi_head_attention
from dagexec.nn.dense import dense, init_dense
from dagexec.nn.dropout import dropout
from dagexec.nn.masks import causal_mask
from dagexec.nn.normalisation import init_layer_norm, layer_norm
from dagexec.tracing import block


def init_encoder_block(key: Any, features: int, hidden: int, *, dtype: Any = "float32") -> dict[str, Any]:
    """Parameters of `encoder_block`: attention, two dense layers with `hidden` in between, and two norms.

    >>> sorted(init_encoder_block(random.key(0), 8, 32))
    ['attention', 'attention norm', 'dense', 'dense norm']
    """
    attention, *layers = random.split(key, 3)
    return {
        "attention": init_multi_head_attention(attention, features, dtype=dtype),
        "attention norm": init_layer_norm(None, features, dtype=dtype),
        "dense": [
            init_dense(layers[0], features, hidden, dtype=dtype),
            init_dense(layers[1], hidden, features, dtype=dtype),
        ],
        "dense norm": init_layer_norm(None, features, dtype=dtype),
    }


def init_decoder_block(key: Any, features: int, hidden: int, *, dtype: Any = "float32") -> dict[str, Any]:
    """Parameters of `decoder_block`: those of an encoder block, and attention to a context with its norm.

    >>> sorted(init_decoder_block(random.key(0), 8, 32))
    ['attention', 'attention norm', 'context', 'context norm', 'dense', 'dense norm']
    """
    own, context = random.split(key)
    return {
        **init_encoder_block(own, features, hidden, dtype=dtype),
        "context": init_multi_head_attention(context, features, dtype=dtype),
        "context norm": init_layer_norm(None, features, dtype=dtype),
    }


@naming_the_line
@block
def encoder_block(
    params: Any,
    x: Any,
    *,
    heads: int,
    mask: Any = None,
    activation: Callable[[Any], Any] = relu,
    norm_first: bool = True,
    key: Any = None,
    rate: float = 0.1,
) -> Any:
    """Attention of `x` (batch, time, features) to itself, then two dense layers; the shape stays.

    `mask` is that of `multi_head_attention`. With a `key`, what each layer adds goes through dropout at
    `rate`. Raises ValueError where `x` does not fit the parameters.

    >>> import numpy as np
    >>> params = init_encoder_block(random.key(0), 8, 32)
    >>> encoder_block(params, np.ones((2, 5, 8)), heads=2, mask=causal_mask(5)).shape
    (2, 5, 8)
    """
    layers = {
        "attention": lambda x: multi_head_attention(params["attention"], x, heads=heads, mask=mask),
        "dense": lambda x: _two_layers(params["dense"], x, activation),
    }
    return _one_after_another(layers, params, x, norm_first, key, rate)


@naming_the_line
@block
def decoder_block(
    params: Any,
    x: Any,
    context: Any,
    *,
    heads: int,
    mask: Any = None,
    activation: Callable[[Any], Any] = relu,
    norm_first: bool = True,
    key: Any = None,
    rate: float = 0.1,
) -> Any:
    """Attention of `x` (batch, time, features) to its own past, then to `context`, then two dense layers.

    `context` (batch, other time, features) is what an encoder made; `mask` says which of its places may be
    looked at. With a `key`, what each layer adds goes through dropout at `rate`. Raises ValueError where
    `x` or `context` does not fit the parameters.

    >>> import numpy as np
    >>> params = init_decoder_block(random.key(0), 8, 32)
    >>> decoder_block(params, np.ones((2, 5, 8)), np.ones((2, 7, 8)), heads=2).shape
    (2, 5, 8)
    """
    past = causal_mask(shape_of(x)[-2])
    layers = {
        "attention": lambda x: multi_head_attention(params["attention"], x, heads=heads, mask=past),
        "context": lambda x: multi_head_attention(params["context"], x, context, heads=heads, mask=mask),
        "dense": lambda x: _two_layers(params["dense"], x, activation),
    }
    return _one_after_another(layers, params, x, norm_first, key, rate)


def _two_layers(params: Any, x: Any, activation: Callable[[Any], Any]) -> Any:
    return dense(params[1], activation(dense(params[0], x)))


def _one_after_another(
    layers: Mapping[str, Callable[[Any], Any]], params: Any, x: Any, norm_first: bool, key: Any, rate: float
) -> Any:
    """Each layer adds what it makes of `x`, normalised before or after."""
    keys = [None] * len(layers) if key is None else random.split(key, len(layers))
    for (name, layer), key in zip(layers.items(), keys):
        norm = params[f"{name} norm"]
        if norm_first:
            x = x + dropout(key, layer(layer_norm(norm, x)), rate)
        else:
            x = layer_norm(norm, x + dropout(key, layer(x), rate))
    return x
