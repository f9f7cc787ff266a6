"""A degenerate posterior with sbi: neural posterior estimation whose density estimator has our base.

A simulator that shows only the sum of two of three parameters, without noise, leaves a posterior on a plane. sbi's own
draws are about the plane; those of the chart are on it, and the dimension is known.

Run it: ``python examples/sbi_posterior.py``; it needs sbi (``pip install sbi``), version 0.27 was tried, which writes
its logs to ``sbi-logs/`` where it runs. It prints the dimension and how far both kinds of draws are off the plane, and
draws them into ``--out``. ``--epochs`` sets how long it trains.
"""

from __future__ import annotations

import argparse
from pathlib import Path

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
    plots,
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


def main(epochs: int = 60, simulations: int = 5000, out: Path | None = None) -> IntrinsicDimension:
    """Train, draw from the posterior for one observation, print the verdict, and return the dimension."""
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
    off = {}
    for name, points in (("sbi's draws", drawn), ("draws on the plane", on_the_plane)):
        off[name], along = float((simulator(points) - observed).std()), float((points[:, 0] - points[:, 1]).std())
        print(f"{name:22} a + b off by {off[name]:.3f} (right: 0)   a - b within {along:.2f} (right: 1.41)")
    nearer = off["sbi's draws"] / off["draws on the plane"]
    print(
        f"the posterior is a {'plane' if int(found) == 2 else 'solid'}; draws on it are {nearer:.1f} times nearer to it"
    )
    if out is not None:
        draw(out, drawn, on_the_plane, observed, off)
    return found


def draw(out: Path, drawn: Tensor, on_the_plane: Tensor, observed: Tensor, off: dict[str, float]) -> None:
    """Both kinds of draws in the plane of a and b, where the posterior is the line a + b = 1."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), sharex=True, sharey=True, layout="constrained")
    colours = (plots.MODEL_COLOUR, plots.DATA_COLOUR)
    for axes, (name, distance), points, colour in zip(panels, off.items(), (drawn, on_the_plane), colours):
        axes.axline(
            (0.0, float(observed)), slope=-1.0, c=plots.REFERENCE_COLOUR, lw=1, label="a + b = 1, the posterior"
        )
        axes.scatter(*points[:, :2].T.numpy(), s=6, c=colour, linewidths=0)
        axes.set(title=f"{name}: off by {distance:.3f}", xlabel="parameter a", ylabel="parameter b")
        axes.legend()
    figure.savefig(out, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60, help="of training (default 60)")
    parser.add_argument("--out", type=Path, default=Path("sbi_posterior.png"), help="the picture")
    arguments = parser.parse_args()
    main(arguments.epochs, out=arguments.out)
