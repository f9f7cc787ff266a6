"""Blind spot (no figure): uniform balls of 2 to 32 dimensions, which no flow of volume 1 with one Gaussian can fit.

Such a flow keeps density values, p(f(z)) = p(z): the log-density of its own samples is a constant less half a
chi-square whatever its couplings are. From a uniform ball its divergence is at least ln Γ(K/2 + 1) + K/2 −
(K/2) ln((K + 2)/2). A prior in pieces has no such bound, nor have couplings with free scales.

Found (``full``, seed 0): with one Gaussian 0.32, 0.50, 0.75, 1.05 and 1.55 nats at K = 2, 4, 8, 16 and 32, where the
least is 0.31, 0.50, 0.74, 1.03 and 1.34 (at 32 held-out points show overfitting); with eight pieces 0.11, 0.31, 0.65,
1.02 and 1.58, so that eight are too few from sixteen dimensions on; with free scales 0.02, 0.04, 0.08, 0.25 and 0.81.
"""

from functools import partial

from nflows_spread.models import coupling_flow
from nflows_spread.training.curves import Geometric
from paper import balls
from paper.experiment import FIXED_PRIOR, OURS, PIECES, Experiment, Variant


def _on_balls(*kinds: Variant) -> tuple[Variant, ...]:
    """Each kind of flow on each ball."""
    return tuple(
        Variant(
            f"{kind.name}, K = {dimension}",
            {
                **kind.changes,
                "data": data,
                "flow": partial(coupling_flow, features=dimension, layers=6, hidden_features=(64, 64)),
            },
        )
        for kind in kinds
        for dimension, data in balls.DATA.items()
    )


EXPERIMENT = Experiment(
    data=balls.DATA[2],
    flow=partial(coupling_flow, features=2, layers=6, hidden_features=(64, 64)),
    variants=_on_balls(OURS, PIECES, FIXED_PRIOR),
    data_noise=Geometric(0.3, 0.02, steps=0.7),
    spread_variance=4e-6,
    steps=1000,
    measures=(balls.divergence,),
    panels=(),
    together=(balls.by_dimension,),
    profiles={"full": {"steps": 6000}, "paper": {"steps": 6000}},
)
