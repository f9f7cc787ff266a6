"""MNIST (figures 6, 7, 14 to 16): table 4's network on 28×28 images, whose dimension nobody knows.

The paper: the eigenvalues of AAᵀ fall without a clear step, the values suggest a dimension between 11 and 14, and
samples are better than those of the fixed-prior flow.
"""

from functools import partial

import digit_images
import pictures
from courses import Cosine, Geometric, Staircase
from density_dimension import denoising_dimension
from experiment import FIXED_PRIOR, OURS, PAPER, Experiment
from image_quality import sample_quality
from nflows_spread.factors import LowerTriangularFactor, RunningAverageFactor
from nflows_spread.models import TABLE_4, convolutional_flow

_PAPER_NOISE = Staircase(0.05, factor=0.9, every=1 / 30, after=1 / 3, floor=0.01)
_PAPER = PAPER.also({"data_noise": _PAPER_NOISE, "factor": LowerTriangularFactor})

PAPER_SCHEDULE = {"steps": 300_000, "learning_rate": Staircase(5e-4, factor=0.9, every=1 / 30, after=1 / 3)}

EXPERIMENT = Experiment(
    task=digit_images.mnist,
    flow=partial(convolutional_flow, **TABLE_4),
    variants=(_PAPER, OURS, FIXED_PRIOR),
    steps=300,
    batch_size=100,
    learning_rate=Cosine(2e-3, 4e-5),
    data_noise=Geometric(0.3, 0.05),
    factor=RunningAverageFactor,
    learn_mean=True,
    gradient_clip=50.0,
    samples=5_000,
    measures=(sample_quality, denoising_dimension),
    panels=(
        pictures.data_images,
        pictures.sample_images,
        partial(pictures.spectrum, first=60, marked=(11, 14)),
        pictures.representation,
    ),
    profiles={
        "full": {"steps": 2_500},
        "paper": PAPER_SCHEDULE,
    },
)
