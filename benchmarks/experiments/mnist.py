"""MNIST (figures 6, 7, 14 to 16): 28×28 images, whose dimension nobody knows.

The paper: table 4's network; the eigenvalues of AAᵀ fall without a clear step, the values suggest a dimension between
11 and 14, and samples are better than those of the fixed-prior flow.
"""

from functools import partial

import digit_images
import pictures
from courses import Cosine, Geometric, Staircase
from density_dimension import denoising_dimension
from experiment import FIXED_PRIOR, OURS, PAPER, Experiment, Variant
from image_quality import sample_quality
from nflows_spread.factors import LowerTriangularFactor, RunningAverageFactor
from nflows_spread.models import TABLE_4, convolutional_flow
from pointwise import above_noise, pointwise_spectrum, widest_step
from principal import principal_flow

_PAPER_NOISE = Staircase(0.05, factor=0.9, every=1 / 30, after=1 / 3, floor=0.01)
_PAPER = PAPER.also({"data_noise": _PAPER_NOISE, "factor": LowerTriangularFactor})
_TABLE_4 = Variant("table 4, annealed from 0.3")
_OURS = OURS.also(
    {
        "flow": partial(principal_flow, TABLE_4["image_shape"], hidden_features=(256, 256)),
        "data_noise": Geometric(0.5, 0.1),
        "factor": RunningAverageFactor.of_decay(0.995),
    }
)


def compared(steps: int, *, ours: int, same_network: bool = True) -> dict[str, object]:
    """The flows, at so many steps of table 4's network and of ours, which take half as long."""
    flows = (_PAPER, *(_TABLE_4,) * same_network, _OURS.also({"steps": ours}), FIXED_PRIOR)
    return {"steps": steps, "variants": flows}


PAPER_SCHEDULE = {
    "learning_rate": Staircase(5e-4, factor=0.9, every=1 / 30, after=1 / 3),
    **compared(300_000, ours=300_000),
}

EXPERIMENT = Experiment(
    task=digit_images.mnist,
    flow=partial(convolutional_flow, **TABLE_4),
    **compared(300, ours=1000),
    batch_size=100,
    learning_rate=Cosine(2e-3, 4e-5),
    data_noise=Geometric(0.3, 0.05),
    factor=RunningAverageFactor,
    learn_mean=True,
    gradient_clip=50.0,
    samples=5_000,
    spectrum=pointwise_spectrum,
    rank=above_noise,
    measures=(widest_step, denoising_dimension, sample_quality),
    panels=(
        pictures.data_images,
        pictures.sample_images,
        partial(pictures.spectrum, first=60, marked=(11, 14)),
        pictures.representation,
    ),
    profiles={"full": compared(2_500, ours=3_000), "paper": PAPER_SCHEDULE},
)
