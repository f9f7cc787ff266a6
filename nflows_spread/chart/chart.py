"""Chart of a manifold: coordinates of data, points at coordinates, samples, densities and reconstruction error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.chart.latent_maps import LatentMaps
from nflows_spread.chart.tangents import tangents
from nflows_spread.distributions import DegenerateGaussianMixture
from nflows_spread.hosts import base_of, decode, encode
from nflows_spread.hosts.placement import placement_of
from nflows_spread.linalg.autocast import full_precision
from nflows_spread.linalg.dense import diagonal_log_prob

_ROWS = 1024
"""Rows that pass through the flow at a time where nothing is differentiated: a choice, for memory."""


@dataclass(frozen=True)
class Chart:
    """K coordinates of a trained flow: the one object behind ``project``, ``reconstruct``, ``sample`` and densities.

    Coordinates are linear in the latents, c = (z − m) P with z = g(x), and a point at coordinates is f(m + c Q). They
    are ordered, so that the chart of rank k < K is made of the first k, ``first(k)``. Build it with ``chart_of``.

    Attributes:
        flow: the flow, of any host; shared and not copied.
        maps: m, P and Q, float64.
        noisy_variances: of the coordinates of the noisy data, (K,), float64: μ in the order ``"signal-to-noise"``, in
            data units squared; else in the units of the maps, as the prior has them.
        data_noise: σ_x, of which each coordinate has as much, in data units; 0 in the other orders.
        order: what the coordinates are ordered by.
        shape: of one latent.
    """

    flow: nn.Module
    maps: LatentMaps
    noisy_variances: Tensor
    data_noise: float
    order: str
    shape: torch.Size

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Charts of older versions were maps to coordinates of unit variance; their estimator has the flow."""
        if "inverse" in state:
            maps = LatentMaps(state["mean"], state["directions"], state["inverse"])
            variances = torch.ones_like(maps.mean)
            state = {"flow": None, "maps": maps, "noisy_variances": variances, "data_noise": 0.0}
            state |= {"order": "signal-to-noise", "shape": maps.mean.shape}
        self.__dict__.update(state)

    @property
    def rank(self) -> int:
        """K."""
        return len(self.noisy_variances)

    @property
    def variances(self) -> Tensor:
        """Of the coordinates on the manifold, without the noise of training, (K,)."""
        return (self.noisy_variances - self.data_noise**2).clamp_min(0.0)

    def first(self, rank: int) -> Chart:
        """The chart of the first coordinates alone.

        Raises:
            ValueError: ``rank`` is below 1 or above K.
        """
        kept = validation.rank_within(rank, self.rank)
        return replace(self, maps=self.maps.first(kept), noisy_variances=self.noisy_variances[:kept])

    def coordinates(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(g(x) − m) P of data (n, ...), shape (n, K), in its dtype.

        Args:
            x: data, shape (n, ...).
            context: conditioning inputs, one row for each row of ``x``.

        Raises:
            TypeError, ValueError: ``x`` is no finite floating-point data of the flow.
        """
        return self.maps.coordinates(encode(self.flow, validation.points("x", x), context))

    def points(self, coordinates: Tensor, context: Tensor | None = None) -> Tensor:
        """f(m + c Q) at coordinates (n, K), the shape and units of the data.

        Raises:
            ValueError: the coordinates are not (n, K), or not finite.
        """
        if validation.points("coordinates", coordinates).shape[1:] != (self.rank,):
            raise ValueError(
                f"coordinates must have shape (n, {self.rank}), got {tuple(coordinates.shape)}; "
                "first(k) is the chart of k coordinates"
            )
        return decode(self.flow, self.maps.latents(coordinates).view(-1, *self.shape), context)

    def reconstruct(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The point at the coordinates of each row of data, shape of ``x``: the data with all else removed."""
        return self.points(self.coordinates(x, context), context)

    def sample(
        self, num_samples: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Points at coordinates c_k ~ N(0, variance k): samples on the manifold, shape (num_samples, ...).

        Args:
            num_samples: how many; with a context, as many as it has rows.
            context: conditioning inputs, one row for each sample.
            generator: source of the randomness.
        """
        count = validation.positive_int("num_samples", num_samples)
        self._check_one_gaussian()
        dtype = placement_of(self.flow).dtype or torch.get_default_dtype()
        noise = torch.empty(count, self.rank, dtype=dtype, device=self.variances.device).normal_(generator=generator)
        root = (self.maps.back.mT * self.variances.sqrt()).to(noise)
        with full_precision(noise):
            z = noise @ root.mT + self.maps.mean.to(noise)
        return decode(self.flow, z.view(-1, *self.shape), context)

    def coordinate_log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log N(c; 0, noisy_variances) at the coordinates of data, shape (n,): the noisy data's, in nats.

        The 'density allocation' of appendix C.2, a density in the coordinates.

        Raises:
            ValueError: a coordinate has no variance, so that there is no K-dimensional density.
        """
        self._check_density(self.noisy_variances, "vary under the prior")
        return diagonal_log_prob(self.coordinates(x, context), self.noisy_variances)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The density on the manifold at the reconstruction of each row of data, shape (n,): the clean data's, in nats.

        log N(c; 0, variances) − ½ log det(JᵀJ), J the D × K Jacobian of ``points`` at c: a density with respect to the
        K-dimensional area in data units, which no choice of coordinates changes.

        Raises:
            ValueError: a coordinate varies no more than the data noise, or the points do not move with each.
        """
        self._check_density(self.variances, "vary more than the data noise")
        c = self.coordinates(x, context)
        columns = tangents(lambda c: self.points(c, context), c).double()
        sign, log_area = torch.linalg.slogdet(columns @ columns.mT)
        if not bool((sign > 0).all()):
            raise ValueError(
                f"points of the chart must move with each of its {self.rank} coordinates, got a Jacobian without full "
                "rank; take fewer coordinates"
            )
        return diagonal_log_prob(c, self.variances) - 0.5 * log_area.to(c.dtype)

    @torch.no_grad()
    def reconstruction_error(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Root mean squared error of reconstructions from the first 1 … K coordinates, (K,), float64, in data units.

        √E‖x − f(m + c Q)‖² over the rows. Over the root of the data's total variance it is the share that is left.

        Args:
            x: data, best held out, shape (n, ...).
            context: conditioning inputs, one row for each row of ``x``.
        """
        validation.points("x", x)
        validation.context_of(len(x), context)
        total = torch.zeros(self.rank, dtype=torch.float64, device=x.device)
        for index in torch.arange(len(x), device=x.device).split(_ROWS):
            given = None if context is None else context[index]
            c = self.coordinates(x[index], given)
            for k in range(1, self.rank + 1):
                difference = self.first(k).points(c[:, :k], given) - x[index]
                total[k - 1] += difference.double().square().sum()
        return (total / len(x)).sqrt()

    def _check_one_gaussian(self) -> None:
        base = None if self.flow is None else base_of(self.flow)
        if isinstance(base, DegenerateGaussianMixture) and base.pieces > 1:
            raise TypeError(
                "samples and densities of a chart are those of one Gaussian as prior, got a prior of "
                f"{base.pieces} pieces; draw decode(flow, base.sample(n, rank=K)), and ask flow.log_prob for densities"
            )

    def _check_density(self, variances: Tensor, that: str) -> None:
        self._check_one_gaussian()
        flat = int((variances <= 0.0).sum())
        if flat:
            raise ValueError(
                f"rank must be at most {self.rank - flat}, the number of coordinates that {that}, got {self.rank}"
            )
