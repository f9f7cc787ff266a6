"""Chart of a manifold: coordinates of data, points at coordinates, samples, densities and reconstruction error."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.chart.directions import ORDERS
from nflows_spread.chart.inverse import check_inverse, decoded, encoded
from nflows_spread.chart.latent_maps import LatentMaps
from nflows_spread.chart.pieces import Pieces
from nflows_spread.chart.tangents import tangents
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
        pieces: the density of the clean coordinates as a mixture of Gaussians; None for one Gaussian, N(0, variances).
    """

    flow: nn.Module = field(repr=False)
    maps: LatentMaps
    noisy_variances: Tensor
    data_noise: float
    order: str
    shape: torch.Size
    pieces: Pieces | None = None

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

    def check_flow(self, flow: nn.Module) -> None:
        """``ValueError`` unless this is a chart of that flow itself: a copy is another flow, which trains by itself."""
        if self.flow is not flow:
            raise ValueError(
                f"chart must be of the flow that is given, got one of another {type(self.flow).__name__}; make it by "
                "chart_of(flow, x, rank=K), or, for a copy of that flow, by dataclasses.replace(chart, flow=flow)"
            )

    def first(self, rank: int) -> Chart:
        """The chart of the first coordinates alone.

        Raises:
            ValueError: ``rank`` is below 1 or above K.
        """
        kept = validation.rank_within(rank, self.rank)
        pieces = None if self.pieces is None else self.pieces.first(kept)
        return replace(self, maps=self.maps.first(kept), noisy_variances=self.noisy_variances[:kept], pieces=pieces)

    def coordinates(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(g(x) − m) P of data (n, ...), shape (n, K), in its dtype; each row by itself.

        Args:
            x: data, shape (n, ...).
            context: conditioning inputs, one row for each row of ``x``, or one for all.

        Raises:
            TypeError, ValueError: ``x`` is no finite floating-point data of the flow, or the flow has no inverse on it:
                a few rows are decoded to see that.
        """
        z = encoded(self.flow, x, context)
        check_inverse(self.flow, x, context, latents=z, scale=self._scale)
        return self.maps.coordinates(z)

    def points(self, coordinates: Tensor, context: Tensor | None = None) -> Tensor:
        """f(m + c Q) at coordinates (n, K), the shape and units of the data.

        Raises:
            ValueError: the coordinates are not (n, K), or not finite, or the flow has no inverse there.
        """
        if validation.points("coordinates", coordinates).shape[1:] != (self.rank,):
            raise ValueError(
                f"coordinates must have shape (n, {self.rank}), got {tuple(coordinates.shape)}; "
                "first(k) is the chart of k coordinates"
            )
        return decoded(self.flow, self.maps.latents(coordinates).view(-1, *self.shape), context)

    def reconstruct(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The point at the coordinates of each row of data, shape of ``x``: the data with all else removed.

        Args and errors as for ``coordinates``.
        """
        return self.maps.reconstruct(self.flow, x, context, scale=self._scale)

    def sample(
        self, num_samples: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Points at draws of the coordinates, c_k ~ N(0, variance k) or of the pieces, shape (num_samples, ...).

        They are on the manifold as the chart knows it.

        Args:
            num_samples: how many.
            context: conditioning inputs, one row for each sample, or one for all.
            generator: source of the randomness.
        """
        count = validation.positive_int("num_samples", num_samples)
        context = validation.context_of(count, context, of="samples")
        dtype = placement_of(self.flow).dtype or torch.get_default_dtype()
        if self.pieces is not None:
            return self.points(self.pieces.sample(count, generator=generator).to(dtype), context)
        noise = torch.empty(count, self.rank, dtype=dtype, device=self.variances.device).normal_(generator=generator)
        root = (self.maps.back.mT * self.variances.sqrt()).to(noise)
        with full_precision(noise):
            z = noise @ root.mT + self.maps.mean.to(noise)
        return decoded(self.flow, z.view(-1, *self.shape), context)

    def coordinate_log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log N(c; 0, noisy_variances) or of the pieces at the coordinates of data, (n,): the noisy data's, in nats.

        The 'density allocation' of appendix C.2, a density in the coordinates.

        Raises:
            ValueError: a coordinate has no variance, so that there is no K-dimensional density.
        """
        if self.pieces is not None:
            return self.pieces.widened(self.data_noise**2).log_prob(self.coordinates(x, context))
        self._check_density(self.noisy_variances, "vary under the prior")
        return diagonal_log_prob(self.coordinates(x, context), self.noisy_variances)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The density on the manifold at the reconstruction of each row of data, shape (n,): the clean data's, in nats.

        log q(c) − ½ log det(JᵀJ), q = N(0, variances) or that of the pieces, J the D × K Jacobian of ``points`` at c:
        a density with respect to the K-dimensional area in data units, which no choice of coordinates changes.

        Raises:
            ValueError: a coordinate varies no more than the data noise, or the points do not move with each.
        """
        if self.pieces is None:
            self._check_density(self.variances, "vary more than the data noise")
        c = self.coordinates(x, context)
        columns = tangents(lambda c: self.points(c, context), c).double()
        sign, log_area = torch.linalg.slogdet(columns @ columns.mT)
        if not bool((sign > 0).all()):
            raise ValueError(
                f"points of the chart must move with each of its {self.rank} coordinates, got a Jacobian without full "
                "rank; take fewer coordinates"
            )
        density = diagonal_log_prob(c, self.variances) if self.pieces is None else self.pieces.log_prob(c)
        return density - 0.5 * log_area.to(c.dtype)

    @torch.no_grad()
    def reconstruction_error(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Root mean squared error of reconstructions from the first 1 … K coordinates, (K,), float64, in data units.

        √E‖x − f(m + c Q)‖² over the rows. Over the root of the data's total variance it is the share that is left.

        Args:
            x: data, best held out, shape (n, ...).
            context: conditioning inputs, one row for each row of ``x``, or one for all.
        """
        validation.points("x", x)
        context = validation.context_of(len(x), context)
        total = torch.zeros(self.rank, dtype=torch.float64, device=x.device)
        check_inverse(self.flow, x, context, scale=self._scale)
        for index in torch.arange(len(x), device=x.device).split(_ROWS):
            given = None if context is None else context[index]
            c = self.maps.coordinates(encoded(self.flow, x[index], given))
            for k in range(1, self.rank + 1):
                difference = self.first(k).points(c[:, :k], given) - x[index]
                total[k - 1] += difference.double().square().sum()
        return (total / len(x)).sqrt()

    @property
    def _scale(self) -> float:
        """Of the data in each feature, where the coordinates are in its units; else 0."""
        in_data_units = self.order not in ORDERS
        return float(self.noisy_variances.sum() / len(self.maps.mean)) ** 0.5 if in_data_units else 0.0

    def _check_density(self, variances: Tensor, that: str) -> None:
        flat = int((variances <= 0.0).sum())
        if flat:
            raise ValueError(
                f"rank must be at most {self.rank - flat}, the number of coordinates that {that}, got {self.rank}"
            )
