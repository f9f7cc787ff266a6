"""Disconnected manifolds of different dimension (no figure): ten sets, 64 pieces beside one Gaussian on three of them.

The paper names a mixing prior as future work (section 7), for manifolds in several pieces: with one Gaussian a flow has
one dimension for all, and samples on the bridges between them.

Found (``quick``, seeds 0, 1, 2): each part has its dimension on all ten sets; 0 to 0.3 % of the atlas's samples are
farther than 4 σ_x, but 0.5 and 0.6 % once each for the cube and the torus; of whole samples 0.06 to 1.9 %. One Gaussian
says 1, once 2, and 2 to 64 % of its samples are far.
"""

from functools import partial

from nflows_spread.models import coupling_flow
from nflows_spread.training.curves import Cosine, Geometric
from paper import disconnected
from paper.experiment import OURS, Experiment, Variant

_PIECES = Variant("prior in 64 pieces", {"pieces": 64, "pieces_from": 0.0})


_BESIDE = ("segment and disc", "circle and sphere", "three clusters")
"""The sets that one Gaussian has too: a choice, for time."""


def _on_sets() -> tuple[Variant, ...]:
    """Pieces on each set, and one Gaussian on some."""
    return tuple(
        Variant(
            f"{name}, {kind.name}",
            {
                **kind.changes,
                "data": partial(disconnected.union, name),
                "flow": partial(coupling_flow, features=features, layers=6, hidden_features=(32, 32)),
                "measures": (partial(disconnected.read_out, name),),
            },
        )
        for name, (features, _) in disconnected.SETS.items()
        for kind in (_PIECES, OURS)
        if kind is _PIECES or name in _BESIDE
    )


EXPERIMENT = Experiment(
    data=partial(disconnected.union, "segment and disc"),
    flow=partial(coupling_flow, features=3, layers=6, hidden_features=(32, 32)),
    variants=_on_sets(),
    data_noise=Geometric(0.3, 0.05, steps=0.7),
    learning_rate=Cosine(2e-3, 4e-5),
    spread_variance=2.5e-5,
    steps=1500,
    learn_mean=True,
    samples=5000,
    panels=(),
    together=(disconnected.by_set,),
    profiles={"full": {"steps": 3000}, "paper": {"steps": 3000}},
)
