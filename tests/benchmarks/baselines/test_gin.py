"""GIN: its coupling beside FrEIA's, its Gaussians of labels beside torch's, and what its paper states of its set."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.gin import GINLoss, LabelledGaussian, gin
from baselines.ten_dimensions import ten_dimensions
from nflows_spread import base_of, encode, informative_dimensions
from nflows_spread.hosts import encode_with_logabsdet
from nflows_spread.models import coupling_flow
from nflows_spread.transforms import MeanCentredAffineCouplingTransform


class ShiftAndScale(nn.Module):
    """FrEIA's net, which says the scale first, as nflows has it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        scale, shift = self.net(inputs).chunk(2, dim=1)
        return torch.cat([shift, scale], dim=1)


class SoftClamp(nn.Module):
    """FrEIA's clamp of scales."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        clamped: torch.Tensor = self.block.clamp * self.block.f_clamp(raw)
        return clamped


def test_a_block_of_freia_is_two_of_our_couplings() -> None:
    blocks = pytest.importorskip("FrEIA.modules")

    def net(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 10), nn.ReLU(), nn.Linear(10, outputs))

    block = blocks.GINCouplingBlock([(10,)], subnet_constructor=net, clamp=2.0).double()
    first = torch.arange(10) < 5
    clamp, nets = SoftClamp(block), (ShiftAndScale(block.subnet2), ShiftAndScale(block.subnet1))
    couplings = [
        MeanCentredAffineCouplingTransform(first.int(), lambda *_: nets[0], log_scale=clamp),
        MeanCentredAffineCouplingTransform((~first).int(), lambda *_: nets[1], log_scale=clamp),
    ]
    x = torch.randn(7, 10, dtype=torch.float64)
    (expected,), logabsdet = block((x,))
    z = couplings[1](couplings[0](x)[0])[0]
    torch.testing.assert_close(z, expected, rtol=1e-12, atol=1e-12)
    assert not bool(torch.as_tensor(logabsdet).any())


def test_the_loss_is_that_of_a_gaussian_for_each_label() -> None:
    base = LabelledGaussian(3, 2)
    with torch.no_grad():
        base.means.normal_()
        base.log_scales.normal_()
    flow = coupling_flow(3, layers=2, hidden_features=(8,), base=base)
    x, labels = torch.randn(50, 3), torch.randint(2, (50,))
    z = encode(flow, x)
    own = [
        torch.distributions.MultivariateNormal(mean, scale_tril=log_scale.exp().diag())
        for mean, log_scale in zip(base.means, base.log_scales)
    ]
    expected = -torch.stack([own[label].log_prob(row) for row, label in zip(z, labels.tolist())]).mean()
    torch.testing.assert_close(GINLoss(flow, data_noise=0.0)(x, labels), expected)
    samples = base.sample(2000, torch.tensor([1, 0]))
    torch.testing.assert_close(samples.std(1), base.log_scales[[1, 0]].exp(), rtol=0.1, atol=0)


def test_the_set_is_a_mixture_of_two_informative_and_eight_other_latents() -> None:
    data = ten_dimensions(0)
    assert data.x.shape == data.latents.shape == (10_000, 10)
    assert torch.equal(data.x, ten_dimensions(0).x)
    assert not torch.equal(data.x, ten_dimensions(1).x)
    identity = coupling_flow(10, layers=1, hidden_features=(4,))
    for parameter in identity.parameters():
        nn.init.zeros_(parameter)
    assert informative_dimensions(identity, data.latents, data.labels, data_noise=0.0) == 2
    torch.testing.assert_close(data.latents[:, 2:].std(0), torch.full((8,), 0.01), rtol=0.05, atol=0)


@pytest.mark.slow
def test_on_its_set_two_dimensions_are_informative_and_eight_are_not() -> None:
    data = ten_dimensions(2)
    flow = gin(data.x, data.labels, seed=2)
    assert not bool(encode_with_logabsdet(flow, data.x)[1].any())
    assert base_of(flow).scales.shape == (10,)
    assert informative_dimensions(flow, data.x, data.labels, data_noise=0.01) == 2


def test_training_lowers_the_loss_and_keeps_the_volume() -> None:
    data = ten_dimensions(2, rows=2000)
    losses = []
    for epochs in (1, 8):
        flow = gin(data.x, data.labels, seed=2, epochs=epochs, batch_size=200)
        losses.append(float(GINLoss(flow, data_noise=0.0)(data.x, data.labels).detach()))
    assert losses[1] < losses[0] - 2.0
    assert not bool(encode_with_logabsdet(flow, data.x)[1].any())
    shuffled = data.labels[torch.randperm(2000, generator=torch.Generator().manual_seed(0))]
    assert informative_dimensions(flow, data.x, shuffled, data_noise=0.01) == 0
