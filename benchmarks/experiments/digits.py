"""Handwritten digits of scikit-learn, 8×8: real data in 64 dimensions, whose dimension nobody knows.

Not in the paper; a small stand-in for its MNIST (figures 6 and 7) that is bundled with scikit-learn.
"""

from functools import partial

import tasks
from experiment import Experiment
from nflows_spread.models import coupling_flow

EXPERIMENT = Experiment(
    task=tasks.digits,
    flow=partial(coupling_flow, 64, layers=8, hidden_features=(128, 128), permute=True, bounded_scale=True),
    steps=2500,
    learning_rate=1e-3,
    image_shape=(8, 8),
)
