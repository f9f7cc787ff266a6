"""A degenerate posterior with sbi: neural posterior estimation whose density estimator has our base.

A simulator that shows only the sum of two of three parameters, without noise, leaves a posterior on a plane. Needs sbi
(``pip install sbi``), version 0.27 was tried, which writes its logs to ``sbi-logs/`` where it runs. Run it:
``python examples/sbi_posterior.py``; ``--epochs`` sets how long it trains.
"""

from __future__ import annotations

import argparse

import torch
from sbi.inference import NPE
from sbi.neural_nets import posterior_nn
from torch import Tensor, nn

from nflows_spread import (
    DegenerateGaussian,
    IntrinsicDimension,
    base_of,
    chart_of,
    intrinsic_dimension,
    sample,
    swap_base,
)

NOISE = 0.05
"""σ_x, which is added to the parameters, in their units."""


def simulator(theta: Tensor) -> Tensor:
    """a + b, of parameters (a, b, c)."""
    return theta[:, :2].sum(1, keepdim=True)


def density_estimator(theta: Tensor, x: Tensor) -> nn.Module:
    """sbi's neural spline flow, with another base; "zuko_nsf" takes it the same way."""
    estimator: nn.Module = posterior_nn(model="nsf", hidden_features=32, num_transforms=3)(theta, x)
    estimator.net = swap_base(estimator.net, DegenerateGaussian([theta.shape[1]]))  # was: nothing
    return estimator


def main(epochs: int = 60, simulations: int = 5000) -> IntrinsicDimension:
    """Train, draw from the posterior for one observation, and return the dimension of the posteriors."""
    torch.manual_seed(0)
    prior = torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3))
    theta = prior.sample((simulations,))
    noisy, x = theta + NOISE * torch.randn_like(theta), simulator(theta)  # was: theta

    inference = NPE(prior, density_estimator=density_estimator, show_progress_bars=False)
    inference.append_simulations(noisy, x)
    estimator = inference.train(training_batch_size=200, max_num_epochs=epochs, stop_after_epochs=epochs)
    posterior = inference.build_posterior(estimator)

    observed = torch.tensor([[1.0]])
    flow = estimator.net.eval()
    base_of(flow).data_noise = NOISE
    found = intrinsic_dimension(flow, noisy[:1000], context=x[:1000])
    print(f"dimension of the posteriors {int(found)} of 3 (gap {found.gap:.1f} nats)")
    drawn = posterior.sample((1000,), x=observed, show_progress_bars=False)
    with torch.no_grad():
        chart = chart_of(flow, rank=int(found), context=x[:1000])
        on_the_plane = sample(flow, 1000, rank=int(found), context=observed.expand(1000, -1), chart=chart)
    for name, points in (("sbi's draws", drawn), ("draws on the manifold", on_the_plane)):
        off, along = float((simulator(points) - observed).std()), float((points[:, 0] - points[:, 1]).std())
        print(f"{name:22} a + b off by {off:.3f} (right: 0)   a - b within {along:.2f} (right: 1.41)")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    main(parser.parse_args().epochs)
