"""Neural networks as functions: layers, activations, losses and initialisers, written as array code.

A layer is a function of its parameters and its input, and a box in pictures; a model is a function that calls
some. Parameters are dicts and lists of arrays, made by the layer's `init_` function from a key.

>>> import numpy as np
>>> from dagexec import nn, random, value_and_grad
>>> first, second = random.split(random.key(0))
>>> params = [nn.init_dense(first, 3, 16), nn.init_dense(second, 16, 2)]
>>> def loss(params, x, labels):
...     hidden = nn.relu(nn.dense(params[0], x))
...     return nn.cross_entropy(nn.dense(params[1], hidden), labels)
>>> value, gradients = value_and_grad(loss)(params, np.ones((5, 3), "float32"), np.array([0, 1, 1, 0, 1]))
>>> gradients[0]["weights"].shape
(3, 16)
"""

from dagexec.nn.activations import (
    elu,
    gelu,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from dagexec.nn.attention import attention, init_multi_head_attention, multi_head_attention
from dagexec.nn.convolution import conv1d, conv2d, init_conv1d, init_conv2d
from dagexec.nn.crf import crf_log_likelihood, init_crf, viterbi
from dagexec.nn.dense import dense, init_dense
from dagexec.nn.dropout import dropout
from dagexec.nn.embedding import (
    add_positions,
    add_sinusoidal_positions,
    embedding,
    init_embedding,
    init_positions,
    sinusoidal_positions,
)
from dagexec.nn.initialisers import (
    Initialiser,
    constant,
    fans,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    ones,
    orthogonal,
    uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from dagexec.nn.losses import (
    accuracy,
    binary_cross_entropy,
    cross_entropy,
    negative_log_likelihood,
    squared_loss,
)
from dagexec.nn.masks import causal_mask, padding_mask
from dagexec.nn.normalisation import (
    batch_norm,
    init_batch_norm,
    init_layer_norm,
    init_statistics,
    layer_norm,
)
from dagexec.nn.pooling import avg_pool, max_pool
from dagexec.nn.recurrent import (
    bidirectional,
    gru_cell,
    init_bidirectional,
    init_gru,
    init_lstm,
    init_rnn,
    lstm_cell,
    rnn_cell,
    unroll,
)
from dagexec.nn.residual import residual
from dagexec.nn.transformer import decoder_block, encoder_block, init_decoder_block, init_encoder_block
