"""Synthetic MNIST of dimension 5 (figures 6, 7, 14 to 16): images from a decoder with 5 latent variables.

The paper: the first 5 eigenvalues of AAᵀ are significantly larger than the others, and samples are better than those
of the fixed-prior flow. The settings are those of MNIST.
"""

from dataclasses import replace
from functools import partial

import digit_images
import pictures
from experiments import mnist

EXPERIMENT = replace(
    mnist.EXPERIMENT,
    task=partial(digit_images.synthetic_mnist_5, steps=12_000, learning_rate=1e-3),
    panels=(
        pictures.data_images,
        pictures.sample_images,
        partial(pictures.spectrum, first=40, marked=(5, 6)),
        pictures.representation,
    ),
    profiles={
        "full": mnist.compared(400, principal=3_000, same_network=False),
        "paper": mnist.PAPER_SCHEDULE
        | {"task": partial(digit_images.synthetic_mnist_5, steps=60_000, learning_rate=1e-4)},
    },
)
