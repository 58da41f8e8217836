"""What a peer calls the operations that models are made of: a kit each, so that a model is written once.

A kit has what NumPy has no name for, or a peer has a faster word for: PyTorch's `linear` and
`scaled_dot_product_attention`, JAX's convolution, dagexec's `nn`. The rest is what all of them share: `@`,
`+`, `*`, slices, `reshape`, `swapaxes` and `mean`. HIPS autograd has NumPy only, and so has the base class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[Any, Any], Any]


class Kit:
    """The operations, by NumPy's names alone."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.tanh, self.exp = xp.tanh, xp.exp

    def dense(self, x: Any, weights: Any, bias: Any) -> Any:
        """x @ weights + bias."""
        return x @ weights + bias

    def relu(self, x: Any) -> Any:
        """What is negative becomes zero."""
        return self.xp.maximum(x, 0)

    def sigmoid(self, x: Any) -> Any:
        """The logistic function."""
        return 1 / (1 + self.exp(-x))

    def loop(self, step: Step, state: Any, xs: Any) -> Any:
        """The last state, after `step(state, x)` for each x: unrolled."""
        for x in xs:
            state = step(state, x)
        return state

    def softmax(self, x: Any) -> Any:
        """Over the last axis."""
        powers = self.exp(x - self.xp.max(x, axis=-1, keepdims=True))
        return powers / self.xp.sum(powers, axis=-1, keepdims=True)

    def attention(self, queries: Any, keys: Any, values: Any) -> Any:
        """Scaled dot products, of (batch, heads, time, features)."""
        scores = queries @ keys.swapaxes(-1, -2) * queries.shape[-1] ** -0.5
        return self.softmax(scores) @ values

    def layer_norm(self, x: Any, scale: Any, shift: Any) -> Any:
        """Over the last axis."""
        centred = x - self.xp.mean(x, axis=-1, keepdims=True)
        variance = self.xp.mean(centred * centred, axis=-1, keepdims=True)
        return centred / self.xp.sqrt(variance + 1e-5) * scale + shift

    def conv(self, x: Any, weights: Any, bias: Any, padding: int) -> Any:
        """(batch, channels, height, width) with (outputs, channels, k, k): shifted views, one product."""
        xp, (outputs, channels, k, _) = self.xp, weights.shape
        x = xp.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), "constant")
        height, width = x.shape[2] - k + 1, x.shape[3] - k + 1
        views = [x[:, :, i : i + height, j : j + width] for i in range(k) for j in range(k)]
        columns = xp.reshape(xp.stack(views, axis=2), (len(x), channels * k * k, height * width))
        return xp.reshape(
            xp.reshape(weights, (outputs, -1)) @ columns + bias[:, None], (-1, outputs, height, width)
        )

    def pool(self, x: Any) -> Any:
        """The maximum of 2 × 2 neighbours."""
        batch, channels, height, width = x.shape
        return self.xp.max(self.xp.reshape(x, (batch, channels, height // 2, 2, width // 2, 2)), axis=(3, 5))

    def squared_loss(self, outputs: Any, targets: Any) -> Any:
        """The mean squared difference."""
        return self.xp.mean((outputs - targets) ** 2)

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        """The mean surprise at the labels."""
        shifted = logits - self.xp.max(logits, axis=-1, keepdims=True)
        chosen = shifted[np.arange(len(labels)), labels]
        return self.xp.mean(self.xp.log(self.xp.sum(self.exp(shifted), axis=-1)) - chosen)


class DagexecKit(Kit):
    """NumPy code, and `dagexec.nn` for layers."""

    def __init__(self) -> None:
        from dagexec import nn

        super().__init__(np)
        self.relu, self.sigmoid = nn.relu, nn.sigmoid
        self.attention, self.cross_entropy = nn.attention, nn.cross_entropy
        self.squared_loss, self.pool, self._nn = nn.squared_loss, nn.max_pool, nn

    def layer_norm(self, x: Any, scale: Any, shift: Any) -> Any:
        return self._nn.layer_norm({"scale": scale, "bias": shift}, x)

    def conv(self, x: Any, weights: Any, bias: Any, padding: int) -> Any:
        return self._nn.conv2d({"weights": weights, "bias": bias}, x, padding=padding)


class TorchKit(Kit):
    """torch.nn.functional."""

    def __init__(self) -> None:
        import torch
        from torch.nn import functional

        self.xp, self._functional = torch, functional
        self.tanh, self.exp, self.sigmoid, self.relu = torch.tanh, torch.exp, torch.sigmoid, torch.relu
        self.attention = functional.scaled_dot_product_attention
        self.squared_loss, self.cross_entropy = functional.mse_loss, functional.cross_entropy

    def dense(self, x: Any, weights: Any, bias: Any) -> Any:
        if x.ndim == 2:
            return self.xp.addmm(bias, x, weights)
        return self._functional.linear(x, weights.T, bias)

    def layer_norm(self, x: Any, scale: Any, shift: Any) -> Any:
        return self._functional.layer_norm(x, scale.shape, scale, shift)

    def conv(self, x: Any, weights: Any, bias: Any, padding: int) -> Any:
        return self._functional.conv2d(x, weights, bias, padding=padding)

    def pool(self, x: Any) -> Any:
        return self._functional.max_pool2d(x, 2)


class JaxKit(Kit):
    """jax.numpy, jax.nn and jax.lax; `scan` says whether loops are lax.scan or unrolled."""

    def __init__(self, scan: bool = False) -> None:
        import jax

        super().__init__(jax.numpy)
        self._lax, self._nn, self._scan = jax.lax, jax.nn, scan
        self.sigmoid, self.relu, self.softmax = jax.nn.sigmoid, jax.nn.relu, jax.nn.softmax

    def loop(self, step: Step, state: Any, xs: Any) -> Any:
        if not self._scan:
            return super().loop(step, state, xs)
        return self._lax.scan(lambda state, x: (step(state, x), None), state, xs)[0]

    def conv(self, x: Any, weights: Any, bias: Any, padding: int) -> Any:
        pads = ((padding, padding), (padding, padding))
        return self._lax.conv_general_dilated(x, weights, (1, 1), pads) + bias[:, None, None]

    def pool(self, x: Any) -> Any:
        window = (1, 1, 2, 2)
        return self._lax.reduce_window(x, -np.inf, self._lax.max, window, window, "VALID")

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        surprise = -self._nn.log_softmax(logits)
        return self.xp.mean(self.xp.take_along_axis(surprise, labels[:, None], axis=-1))
