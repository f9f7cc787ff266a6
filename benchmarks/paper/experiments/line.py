"""Line (figures 12, 13): x₂ = x₁ in the plane, dimension 1.

The paper: one eigenvalue of AAᵀ is positive and one 0; the fixed-prior flow samples reasonably but its latents curl
up.

Found (``full``, seed 0): eigenvalues (0.0024, 0.0002) where the variances of the data are (2, 0), because without
noise on the data nothing keeps the flow from shrinking the line (see ``collapse``); μ, which no gauge changes, is
(2.08, 0.0004) under data noise of 0.02. The density on the line is a Gaussian, so eight pieces change nothing: the same
likelihood as one, and total variation 0.022 beside 0.024 and the fixed prior's 0.020.
"""

from functools import partial

from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training.curves import Constant, Geometric
from paper import data_sets
from paper.experiment import FIXED_PRIOR, OURS, PAPER, PIECES, Experiment

_PAPER_SCHEDULE = {"batch_size": 100, "learning_rate": Constant(3e-4)}

EXPERIMENT = Experiment(
    data=data_sets.line,
    flow=partial(coupling_flow, **TABLE_1),
    variants=(PAPER.also(_PAPER_SCHEDULE), OURS, PIECES, FIXED_PRIOR),
    data_noise=Geometric(0.3, 0.02, steps=0.7),
    spread_variance=4e-6,
    profiles={
        "full": {"steps": 10_000},
        "paper": {"steps": 10_000, **_PAPER_SCHEDULE},
    },
)
