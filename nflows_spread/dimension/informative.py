"""Informative dimensions: in how many latent directions labels differ, and in which; sufficient dimension reduction.

The question of GIN (P. Sorrenson, C. Rother and U. Köthe, Disentanglement by nonlinear ICA, ICLR 2020), asked of any
flow: all other directions say nothing about the label that these do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.data_noise import data_noise_of
from nflows_spread.dimension.latents import Latents
from nflows_spread.hosts import base_of, encode
from nflows_spread.linalg.label_information import FOLDS, directions_by_label, held_out_log_losses

_STANDARD_ERRORS = 3.0
"""How many standard errors make a difference of log-losses: a choice, one in 740 by chance."""

_LEAST_SHARE = 0.05
"""The share of the information that may be left out, or of what is then unknown if that is less, as what a flow leaves
of a curved set in other directions says a little, too: by trials of 0.02 and 0.05 on twelve random mixtures that are
not GIN's."""

_LARGEST_SHARE = 0.1
"""That of the smallest dimension of the interval: a choice."""

_COMPARED = 256
"""Rows by which it is told whether the transform sees the context: a choice, as one would do."""


class InformativeDimensions(int):
    """A number of informative dimensions that remembers where it comes from. It is an ``int`` otherwise.

    Attributes:
        information: what the first k directions tell of the label, for k = 0 … D, in nats, of held-out rows, (D + 1,);
            the entropy of the labels is the most that can be told, and below 0 is worse than not to look.
        error: standard error of the information of all that count, in nats.
        gap: how clearly: the logarithm of the ratio between what the last direction that counts adds and what all
            others would add, or three standard errors of it if that is more; infinite where none counts.
        interval: from the number that a tenth of the information may be missing at, to that of all that is not chance.
        divergences: how far labels differ along each direction, in descending order, (D,): twice the mean
            Kullback-Leibler divergence of a label's Gaussian from that of all rows, to second order.
        directions: W, (D, D), of the coordinates (z − mean) W, which have covariance I, in the same order.
        mean: of the latents, (D,).
        context: the row of the label whose encoder is used for all, where the transform sees the label, or None.

    None of the numbers depends on an invertible affine map of the latents, nor do the coordinates.
    """

    information: Tensor
    error: float
    gap: float
    interval: tuple[int, int]
    divergences: Tensor
    directions: Tensor
    mean: Tensor
    context: Tensor | None

    def __new__(cls, value: int, **found: Any) -> InformativeDimensions:
        dimensions = super().__new__(cls, value)
        dimensions.__dict__.update(found)
        return dimensions

    def __reduce__(self) -> tuple[Any, tuple[int, dict[str, Any]]]:
        return _rebuilt, (int(self), dict(self.__dict__))

    def __repr__(self) -> str:
        nats = float(self.information[int(self)])
        return (
            f"InformativeDimensions({int(self)}, information={nats:.3f}, gap={self.gap:.2f}, interval={self.interval})"
        )

    @torch.no_grad()
    def coordinates(self, flow: nn.Module, x: Tensor) -> Tensor:
        """The informative coordinates of data (n, ...), (n, k), of mean 0, variance 1 and no correlation as a whole.

        Args:
            flow: the one that was asked.
            x: data, with labels or without.
        """
        context = None if self.context is None else self.context.expand(len(x), *self.context.shape[1:])
        z = encode(flow, x, context).flatten(1).double()
        return ((z - self.mean) @ self.directions[:, : int(self)]).to(x.dtype)


@torch.no_grad()
@typed
def informative_dimensions(
    flow: nn.Module,
    x: Tensor,
    labels: Tensor | Sequence[Any],
    *,
    context: Tensor | None = None,
    data_noise: float | None = None,
    generator: torch.Generator | None = None,
) -> InformativeDimensions:
    """In how many directions of the latent space labels differ, for any flow and whatever it knows of the labels.

    With a Gaussian N(m_c, S_c) for the latents of each label c, the directions are ordered by the eigenvalues of
    Σ_c w_c (d_c d_cᵀ + ½ (V_c − I)²), d_c and V_c the mean and covariance of a label where all latents have 0 and I: in
    those of eigenvalue 0 all labels have one mean and one covariance. What the first k of them tell of the label
    is measured on held-out rows by the Gaussians' own p(c | z). The answer is the smallest k beyond which no more is
    told, but for three standard errors or 5 % of it, or of what is then unknown if that is less: what a flow leaves of
    a curved set in other directions differs by label, too, yet says nothing that the first ones do not.

    Where the labels are given to the base, or to nobody, latents are g(x̃) of the noisy data x̃ = x + σ_x ε. Where the
    transform sees them, through the context, each label has latents of its own, which may all have one distribution;
    then all rows are encoded as those of the label that has the most.

    Args:
        flow: a flow of any host, of any base.
        x: data, shape (n, ...), of each label at least 5/4 (D + 1) rows.
        labels: of the rows, (n,): a tensor or an array of whole numbers, or a list of anything that is equal or not.
        context: conditioning inputs, one row for each row of ``x``, or one for all, if the flow takes any.
        data_noise: σ_x, in data units; by default what the base is trained with.
        generator: source of the noise and of the folds of the cross-validation.

    Raises:
        TypeError: ``x`` is not of a floating dtype, or the labels are floating-point numbers.
        ValueError: labels and rows differ in number, all labels are equal, a label has too few rows, the latents lie
            in fewer dimensions, or rows of one label differ in the context that the transform sees.

    Warns:
        UserWarning: ``data_noise`` is not given and the base does not know it; 0 is taken.
    """
    validation.two_points("x", x)
    codes, count = _codes_of(labels, len(validation.points("x", x)), x[0].numel())
    codes, context = codes.to(x.device), validation.context_of(len(x), context)
    base = base_of(flow)
    noise = data_noise_of(base, data_noise)
    reference = None if context is None else _reference(flow, x, context, codes)
    given = context if reference is None else reference.expand(len(x), *reference.shape[1:])
    z = Latents(flow, base, x, given, noise, generator).with_noise()
    values, mean, directions = directions_by_label(z, codes, count)
    losses = held_out_log_losses(z, codes, count, generator=generator)
    told = losses[:, :1] - losses
    information = told.mean(0)
    dimension, gap = _smallest(losses, information, _LEAST_SHARE)
    return InformativeDimensions(
        dimension,
        information=information.cpu(),
        error=float(told[:, dimension].std()) / len(x) ** 0.5,
        gap=gap,
        interval=(_smallest(losses, information, _LARGEST_SHARE)[0], _smallest(losses, information, 0.0)[0]),
        divergences=values.cpu(),
        directions=directions,
        mean=mean,
        context=reference,
    )


