"""Synthetic MNIST of dimension 10 (figures 6, 7, 14 to 16): images from a decoder with 10 latent variables.

The paper: the first 10 eigenvalues of AAᵀ are significantly larger than the others, and samples are better than those
of the fixed-prior flow. The settings are those of MNIST.
"""

from dataclasses import replace
from functools import partial

import digit_images
import pictures
from experiments import mnist

EXPERIMENT = replace(
    mnist.EXPERIMENT,
    task=partial(digit_images.synthetic_mnist_10, steps=12_000, learning_rate=1e-3),
    panels=(
        pictures.data_images,
        pictures.sample_images,
        partial(pictures.spectrum, first=40, marked=(10, 11)),
        pictures.representation,
    ),
    profiles={
        "full": mnist.compared(400, principal=7_000, same_network=False),
        "paper": mnist.PAPER_SCHEDULE
        | {"task": partial(digit_images.synthetic_mnist_10, steps=60_000, learning_rate=1e-4)},
    },
)
