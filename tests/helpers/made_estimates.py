"""Estimates of a dimension with gaps and neighbours as a test wants them."""

import torch

from nflows_spread import Spectrum
from nflows_spread.dimension import DensityDimension, Estimates, NeighbourDimension

NOISE = 0.01


def estimates(gaps, value, *, below=0.06, above=0.06):
    """A spectrum with the given gaps, in nats, below its eigenvalues and above σ_x², and a neighbours' dimension."""
    logs = torch.tensor(gaps, dtype=torch.float64).flip(0).cumsum(0).flip(0)
    signal = NOISE**2 * logs.exp()
    spectrum = Spectrum(torch.ones(len(gaps), dtype=torch.float64), signal, 1e-6, NOISE)
    neighbours = NeighbourDimension(value, below, above, 0.1, (3,), {"cube": (value,)})
    return Estimates(spectrum, neighbours, DensityDimension(value, value, 0.1, 0.1, NOISE))
