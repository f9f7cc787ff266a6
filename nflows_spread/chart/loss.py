"""Manifold learning at a known dimension: spread KL divergence plus the reconstruction error of K coordinates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.chart.chart import Chart
from nflows_spread.chart.inverse import explained, rows_off
from nflows_spread.chart.latent_maps import LatentMaps
from nflows_spread.hosts import base_of, decode, encode
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.linalg.torch_func import under_transforms
from nflows_spread.losses import SpreadKLLoss


class ChartLoss(SpreadKLLoss):
    """``SpreadKLLoss`` that asks the flow for K coordinates from which the data can be reconstructed:

        L + w E‖x − f(m + (g(x + σ_x ε) − m) P Q)‖² / 2σ_x².

    A likelihood never asks for K straight directions; once the dimension is known one can. m, P and Q are those of a
    chart and stay as they are: it is the flow that is trained, prior included, until they are right for it. At w = 1
    the second term is the negative log-likelihood of the data about its reconstruction, with the data noise as
    deviation, in nats; it cannot fall below some w K / 2, as noise along the manifold stays in the coordinates. It
    leaves the first term as it is, so a volume-preserving flow stays one, and costs one pass through the decoder.

    Read a trained flow out as ever: ``chart_of``, ``project``, ``reconstruct`` and ``sample`` find these directions
    and bring them to the units of the data.

    Args:
        flow: a flow of any host whose base is a ``DegenerateGaussian``, trained by ``SpreadKLLoss`` so far that its
            dimension is known.
        chart: ``chart_of(flow, x, rank=K)``, of this flow, in any order.
        weight: w, at least 0. Assign to ``weight`` to change it, as a schedule does.
        data_noise: σ_x, above 0, as for ``SpreadKLLoss``: by default what the base knows.
        entropy: as for ``SpreadKLLoss``.
        generator: source of both noises.

    Raises:
        TypeError: the base of ``flow`` is no ``DegenerateGaussian``, or ``chart`` is no ``Chart``.
        ValueError: ``chart`` is of another flow, ``weight`` or ``data_noise`` is negative, or there is no data noise.

    Example:
        >>> from nflows_spread import chart_of
        >>> from nflows_spread.models import coupling_flow
        >>> flow, x = coupling_flow(3, layers=2), torch.randn(100, 3)
        >>> chart = chart_of(flow, x, rank=2, data_noise=0.05)
        >>> objective = ChartLoss(flow, chart, data_noise=0.05)
        >>> objective(x).backward()
    """

    mean: Tensor
    forth: Tensor
    back: Tensor

    @typed
    def __init__(
        self,
        flow: nn.Module,
        chart: Chart,
        *,
        weight: float = 1.0,
        data_noise: float | None = None,
        entropy: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        if not isinstance(chart, Chart):
            raise TypeError(f"chart must be a Chart, got {type(chart).__name__}; make it by chart_of(flow, x, rank=K)")
        chart.check_flow(flow)
        checked = validation.non_negative("weight", weight)
        noise = getattr(base_of(flow), "data_noise", None) if data_noise is None else data_noise
        _above_zero(0.0 if noise is None else noise)
        super().__init__(flow, data_noise=data_noise, entropy=entropy, generator=generator)
        self._weight = checked
        self._may_check = True
        for name in ("mean", "forth", "back"):  # with the parameters: saved, moved and resumed
            self.register_buffer(name, getattr(chart.maps, name).detach().clone())

    @property
    def rank(self) -> int:
        """K."""
        return len(self.back)

    @property
    def weight(self) -> float:
        """w, of the reconstruction term."""
        return self._weight

    @weight.setter
    def weight(self, value: float) -> None:
        self._weight = validation.non_negative("weight", value)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The loss on a batch.

        Args:
            x: data, shape (n, ...).
            context: conditioning inputs, one row for each row of ``x``, or one for all.

        Returns:
            The mean over the batch, in nats, a scalar.

        Raises:
            TypeError: ``x`` is not of a floating dtype.
            ValueError: ``x`` is empty or not finite, the latents do not fit the base, ``data_noise`` is 0, or the flow
                has no inverse on the first batch.
        """
        noise = _above_zero(self.data_noise)
        self._check_inverse(validation.points("x", x), context, noise)
        loss, z = self._loss_and_latents(x, context)
        if self.weight == 0.0:
            return loss
        with explained(self.flow):
            kept = LatentMaps(self.mean, self.forth, self.back).kept(z)
            reconstruction = decode(self.flow, kept, context)
        error = (x - reconstruction).flatten(1).square().sum(1).mean()
        return loss + self.weight * error / (2.0 * noise**2)

    def _check_inverse(self, x: Tensor, context: Tensor | None, noise: float) -> None:
        """Once in the life of this loss, and before anything is changed: f(g(x)) must be x to within the noise."""
        if not self._may_check or torch.compiler.is_compiling() or under_transforms(x):
            return
        with torch.no_grad(), evaluating(self.flow), explained(self.flow):
            largest = float(rows_off(x, decode(self.flow, encode(self.flow, x, context), context)).max())
        if not largest <= noise:
            raise ValueError(
                f"decode(flow, encode(flow, x)) must be x to within the data noise of {noise:.3g}, got rows that are "
                f"off by {largest:.3g} a feature; train a flow with an exact inverse, or in float64"
            )
        self._may_check = False


def _above_zero(noise: float) -> float:
    if not validation.non_negative("data_noise", noise) > 0.0:
        raise ValueError(
            "data_noise must be above 0 for reconstructions, whose error is measured in it, got 0; pass data_noise=..."
        )
    return noise
