"""VGG: depth from nothing but 3 × 3 convolutions (Simonyan and Zisserman 2014, arXiv 1409.1556).

Two such convolutions see 5 × 5 pixels, three see 7 × 7, with fewer weights than one large kernel and a ReLU
after each. So a network is stages of one to three of them, each stage with twice as many kernels on maps half
as large, and three dense layers. `layers` counts those with weights: 11 or 16. The layers are those of
digits_cnn.py, which explains them.

The paper's networks begin with 64 kernels; `width` makes them slimmer. Their depth is hard to train from
scratch: VGG-16 without batch norm, on few images, learns late or not at all, and the paper began with copies
of the trained VGG-11. Batch norm (2015) does away with that. Try it:

    dagexec train graphs/vgg.py
    dagexec train graphs/vgg.py -p layers=16 --compare batch_norm=no,yes --plot vgg.png
    dagexec train graphs/vgg.py --compare dropout=0,0.5

The digits have 8 × 8 pixels, each of which is shown as `zoom` × `zoom`; maps of a single place are not pooled
any more. For MNIST's files, in a folder given as `data`, `zoom` 1 is enough.
"""

from typing import Literal

from digits_cnn import HERE, training_of

from dagexec.data import digits

STAGES = {"11": (1, 1, 2, 2, 2), "16": (2, 2, 3, 3, 3)}  # convolutions in each


def build(
    layers: Literal["11", "16"] = "11",
    width: int = 8,
    batch_norm: bool = True,
    dropout: float = 0.2,
    rate: float = 0.002,
    batch: int = 32,
    epochs: int = 10,
    zoom: int = 2,
    data: str = "",
    seed: int = 0,
):
    """`width` is the number of kernels in the first stage, 64 in the paper."""
    images, labels, test_images, test_labels = digits(data or HERE / "data" / "digits")
    images, test_images = (x.repeat(zoom, 1).repeat(zoom, 2) for x in (images, test_images))
    stages = [(count, width * min(2**number, 8)) for number, count in enumerate(STAGES[layers])]
    hidden = [64 * width] * 2
    validation = test_images, test_labels
    return training_of(
        images, labels, validation, stages, hidden, batch_norm, dropout, rate, batch, epochs, seed
    )
