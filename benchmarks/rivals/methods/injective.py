"""What M-flow, rectangular flows and denoising flows offer once they are trained."""

from __future__ import annotations

from typing import Any

from baselines.injective_flow import InjectiveFlow
from charts.model import Model
from nflows_spread.estimator.recipe import couplings_for
from rivals.rival import in_chunks, parameters, samples_of

WIDTH = 64
"""Of the two hidden layers of each net of the outer flow: with ``couplings_for`` the features, 75 000 to 90 000
parameters, beside 100 000 of the spread flow and its chart."""


def outer_size(features: int) -> dict[str, Any]:
    """Couplings as many as those of the spread flow, and their widths."""
    return {"layers": couplings_for(features), "hidden_features": (WIDTH, WIDTH)}


def injective_model(flow: InjectiveFlow, steps: int, seed: int, **others: Any) -> Model:
    """Coordinates, points, samples and the density on the manifold.

    Args:
        flow: trained.
        steps: of its training, for the record.
        seed: of the samples.
        others: fields of ``Model`` that it has beside these.
    """
    return Model(
        flow.rank,
        encode=in_chunks(flow.encode),
        decode=in_chunks(flow.decode),
        sample=samples_of(lambda count, generator: flow.sample(count, generator=generator), seed),
        manifold_log_prob=in_chunks(flow.log_prob),
        notes={"steps": steps, "parameters": parameters(flow)},
        **others,
    )