def _smallest(losses: Tensor, information: Tensor, share: float) -> tuple[int, float]:
    """The smallest k beyond which at most this share of what can be told is, or nothing sure, and its gap."""
    best = int(information.argmax())
    missing = losses - losses[:, best : best + 1]
    chance = _STANDARD_ERRORS * missing.std(0) / len(losses) ** 0.5
    told = torch.minimum(information[best], losses.mean(0))  # or what is not known yet, if that is less
    k = int((missing.mean(0) <= torch.maximum(chance, share * told)).nonzero()[0])
    if k == 0:
        return 0, math.inf
    last = losses[:, k - 1] - losses[:, k]
    others = max(float(missing[:, k].mean()), _STANDARD_ERRORS * float(last.std()) / len(losses) ** 0.5)
    return k, max(0.0, math.log(max(float(last.mean()), others) / others))


def _codes_of(labels: Tensor | Sequence[Any], rows: int, features: int) -> tuple[Tensor, int]:
    """The labels as whole numbers from 0, (n,), in the order in which they first occur, and how many there are."""
    if not hasattr(labels, "__len__"):
        raise TypeError(f"labels must be one for each of the {rows} rows of x, got {labels!r}")
    values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if len(values) != rows:
        raise ValueError(f"labels must have one entry for each of the {rows} rows of x, got {len(values)}")
    if any(isinstance(value, (float, complex, list)) for value in values):
        kind = type(next(value for value in values if isinstance(value, (float, complex, list)))).__name__
        raise TypeError(
            f"labels must be whole numbers or names, one for each row, got entries of type {kind}; pass "
            "labels.argmax(1) for one-hot rows, labels.long() for whole numbers, or bins of a continuous quantity"
        )
    numbers = {value: code for code, value in enumerate(dict.fromkeys(values))}
    if len(numbers) < 2:
        raise ValueError(f"labels must differ, got {rows} times {values[0]!r}; pass rows of two labels at least")
    codes = torch.tensor([numbers[value] for value in values])
    least = math.ceil((features + 1) * FOLDS / (FOLDS - 1))
    counts = torch.bincount(codes)
    if int(counts.min()) < least:
        few = list(numbers)[int(counts.argmin())]
        raise ValueError(
            f"each label must have at least {least} rows, 5/4 (D + 1) at D = {features}, got {int(counts.min())} of "
            f"{few!r}; pass more rows, leave this label out, or join labels"
        )
    return codes, len(numbers)


def _reference(flow: nn.Module, x: Tensor, context: Tensor, codes: Tensor) -> Tensor | None:
    """The context of the label with the most rows, (1, ...), or None where the transform does not see any.

    Raises:
        ValueError: the transform sees it, and it differs among rows of one label.
    """
    own = torch.bincount(codes).argmax()
    reference = context[codes == own][:1]
    some = torch.linspace(0, len(x) - 1, min(len(x), _COMPARED), device=x.device).long()
    others = context[some].flip(0), reference.expand(len(some), *reference.shape[1:])
    z = encode(flow, x[some], context[some])
    if all(bool(torch.isclose(encode(flow, x[some], other), z).all()) for other in others):
        return None
    for code in codes.unique():
        rows = context[codes == code]
        if not bool((rows == rows[:1]).all()):
            raise ValueError(
                "context must be the same for all rows of a label where the transform of the flow sees it, got rows "
                f"{rows[0].tolist()} and {rows[(rows != rows[:1]).flatten(1).any(1)][0].tolist()}; give the other "
                "conditions one value, and ask again at another"
            )
    return reference


def _rebuilt(value: int, found: dict[str, Any]) -> InformativeDimensions:
    return InformativeDimensions(value, **found)
