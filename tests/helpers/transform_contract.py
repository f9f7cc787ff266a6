"""nflows' own TransformTest, written anew, and one constructor for every kind of every public transform."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from nflows.transforms import CompositeTransform, InverseTransform, SqueezeTransform, Transform
from torch import Tensor, nn

from nflows_spread.models.nets import ConvolutionalNet, GlowNet, ScaleAndShiftNet
from nflows_spread.transforms import (
    ChannelPermutation,
    CheckerboardSqueeze,
    ExplicitActNorm,
    ExponentialAffineCouplingTransform,
    Flatten,
    GlowStep,
    LeadingFeatures,
    LUOneByOneConvolution,
    MarginalSpline,
    MeanCentredAffineCouplingTransform,
    MultiscaleImageTransform,
    PrincipalRotation,
    SigmoidLogScale,
    TanhLogScale,
    VolumePreservingActNorm,
    VolumePreservingLULinear,
    VolumePreservingOneByOneConvolution,
    VolumePreservingQRLinear,
    VolumePreservingSVDLinear,
)


class Case(NamedTuple):
    """How to build a transform, and the shapes of one input and of its context."""

    build: Callable[[], Transform]
    shape: tuple[int, ...]
    context: int | None = None


class PixelNet(nn.Sequential):
    """A coupling net for images that takes a context, which it adds at every pixel."""

    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__(nn.Conv2d(inputs, 5, 3, padding=1), nn.Tanh(), nn.Conv2d(5, outputs, 3, padding=1))
        self.embed = nn.Linear(context, outputs)

    def forward(self, inputs: Tensor, context: Tensor) -> Tensor:
        return self[2](self[1](self[0](inputs))) + self.embed(context)[:, :, None, None]


DENSE = partial(ScaleAndShiftNet, hidden_features=(7,))
CONDITIONAL = partial(ScaleAndShiftNet, hidden_features=(7,), context_features=3)
PIXELS = partial(ConvolutionalNet, hidden_channels=5)
VECTOR_MASKS = {
    "second half": [0, 0, 0, 1, 1],
    "first half": [1, 1, 1, 0, 0],
    "odd features": [0, 1, 0, 1, 0, 1],
    "even features": [1, 0, 1, 0, 1, 0],
    "the middle": [0, 0, 1, 1, 1, 0],
    "irregular": [1, 0, 0, 1, 0, 1, 1],
    "one of them": [0, 0, 0, 1, 0],
    "one of many": [0] * 39 + [1],
    "all but one": [1, 1, 0, 1, 1],
}
CHANNEL_MASKS = {"halves": [0, 0, 1, 1], "alternating": [1, 0, 1, 0], "irregular": [1, 0, 0, 1, 1]}


def _couplings(kind: type[ExponentialAffineCouplingTransform], **options: str) -> dict[str, Case]:
    name = " ".join([kind.__name__, *options.values()])
    build = partial(kind, **options)
    halves = VECTOR_MASKS["second half"]
    cases = {f"{name}, {mask}": Case(partial(build, m, DENSE), (len(m),)) for mask, m in VECTOR_MASKS.items()}
    for mask, m in CHANNEL_MASKS.items():
        cases[f"{name}, images, {mask}"] = Case(partial(build, m, PIXELS), (len(m), 2, 3))
    cases[f"{name}, context"] = Case(partial(build, halves, CONDITIONAL), (5,), context=3)
    cases[f"{name}, images, context"] = Case(
        partial(build, CHANNEL_MASKS["halves"], partial(PixelNet, context=3)), (4, 2, 3), context=3
    )
    cases[f"{name}, tanh"] = Case(lambda: build(halves, DENSE, log_scale=TanhLogScale(2)), (5,))
    cases[f"{name}, sigmoid"] = Case(lambda: build(halves, DENSE, log_scale=SigmoidLogScale()), (5,))
    cases[f"{name}, images, tanh"] = Case(
        lambda: build(CHANNEL_MASKS["irregular"], PIXELS, log_scale=TanhLogScale(3)), (5, 2, 3)
    )
    return cases


def glow_step(channels: int, *, free: bool = False, context: int | None = None, **options: bool) -> GlowStep:
    """A step of a Glow, volume-preserving or free."""
    actnorm = ExplicitActNorm if free else VolumePreservingActNorm
    convolution = LUOneByOneConvolution if free else VolumePreservingOneByOneConvolution
    coupling = ExponentialAffineCouplingTransform if free else MeanCentredAffineCouplingTransform
    net = partial(GlowNet, hidden_channels=5, context_features=context)
    mask = [0] * (channels // 2) + [1] * (channels // 2)
    parts = coupling(mask, net, log_scale=TanhLogScale(channels // 2))
    return GlowStep(actnorm(channels), convolution(channels), parts, **options)


def multiscale(context: int | None = None) -> MultiscaleImageTransform:
    """Two levels with a step of a Glow in each."""
    transform = MultiscaleImageTransform((1, 4, 4), 2)
    shape = transform.add_transform(CompositeTransform([SqueezeTransform(), glow_step(4, context=context)]), (4, 2, 2))
    assert shape == (2, 2, 2)
    transform.add_transform(CompositeTransform([SqueezeTransform(), glow_step(8, context=context)]), (8, 1, 1))
    return transform


def rotation() -> PrincipalRotation:
    """A rotation that has taken its directions from data."""
    transform = PrincipalRotation(5).double()
    x = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    transform.initialize(x @ torch.ones(5, 5, dtype=torch.float64).tril())
    return transform


NOT_VOLUME_PRESERVING = _couplings(ExponentialAffineCouplingTransform) | {
    "ExplicitActNorm": Case(partial(ExplicitActNorm, 5), (5,)),
    "ExplicitActNorm, images": Case(partial(ExplicitActNorm, 4), (4, 2, 3)),
    "LUOneByOneConvolution": Case(partial(LUOneByOneConvolution, 4), (4, 2, 3)),
    "LUOneByOneConvolution, random": Case(partial(LUOneByOneConvolution, 5, identity_init=False), (5, 3, 2)),
    "MarginalSpline": Case(partial(MarginalSpline, 5, bins=4), (5,)),
    "MarginalSpline, one bin": Case(partial(MarginalSpline, 2, bins=1, bound=2.0), (2,)),
    "GlowStep, free": Case(partial(glow_step, 4, free=True), (4, 2, 3)),
}
VOLUME_PRESERVING: dict[str, Case] = {
    **_couplings(MeanCentredAffineCouplingTransform, centring="features"),
    **_couplings(MeanCentredAffineCouplingTransform, centring="channels"),
    "PrincipalRotation": Case(rotation, (5,)),
    "LeadingFeatures": Case(lambda: LeadingFeatures(VolumePreservingLULinear(3), 3), (5,)),
    "LeadingFeatures, context": Case(
        lambda: LeadingFeatures(MeanCentredAffineCouplingTransform([0, 0, 1, 1], CONDITIONAL), 4), (5,), context=3
    ),
    "VolumePreservingActNorm": Case(partial(VolumePreservingActNorm, 5), (5,)),
    "VolumePreservingActNorm, images": Case(partial(VolumePreservingActNorm, 4), (4, 2, 3)),
    "VolumePreservingLULinear": Case(partial(VolumePreservingLULinear, 5), (5,)),
    "VolumePreservingLULinear, random": Case(partial(VolumePreservingLULinear, 6, identity_init=False), (6,)),
    "VolumePreservingLULinear, one": Case(partial(VolumePreservingLULinear, 1), (1,)),
    "VolumePreservingOneByOneConvolution": Case(partial(VolumePreservingOneByOneConvolution, 4), (4, 2, 3)),
    "VolumePreservingOneByOneConvolution, random": Case(
        partial(VolumePreservingOneByOneConvolution, 5, identity_init=False), (5, 3, 2)
    ),
    "VolumePreservingQRLinear": Case(partial(VolumePreservingQRLinear, 5, 4), (5,)),
    "VolumePreservingQRLinear, an odd number of reflections": Case(partial(VolumePreservingQRLinear, 4, 3), (4,)),
    "VolumePreservingSVDLinear": Case(partial(VolumePreservingSVDLinear, 5, 4), (5,)),
    "VolumePreservingSVDLinear, random": Case(
        partial(VolumePreservingSVDLinear, 4, 2, identity_init=False, using_cache=True), (4,)
    ),
    "GlowStep": Case(partial(glow_step, 4), (4, 2, 3)),
    "GlowStep, context": Case(partial(glow_step, 4, context=3), (4, 2, 3), context=3),
    "GlowStep, checkpointing": Case(partial(glow_step, 4, checkpointing=True), (4, 2, 3)),
    "MultiscaleImageTransform": Case(multiscale, (1, 4, 4)),
    "MultiscaleImageTransform, context": Case(partial(multiscale, 3), (1, 4, 4), context=3),
    "CheckerboardSqueeze": Case(CheckerboardSqueeze, (2, 4, 6)),
    "CheckerboardSqueeze, by 3": Case(partial(CheckerboardSqueeze, 3), (2, 3, 6)),
    "ChannelPermutation": Case(partial(ChannelPermutation, 7), (7,)),
    "ChannelPermutation, images": Case(partial(ChannelPermutation, 5), (5, 2, 3)),
    "Flatten": Case(partial(Flatten, (2, 3, 2)), (2, 3, 2)),
}
CASES = VOLUME_PRESERVING | NOT_VOLUME_PRESERVING
NOT_A_TRANSFORM = {"SigmoidLogScale", "TanhLogScale"}  # parts of couplings, in the cases that end so


def assert_tensor_is_good(tensor: Tensor, shape: tuple[int, ...]) -> None:
    assert isinstance(tensor, Tensor)
    assert torch.isfinite(tensor).all()
    assert tensor.shape == torch.Size(shape)


def assert_forward_inverse_are_consistent(
    transform: Transform, inputs: Tensor, context: Tensor | None = None, tolerance: float = 1e-10
) -> None:
    """Both orders of a transform and its inverse are the identity, and their log-determinants are negatives."""
    outputs, _ = transform(inputs, context)
    for first, second, points in (
        (transform, InverseTransform(transform), inputs),
        (InverseTransform(transform), transform, outputs),
    ):
        identity, logabsdet = CompositeTransform([first, second])(points, context)
        assert_tensor_is_good(identity, points.shape)
        assert_tensor_is_good(logabsdet, points.shape[:1])
        torch.testing.assert_close(identity, points, rtol=0, atol=tolerance)
        torch.testing.assert_close(logabsdet, torch.zeros_like(logabsdet), rtol=0, atol=tolerance)


def jacobian_logabsdet(transform: Callable[..., tuple[Tensor, Tensor]], inputs: Tensor, context: Tensor | None = None):
    """log|det J| at each row, from autograd's Jacobian."""
    values = []
    for i in range(len(inputs)):
        row_context = None if context is None else context[i : i + 1]

        def at_row(row: Tensor, row_context: Tensor | None = row_context) -> Tensor:
            return transform(row.unsqueeze(0), row_context)[0].flatten()

        jacobian = torch.autograd.functional.jacobian(at_row, inputs[i])
        values.append(torch.linalg.slogdet(jacobian.flatten(1)).logabsdet)
    return torch.stack(values)
