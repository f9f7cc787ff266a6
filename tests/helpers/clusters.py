"""Points in clusters, for mixtures."""

import torch


def three_clusters(rows=300, seed=0):
    """Round of one axis and flat of the other, six standard deviations apart, (rows, 2), float64."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]], dtype=torch.float64)
    noise = torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    return centres[torch.arange(rows) % 3] + noise * torch.tensor([1.0, 0.3])
