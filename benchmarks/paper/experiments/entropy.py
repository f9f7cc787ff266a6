"""Entropy (figure 11): the estimated entropy of the latents when the loss ignores it, and when it has the estimate.

The paper: the two curves are the same on the toy and on the fading square, so the entropy may be ignored. The
estimate cannot show it: in D dimensions it lies within log N of a constant whatever the flow does, and its gradient is
blind where neighbours are further apart than σ_Z (the third picture, ``scale_response`` in the table).

Found (``full``, seed 0; the sine at the paper's schedule, the square at a twentieth of it): the curves are not the
same. On the sine the loss with the estimate ends 0.5 nats above the one without (0.7 nats by 2000 points), on the
square 0.2 nats (0.4). With a prior in eight pieces the two are as far apart on the sine, 0.5 nats (0.7). On the square
all of that happens within log 100 = 4.6 nats above -3775, so a picture of absolute values cannot show it. The share of
the true gradient that the estimate has is 0.38 for K = 1, 0.005 for K = 2 and 0.000 above.
"""

from functools import partial

from nflows_spread.factors import RunningAverageFactor
from nflows_spread.models import TABLE_1, TABLE_3, convolutional_flow, coupling_flow
from nflows_spread.training.curves import Constant, Staircase
from paper import data_sets, entropy_estimate
from paper.experiment import PAPER, PIECES, Experiment, Variant

_TOY = {"data": data_sets.sine, "flow": partial(coupling_flow, **TABLE_1), "learning_rate": Constant(3e-4)}
_SQUARE = {
    "data": data_sets.fading_square,
    "flow": partial(convolutional_flow, **TABLE_3),
    "l2_penalty": 0.1,
    "factor": RunningAverageFactor,  # the optimum of the paper's A, which itself would need thousands of steps
    "samples": 2000,
}


def _flows(*, toy_steps: int, square_steps: int) -> tuple[Variant, ...]:
    """Both objectives on both data sets, and on the toy in pieces; the first steps of the paper's 10k and 20k."""
    rate = Staircase(5e-4, factor=0.9, every=1000)
    toy, square = {**_TOY, "steps": toy_steps}, {**_SQUARE, "steps": square_steps, "learning_rate": rate}
    flows = (("sine", toy), ("sine, prior in 8 pieces", {**toy, **PIECES.changes}), ("square", square))
    return tuple(
        Variant(f"{name}, entropy {said}", {**PAPER.changes, **settings, "entropy": entropy})
        for name, settings in flows
        for said, entropy in (("ignored", False), ("estimated", True))
    )


EXPERIMENT = Experiment(
    data=data_sets.sine,
    flow=partial(coupling_flow, **TABLE_1),
    variants=_flows(toy_steps=3000, square_steps=100),
    batch_size=100,
    track={"entropy": entropy_estimate.above_floor},
    measures=(entropy_estimate.responses,),
    panels=(),
    together=(
        partial(entropy_estimate.curves, "sine"),
        partial(entropy_estimate.curves, "square"),
        entropy_estimate.finding,
    ),
    profiles={
        "full": {"variants": _flows(toy_steps=10_000, square_steps=1000)},
        "paper": {"variants": _flows(toy_steps=10_000, square_steps=20_000)},
    },
)
