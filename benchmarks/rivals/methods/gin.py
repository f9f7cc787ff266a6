"""GIN in the benchmark of rivals, on sets that have labels: K of its latents are the coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.budgeted_training import Budget
from baselines.labelled_training import labelled_flow
from charts.data_set import Array, Labels
from charts.measures import ERROR
from charts.model import Model
from rivals.measures import DISTANCE
from rivals.methods.injective import outer_size
from rivals.rival import Rival, in_chunks, parameters, samples_of, tensor

_BATCH_SIZE = 100
"""Rows a step, as of the others; the paper's 1000 are of its 10 000 rows."""


def fit(
    x: Array,
    rank: int,
    seed: int,
    budget: Budget,
    *,
    labels: Labels,
    learning_rate: float = 3e-2,
    data_noise: float = 0.01,
) -> Model:
    """The coordinates are the K latents of largest variance over all labels; the others are put at their means."""
    flow, steps = labelled_flow(
        tensor(x),
        torch.as_tensor(labels),
        seed=seed,
        budget=budget,
        batch_size=_BATCH_SIZE,
        learning_rate=learning_rate,
        data_noise=data_noise,
        **outer_size(x.shape[1]),
    )
    means, variances = flow.moments()
    kept = variances.argsort(descending=True)[:rank]

    def decode(coordinates: Tensor) -> Tensor:
        z = means.repeat(len(coordinates), 1)
        z[:, kept] = coordinates
        return flow.decode(z)

    return Model(
        rank,
        encode=in_chunks(lambda rows: flow.encode(rows)[:, kept]),
        decode=in_chunks(decode),
        sample=samples_of(lambda count, generator: flow.sample(count, generator=generator), seed),
        log_prob=in_chunks(flow.log_prob),
        notes={"steps": steps, "parameters": parameters(flow), "labels": len(flow.shares)},
    )


RIVAL = Rival(
    fit,
    "Sorrenson, Rother and Köthe, ICLR 2020",
    tried={"learning_rate": (1e-2, 1e-3, 3e-3, 3e-2, 6e-2), "data_noise": (0.01, 0.003, 0.03, 0.1)},
    judged_by=(ERROR, DISTANCE),
    labelled=True,
)
