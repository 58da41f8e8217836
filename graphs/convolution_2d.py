"""A filter found again: gradient descent learns the kernel that turned one image into another.

Image programs blur, sharpen and find edges by convolution with a small kernel. Here the kernel is not known:
given are an image, random rectangles with some grain, and what the filter made of it. The squared difference
between that and what our own kernel makes of the image is the loss; its gradient by the kernel is again a
convolution, of the image with the difference. A convolution is linear in its kernel, so there is one minimum,
and it is found: "kernel error" is the largest difference between an element of the kernel and the truth.

With `pooling`, only the largest (max) or the mean (avg) of each 2 × 2 places of the result is compared. The
maximum hands its gradient to one place in four, yet the edge filter is found. The mean smooths away what
tells kernels apart: the loss is next to nothing long before the kernel is right.

    dagexec train graphs/convolution_2d.py --compare filter=sobel,blur,sharpen
    dagexec train graphs/convolution_2d.py --compare pooling=none,max,avg
    dagexec draw graphs/convolution_2d.py -p pooling=max -o convolution.svg --level ops
"""

from typing import Literal

import numpy as np

from dagexec import nn, optim, random, value_and_grad
from dagexec.training import Training

FILTERS = {
    "sobel": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],  # edges between left and right
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
}
POOLINGS = {"none": lambda x: x, "max": nn.max_pool, "avg": nn.avg_pool}


def rectangles(size, chance):
    """An image (1, 1, size, size) of overlapping rectangles, each of a shade of its own, and grain."""
    image = np.zeros((size, size), "float32")
    for _ in range(size):
        top, left, height, width = chance.integers(1, size, 4)
        image[top : top + height // 2, left : left + width // 2] = chance.random()
    image += 0.1 * chance.normal(size=image.shape).astype("float32")
    return image[None, None]


def build(
    filter: Literal["sobel", "blur", "sharpen"] = "sobel",
    pooling: Literal["none", "max", "avg"] = "none",
    size: int = 32,
    rate: float = 0.1,
    epochs: int = 1000,
    seed: int = 0,
):
    pool, truth = POOLINGS[pooling], np.array(FILTERS[filter], "float32")
    known = {"weights": truth[None, None], "bias": np.zeros(1, "float32")}
    image = rectangles(size, np.random.default_rng(seed))
    follow = optim.adam(optim.cosine(rate, epochs))

    def loss(params, image, wanted):
        return np.mean((pool(nn.conv2d(params, image)) - wanted) ** 2)

    def step(state, image, wanted):
        params, memory = state
        value, gradients = value_and_grad(loss)(params, image, wanted)
        return value, follow.update(params, gradients, memory)

    def kernel_error(state, image, wanted):
        return np.max(np.abs(state[0]["weights"] - truth))

    params = nn.init_conv2d(random.key(seed), 1, 1, 3)
    state = params, follow.init(params)
    data = image, pool(nn.conv2d(known, image))
    return Training(step, state, data, {"kernel error": kernel_error}, epochs=epochs)
