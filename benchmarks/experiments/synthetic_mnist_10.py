"""Synthetic MNIST of dimension 10 (figures 6, 7, 14 to 16): images from a decoder with 10 latent variables.

The paper: the first 10 eigenvalues of AAᵀ are significantly larger than the others, and samples are better than those
of the fixed-prior flow. Networks and settings are those of MNIST.

Found on one core (profile full, seed 0): the flow over principal coordinates, 7000 steps, has its widest step after the
10th μ, from 0.67 to 0.28 (0.88 nats); with 8000 steps on the 128 leading coordinates alone it was 1.2 nats, so that it
grows with training. The default rule wants 1.39 nats for a clear step and counts the 71 directions above the noise
instead. The largest gap of AAᵀ is after the 11th eigenvalue. Samples: Fréchet distance 31, precision 0.97, recall 0.67
(other data: 0.75, 0.91, 0.91). Table 4's flows are here for 400 of the paper's 300k steps, a tenth of that time, and
neither shows the dimension nor good samples (fixed prior: 178, 0.73, 0.31); MNIST compares them after equal steps. With
N = E[JJᵀ] over all points in the place of Jacobians at single ones, the flow of 8000 steps had its widest step after
the 3rd μ.
"""

from dataclasses import replace
from functools import partial

import digit_images
import pictures
from experiments import mnist

EXPERIMENT = replace(
    mnist.EXPERIMENT,
    **mnist.principal(1500, paper=100),
    task=partial(digit_images.synthetic_mnist_10, steps=12_000, learning_rate=1e-3),
    panels=(
        pictures.data_images,
        pictures.sample_images,
        partial(pictures.spectrum, first=40, marked=(10, 11)),
        pictures.representation,
    ),
    profiles={
        "full": mnist.principal(10_000, paper=300),
        "paper": mnist.PAPER_SCHEDULE
        | {"task": partial(digit_images.synthetic_mnist_10, steps=60_000, learning_rate=1e-4)},
    },
)
