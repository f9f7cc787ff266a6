"""What hypothesis draws: seeds, sizes, scales over many magnitudes, and tensors made of them."""

import torch
from hypothesis import settings
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**31 - 1)


def share_of_cases(share):
    """A decorator that makes so many of the cases of the profile, for properties that take longer to check."""
    return settings(max_examples=max(3, int(share * settings().max_examples)))


def magnitudes(smallest, largest):
    """Positive numbers whose logarithms are uniform: 10^a, smallest ≤ a ≤ largest."""
    return st.floats(smallest, largest, allow_nan=False).map(lambda exponent: 10.0**exponent)


def normal(seed, *shape):
    """Standard normal numbers of a seed, float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotation(seed, features):
    """An orthogonal matrix of a seed, (D, D), float64."""
    return torch.linalg.qr(normal(seed, features, features)).Q


@st.composite
def spectra(draw, most=7, smallest=-6.0, largest=6.0):
    """D and the eigenvalues of an AAᵀ, descending, (D,): of any rank from 0 to D, over many magnitudes."""
    features = draw(st.integers(1, most))
    rank = draw(st.integers(0, features))
    values = sorted((draw(magnitudes(smallest, largest)) for _ in range(rank)), reverse=True)
    return torch.tensor(values + [0.0] * (features - rank), dtype=torch.float64)
