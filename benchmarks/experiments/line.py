"""Line (figures 12, 13): x₂ = x₁ in the plane, dimension 1.

The paper: eigenvalues (2, 0); the fixed-prior flow samples reasonably but its latents curl up.
"""

from functools import partial

import tasks
from courses import Constant, Geometric
from experiment import FIXED_PRIOR, OURS, PAPER, Experiment
from nflows_spread.models import TABLE_1, coupling_flow

_PAPER_SCHEDULE = {"batch_size": 100, "learning_rate": Constant(3e-4)}

EXPERIMENT = Experiment(
    task=tasks.line,
    flow=partial(coupling_flow, **TABLE_1),
    variants=(PAPER.also(_PAPER_SCHEDULE), OURS, FIXED_PRIOR),
    data_noise=Geometric(0.3, 0.02),
    spread_variance=4e-6,
    profiles={
        "full": {"steps": 10_000},
        "paper": {"steps": 10_000, **_PAPER_SCHEDULE},
    },
)
