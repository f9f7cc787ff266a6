"""Diagnosis of failed training steps: a context that is none, a domain left, data that was not scaled."""

from __future__ import annotations

import math

import torch
from nflows.distributions import Distribution
from nflows.transforms.base import InputOutsideDomain
from torch import Tensor, nn

from nflows_spread.hosts import encode_with_logabsdet
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.losses import SpreadKLLoss
from nflows_spread.training.randomness import isolated_randomness
from nflows_spread.training.sources import Batch

_UNSCALED = 100.0
"""Largest absolute value of data of about unit scale; beyond it the data was not scaled. A choice; not measured."""

_OUT_OF_HAND = 1e6
"""Latents beyond it are of a flow whose parameters have run away, which says nothing about its domain. A choice."""

_OF_THE_OPTIMIZER = "lower the learning rate, set gradient_clip, or raise the data noise"


def one_number(loss: object) -> Tensor:
    """The loss, unless it is none: ``TypeError`` for anything but a tensor with one entry."""
    if isinstance(loss, Tensor) and loss.numel() == 1:
        return loss
    got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"{type(loss).__name__}"
    raise TypeError(
        f"objective(x) must be one number, the loss, got {got}; take the mean over the batch, or pass "
        "SpreadKLLoss(flow) for a flow"
    )


def explained(error: Exception, objective: nn.Module, batch: Batch, *, first: bool) -> Exception:
    """The error with which an objective refused a batch, or one that says what can be done.

    Args:
        error: what the objective raised.
        objective: what is trained.
        batch: what it was called with.
        first: whether no batch has gone through it before.
    """
    if isinstance(objective, Distribution) and type(objective).forward is Distribution.forward:
        kind = type(objective).__name__
        return TypeError(f"objective must be a loss, got {kind}, which is a flow; pass SpreadKLLoss(flow)")
    if isinstance(error, InputOutsideDomain):
        reason = _domain(objective, batch, first=True) or "transform the data into it before, or take the transform out"
        return ValueError(f"data must lie in the domain of every transform, got a batch that does not: {reason}")
    if first and len(batch) > 1 and _takes_no_context(objective, batch):
        return ValueError(
            f"the second part of data is a context, and the objective must take it, objective(x, context); got one of "
            f"{batch[1].dtype} and shape {tuple(batch[1].shape)}, which it refuses ({error}), and rows alone it takes; "
            "pass these alone, without their labels, or build a flow that is conditioned on a context"
        )
    return error


def likely_cause(objective: nn.Module, batch: Batch, *, first: bool) -> str:
    """What most likely made the loss of a batch, or a parameter, infinite or NaN, and what helps.

    Args:
        objective: what is trained.
        batch: its last one.
        first: whether no step has gone well before.
    """
    largest = float(batch[0].detach().abs().max())
    if largest > _UNSCALED:
        return (
            f"the data is not scaled, this batch has values up to {largest:.3g}; subtract the mean and divide by the "
            f"standard deviation first, and if that is no help {_OF_THE_OPTIMIZER}"
        )
    for name, layer in objective.named_modules():
        if first and "ActNorm" in type(layer).__name__ and not _is_finite(layer):
            return (
                f"{name} ({type(layer).__name__}) has set itself from a batch in which a channel does not vary; call "
                "nflows_spread.initialize(flow, x) before training"
            )
    finite = _is_finite(objective)
    return (_domain(objective, batch, first=first) if finite else None) or _OF_THE_OPTIMIZER


def _is_finite(module: nn.Module) -> bool:
    return all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())


@torch.no_grad()
def _domain(objective: nn.Module, batch: Batch, *, first: bool) -> str | None:
    """What to do if rows, or rows with noise, are where a transform is not defined; None if that is not the cause."""
    if not isinstance(objective, SpreadKLLoss):
        return None
    x = batch[0]
    with evaluating(objective), isolated_randomness(objective):
        largest = [_largest_result(objective.flow, *(part[i : i + 1] for part in batch[:2])) for i in range(len(x))]
    bad = [i for i, value in enumerate(largest) if not math.isfinite(value)]
    if any(_OUT_OF_HAND < value < math.inf for value in largest):
        return None
    if bad and (first or len(bad) < len(x)):  # all of them, after steps that went well: the flow is to blame
        low, high = x[bad[0]].min(), x[bad[0]].max()
        return (
            f"{len(bad)} of {len(x)} rows, the first with values from {low:.4g} to {high:.4g}, are on the edge of a "
            "transform's domain or outside of it, as 0 and 1 are for Logit; scale the data into its inside"
        )
    if not bad and objective.data_noise > 0.0:
        return (
            f"the data noise of {objective.data_noise:.3g} takes rows out of a transform's domain, such as [0, 1] for "
            "Logit, in which they are without it; apply that transform to the data before training, or lower the "
            "data noise"
        )
    return None


def _largest_result(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> float:
    """Of latents and log-determinants; infinite or NaN where they are not defined."""
    try:
        z, logabsdet = encode_with_logabsdet(flow, x, context)
    except InputOutsideDomain:
        return math.inf
    return float(z.abs().max() + logabsdet.abs().max())


@torch.no_grad()
def _takes_no_context(objective: nn.Module, batch: Batch) -> bool:
    with evaluating(objective), isolated_randomness(objective):
        try:
            objective(batch[0])
        except Exception:  # whatever it is, the context is not alone to blame
            return False
    return True
