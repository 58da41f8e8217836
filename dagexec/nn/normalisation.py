"""Normalisation: signals shifted to mean 0 and scaled to variance 1, and from there by what is learned.

Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167) does so for each channel over the batch. At
prediction there may be no batch, so running statistics, gathered in training, stand in for it. They are no
parameters and nothing is changed in place: the layer takes statistics and returns new ones, which a training
step hands on with its state. Layer normalisation (Ba et al. 2016, arXiv 1607.06450) does so for each example
over its features, and needs none of that.
"""

from __future__ import annotations

from math import prod
from typing import Any

from dagexec import xp
from dagexec.array import naming_the_line, shape_of
from dagexec.tracing import block
from dagexec.transform import stop_gradient


def init_batch_norm(key: Any, channels: int, *, dtype: Any = "float32") -> dict[str, Any]:
    """Parameters of `batch_norm`: a scale of ones and a bias of zeros; the key is not used.

    >>> init_batch_norm(None, 2)
    {'scale': array([1., 1.], dtype=float32), 'bias': array([0., 0.], dtype=float32)}
    """
    return {"scale": xp.ones(channels, dtype=dtype), "bias": xp.zeros(channels, dtype=dtype)}


def init_statistics(channels: int, *, dtype: Any = "float32") -> dict[str, Any]:
    """The running statistics that `batch_norm` starts from: mean 0 and variance 1.

    >>> init_statistics(2)
    {'mean': array([0., 0.], dtype=float32), 'variance': array([1., 1.], dtype=float32)}
    """
    return {"mean": xp.zeros(channels, dtype=dtype), "variance": xp.ones(channels, dtype=dtype)}


@naming_the_line
@block
def batch_norm(
    params: Any, x: Any, statistics: Any, *, training: bool = True, momentum: float = 0.1, eps: float = 1e-5
) -> tuple[Any, Any]:
    """`x` (batch, channels, *space) with each channel normalised, and the new statistics.

    In training by the mean and variance over batch and space; the statistics become
    (1 − momentum) × old + momentum × new, with the unbiased variance, as in PyTorch, and no gradient flows
    through them. Otherwise by the statistics, which stay as they are. Raises ValueError where the number of
    channels differs, and in training for a single number a channel, whose variance would be 0.

    >>> import numpy as np
    >>> params, statistics = init_batch_norm(None, 1), init_statistics(1)
    >>> y, statistics = batch_norm(params, np.array([[2.0], [4.0]]), statistics)
    >>> y.round(2).tolist(), statistics["mean"]
    ([[-1.0], [1.0]], array([0.3], dtype=float32))
    """
    shape, channels = shape_of(x), shape_of(params["scale"])
    if len(shape) < 2 or shape[1:2] != channels:
        raise ValueError(
            f"x of shape {shape} must have {channels[0]} channels, as many as the scale, on its second axis"
        )
    axes = (0, *range(2, len(shape)))
    spread = (1, -1, *[1] * (len(shape) - 2))  # over which the channels' numbers broadcast
    if training:
        count = prod(shape[axis] for axis in axes)
        if count < 2:
            raise ValueError(f"x of shape {shape} has one number a channel: there is no variance to scale by")
        mean, variance = xp.mean(x, axis=axes), xp.var(x, axis=axes)
        unbiased = variance * (count / (count - 1))
        statistics = {
            "mean": _moved(statistics["mean"], mean, momentum),
            "variance": _moved(statistics["variance"], unbiased, momentum),
        }
    else:
        mean, variance = statistics["mean"], statistics["variance"]
    factor = params["scale"] / xp.sqrt(variance + eps)
    shift = params["bias"] - mean * factor
    return x * xp.reshape(factor, spread) + xp.reshape(shift, spread), statistics


def _moved(old: Any, new: Any, momentum: float) -> Any:
    new = xp.astype(stop_gradient(new), old.dtype)
    return (1 - momentum) * old + momentum * new


def init_layer_norm(key: Any, features: int, *, dtype: Any = "float32") -> dict[str, Any]:
    """Parameters of `layer_norm`: a scale of ones and a bias of zeros; the key is not used.

    >>> init_layer_norm(None, 2)
    {'scale': array([1., 1.], dtype=float32), 'bias': array([0., 0.], dtype=float32)}
    """
    return {"scale": xp.ones(features, dtype=dtype), "bias": xp.zeros(features, dtype=dtype)}


@naming_the_line
@block
def layer_norm(params: Any, x: Any, *, eps: float = 1e-5) -> Any:
    """`x` (..., features) with the features of each example normalised, then scaled and shifted.

    Raises ValueError where the number of features differs.

    >>> import numpy as np
    >>> layer_norm(init_layer_norm(None, 2), np.array([[1.0, 3.0], [10.0, 30.0]])).round(2)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    shape, features = shape_of(x), shape_of(params["scale"])
    if shape[-1:] != features:
        raise ValueError(f"x of shape {shape} must end with {features[0]} features, as many as the scale")
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    variance = xp.mean(xp.square(centred), axis=-1, keepdims=True)
    return centred / xp.sqrt(variance + eps) * params["scale"] + params["bias"]
