"""What the flow for any density does to its data before anything is trained."""

import torch

from nflows_spread.models import density_flow


def test_features_start_with_mean_0_and_unit_scale_and_flat_ones_at_a_tenth_of_the_scale():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 3, generator=generator) * torch.tensor([2.0, 0.3, 0.05]) + torch.tensor([5.0, -1.0, 0.5])
    flow = density_flow(x, layers=1, hidden_features=(4,), generator=generator)
    standardised, logabsdet = flow._transform._transforms[0](x)
    expected = torch.tensor([1.0, 1.0, float(x[:, 2].std(0, unbiased=False)) / 0.1])
    torch.testing.assert_close(standardised.mean(0), torch.zeros(3), rtol=0.0, atol=1e-5)
    torch.testing.assert_close(standardised.std(0, unbiased=False), expected)
    torch.testing.assert_close(logabsdet[0], (expected / x.std(0, unbiased=False)).log().sum())
