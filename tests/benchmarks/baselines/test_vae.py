"""The autoencoder: its widths, its bound on the evidence, its samples."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from baselines.vae import VariationalAutoencoder

IMAGES = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def autoencoder(dtype: torch.dtype = torch.float64) -> VariationalAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return VariationalAutoencoder(64, 3, hidden_features=(20, 10)).to(dtype)


def test_the_autoencoder_has_the_widths_of_the_paper() -> None:
    model = VariationalAutoencoder(784, 5)
    widths = [tuple(p.shape) for p in model.parameters() if p.dim() == 2]
    assert widths == [(400, 784), (200, 400), (10, 200), (200, 5), (400, 200), (784, 400)]
    assert model.decoder_noise == 0.3


def test_its_loss_is_minus_the_evidence_lower_bound() -> None:
    model, x = autoencoder(), IMAGES.flatten(1).double()
    model.generator = torch.Generator().manual_seed(2)
    loss = model(x)
    mean, log_variance = model.posterior(x)
    q = Normal(mean, (0.5 * log_variance).exp())
    noise = torch.empty_like(mean).normal_(generator=torch.Generator().manual_seed(2))
    decoded = model.decoder(q.loc + q.scale * noise)
    bound = Normal(decoded, 0.3).log_prob(x).sum(1) - kl_divergence(q, Normal(0.0, 1.0)).sum(1)
    assert loss.item() == pytest.approx(-bound.mean().item(), rel=1e-10)


def test_the_bound_is_below_the_evidence() -> None:
    model, x = autoencoder(), IMAGES[:5].flatten(1).double()
    generator = torch.Generator().manual_seed(3)
    model.generator = generator
    bound = -torch.stack([model(x).detach() for _ in range(300)]).mean()
    z = torch.empty(20_000, 3, dtype=torch.float64).normal_(generator=generator)
    likelihoods = torch.stack([Normal(model.decoder(z).detach(), 0.3).log_prob(image).sum(1) for image in x])
    evidence = (likelihoods.logsumexp(1) - torch.tensor(20_000.0).log()).mean()
    assert bound < evidence


def test_its_samples_are_decoded_latents_of_its_dimension() -> None:
    model = autoencoder()
    x, z = model.float().sample(200, generator=torch.Generator().manual_seed(0))
    assert x.shape == (200, 64)
    assert z.shape == (200, 3)
    assert torch.equal(x, model.decoder(z))
    again, _ = model.sample(200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(x, again)
    jacobian = torch.func.jacrev(model.decoder)(z[0])
    assert int(torch.linalg.matrix_rank(jacobian)) == 3
