"""Two-stage VAE in the benchmark of rivals."""

from __future__ import annotations

import torch

from baselines.budgeted_training import Budget
from baselines.two_stage_vae import LATENT_FEATURES, two_stage_vae
from charts.data_set import Array
from charts.measures import ERROR
from charts.model import Model
from rivals.measures import COVERAGE, DISTANCE
from rivals.rival import Rival, in_chunks, parameters, samples_of, tensor

_HIDDEN = (128, 128)
"""Of the nets of both stages: 70 000 to 105 000 parameters, beside 100 000 of the spread flow and its chart."""


def fit(
    x: Array,
    rank: int,
    seed: int,
    budget: Budget,
    *,
    learning_rate: float = 1e-2,
    first_share: float = 0.75,
) -> Model:
    """The K latents of least posterior variance are the coordinates; all others are 0 on the way back.

    It has as many latents as there are columns, at most the paper's 64, so that it can find the dimension: the number
    of active ones is in the notes. There is no density on the manifold, and in D dimensions a lower bound alone.
    """
    latents = min(x.shape[1], LATENT_FEATURES)
    fitted, steps = two_stage_vae(
        tensor(x),
        seed=seed,
        budget=budget,
        latent_features=latents,
        hidden_features=(_HIDDEN, _HIDDEN),
        learning_rate=learning_rate,
        first_share=first_share,
    )
    first = fitted.first
    kept = first.posterior_variances(tensor(x)).argsort()[:rank]

    def decode(coordinates: torch.Tensor) -> torch.Tensor:
        points: torch.Tensor = first.decoder(
            coordinates.new_zeros(len(coordinates), latents).index_copy(1, kept, coordinates)
        )
        return points

    return Model(
        rank,
        encode=in_chunks(lambda rows: first.posterior(rows)[0][:, kept]),
        decode=in_chunks(decode),
        sample=samples_of(lambda count, generator: fitted.sample(count, generator=generator), seed),
        notes={
            "steps": steps,
            "parameters": parameters(fitted),
            "latents": latents,
            "active": first.active_latents(tensor(x)),
            "gamma": float(f"{first.gamma:.4g}"),
        },
    )


RIVAL = Rival(
    fit,
    "Dai and Wipf, ICLR 2019",
    tried={"learning_rate": (1e-2, 3e-3, 2e-2, 4e-2), "first_share": (0.75, 0.5, 0.9)},
    judged_by=(ERROR, DISTANCE, COVERAGE),
)
