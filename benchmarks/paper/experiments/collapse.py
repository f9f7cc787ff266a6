"""Collapse (no figure): the paper's objective with noise on the data and, as the paper has it, without, on x₂ = x₁.

The paper trains its toys without data noise and reports one positive eigenvalue. Nothing then keeps a
volume-preserving flow from shrinking the line and stretching what is across it: the eigenvalues of
AAᵀ fall until they meet σ_Z². With noise on the data the likelihood has a minimum, AAᵀ still depends
on the gauge, and the signal-to-noise eigenvalues are the variances of the data, (2, σ_x²).

Found (``full``, seed 0): (0.0024, 0.0002) without noise and (0.19, 0.026) with it, (0.20, 0.025) with eight pieces; μ
is (2.30, 0.0000001), (2.08, 0.0024) and (2.08, 0.0025).
"""

from functools import partial

from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training.curves import Constant
from paper import data_sets, pictures
from paper.experiment import OURS, PAPER, PIECES, Experiment
from paper.tracking import eigenvalue

_PAPER_SCHEDULE = {"batch_size": 100, "learning_rate": Constant(3e-4)}

EXPERIMENT = Experiment(
    data=data_sets.line,
    flow=partial(coupling_flow, **TABLE_1),
    variants=(PAPER.also(_PAPER_SCHEDULE), OURS, PIECES),
    steps=10_000,
    track={"first": partial(eigenvalue, 1), "second": partial(eigenvalue, 2)},
    together=(pictures.eigenvalues_during_training,),
    spread_variance=1e-4,
    profiles={"paper": _PAPER_SCHEDULE},
)
