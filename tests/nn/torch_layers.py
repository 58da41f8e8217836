"""PyTorch's own layers with our parameters: what recurrent networks and transformers are compared with."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

RECURRENT = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def dense(params, x):
    return x @ params["weights"] + params["bias"]


def layer_norm(params, x):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], params["scale"], params["bias"])


# --- recurrent ------------------------------------------------------------------------------------------
def recurrent(kind, params, xs, states=None):
    """Outputs and last states; in both directions where the parameters are of two. `xs` may be packed."""
    both = "forward" in params
    ahead = params["forward"] if both else params
    features, hidden = ahead["inputs"].shape[0], ahead["state"].shape[0]
    layer = RECURRENT[kind](features, hidden, batch_first=True, bidirectional=both, dtype=ahead["bias"].dtype)
    weights = _recurrent_weights(ahead, "")
    if both:
        weights |= _recurrent_weights(params["backward"], "_reverse")
    return torch.func.functional_call(layer, weights, (xs, states))


def _recurrent_weights(params, suffix):
    bias = params["bias"]
    return {
        f"weight_ih_l0{suffix}": params["inputs"].T,
        f"weight_hh_l0{suffix}": params["state"].T,
        f"bias_ih_l0{suffix}": bias,
        f"bias_hh_l0{suffix}": params.get("state bias", bias * 0),
    }


# --- attention ------------------------------------------------------------------------------------------
def multi_head_attention(params, x, context, heads, mask):
    weights = {name.removeprefix("."): w for name, w in _attention_weights(params, "").items()}
    layer = torch.nn.MultiheadAttention(x.shape[-1], heads, batch_first=True, dtype=x.dtype)
    options = {"attn_mask": hidden_places(mask, x, context, heads), "need_weights": False}
    return torch.func.functional_call(layer, weights, (x, context, context), options)[0]


def encoder_block(params, x, heads, mask=None, norm_first=True):
    layer = torch.nn.TransformerEncoderLayer(*_sizes(params, heads), **_options(x, norm_first))
    weights = _block_weights(params, ["attention norm", "dense norm"])
    return torch.func.functional_call(layer, weights, (x, hidden_places(mask, x, x, heads)))


def decoder_block(params, x, context, heads, mask=None, norm_first=True):
    layer = torch.nn.TransformerDecoderLayer(*_sizes(params, heads), **_options(x, norm_first))
    weights = _block_weights(params, ["attention norm", "context norm", "dense norm"])
    causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    masks = causal, hidden_places(mask, x, context, heads)
    return torch.func.functional_call(layer, weights, (x, context, *masks))


def hidden_places(mask, x, context, heads):
    """Their mask is True where a query must not look, and has batch and heads on one axis."""
    if mask is None:
        return None
    whole = np.broadcast_to(mask, (len(x), heads, x.shape[1], context.shape[1]))
    return torch.tensor(~whole).flatten(0, 1)


def _sizes(params, heads):
    features, hidden = params["dense"][0]["weights"].shape
    return features, heads, hidden, 0.0


def _options(x, norm_first):
    return {"batch_first": True, "norm_first": norm_first, "dtype": x.dtype}


def _attention_weights(params, name):
    parts = [params[part] for part in ("queries", "keys", "values")]
    return {
        f"{name}.in_proj_weight": torch.cat([part["weights"].T for part in parts]),
        f"{name}.in_proj_bias": torch.cat([part["bias"] for part in parts]),
        f"{name}.out_proj.weight": params["outputs"]["weights"].T,
        f"{name}.out_proj.bias": params["outputs"]["bias"],
    }


def _block_weights(params, norms):
    weights = _attention_weights(params["attention"], "self_attn")
    if "context" in params:
        weights |= _attention_weights(params["context"], "multihead_attn")
    for place, layer in enumerate(params["dense"], 1):
        weights |= {f"linear{place}.weight": layer["weights"].T, f"linear{place}.bias": layer["bias"]}
    for place, norm in enumerate(norms, 1):
        weights |= {f"norm{place}.weight": params[norm]["scale"], f"norm{place}.bias": params[norm]["bias"]}
    return weights
