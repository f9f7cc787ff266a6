"""Wrong calls of every public function, made from its signature: each argument with values of another type or range."""

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import nflows_spread as root
from nflows_spread import chart, datasets, dimension, factors, hosts, models, training, transforms

FEATURES = 3
X = torch.randn(200, FEATURES, generator=torch.Generator().manual_seed(0))
ODD = X.clone()
ODD[3, 1] = math.nan


def flow():
    """A small flow that has been trained, as far as its prior knows."""
    built = models.coupling_flow(FEATURES, layers=2, hidden_features=(4,))
    built._distribution.data_noise = 0.1
    return built.eval()


def flow_in_pieces():
    return root.swap_base(flow(), root.DegenerateGaussianMixture([FEATURES], 2))


def loss():
    return root.SpreadKLLoss(flow(), data_noise=0.1)


def chart_loss():
    built = flow()
    return {"flow": built, "chart": chart.chart_of(built, rank=1)}


def of_flow(**options: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"flow": flow(), **options}


def plain(**options: Any) -> Callable[[], dict[str, Any]]:
    return lambda: dict(options)


IMAGES = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
CALLS: dict[str, dict[str, Callable[[], dict[str, Any]]]] = {
    "root": {
        "ChartLoss": chart_loss,
        "DegenerateGaussian": plain(shape=[FEATURES]),
        "DegenerateGaussianMixture": plain(shape=[FEATURES], pieces=2),
        "SpreadKLLoss": of_flow(data_noise=0.1),
        "atlas_of": lambda: {"flow": flow_in_pieces(), "x": X, "data_noise": 0.1},
        "base_of": of_flow(),
        "chart_of": of_flow(x=X, rank=2),
        "choose_pieces": of_flow(x=X, numbers=(1, 2)),
        "decode": of_flow(z=X),
        "dimension_of": plain(X=X),
        "encode": of_flow(x=X),
        "informative_dimensions": of_flow(x=X, labels=torch.arange(len(X)) % 2),
        "initialize": of_flow(x=X),
        "initialize_prior": of_flow(x=X),
        "intrinsic_dimension": of_flow(x=X),
        "manifold_log_prob": of_flow(x=X, rank=1),
        "project": of_flow(x=X, rank=1),
        "reconstruct": of_flow(x=X, rank=1),
        "sample": of_flow(num_samples=5, rank=1),
        "spectrum": of_flow(x=X),
        "swap_base": lambda: {"flow": flow(), "base": root.DegenerateGaussian([FEATURES])},
        "to_volume_preserving": lambda: {"transform": flow()},
        "volume_error": of_flow(x=X),
    },
    "chart": {"directions_of": of_flow(x=X)},
    "datasets": {
        "DequantisedImages": plain(images=IMAGES),
        "curve_and_surface": plain(num_points=10),
        "dequantise": plain(images=IMAGES),
        "lollipop": plain(num_points=10),
        "quantise": plain(x=torch.rand(3, 1, 2, 2)),
    },
    "dimension": {
        "denoise": of_flow(x=X, variance=0.01),
        "density_dimension": of_flow(x=X, data_noise=0.1),
        "local_dimensions": plain(x=X),
        "neighbour_dimension": plain(x=X),
        "pointwise_dimension": plain(x=X),
        "pointwise_spectrum": of_flow(x=X[:5]),
        "posterior_mean": of_flow(x=X, noise=0.1),
        "register_rule": plain(name="mine", rule=lambda spectrum: 1),
        "register_vote": plain(name="mine", vote=lambda estimates: []),
        "tangent_spaces": plain(x=X),
    },
    "factors": {
        "LowRankFactor": plain(features=3, rank=2),
        "LowRankPlusDiagonalFactor": plain(features=3, rank=2),
        "LowerTriangularFactor": plain(features=3),
        "RunningAverageFactor": plain(features=3),
        "SpreadCholeskyFactor": plain(features=3),
    },
    "hosts": {
        "encode_with_logabsdet": of_flow(x=X),
        "log_prob": of_flow(x=X),
        "log_prob_of_base": of_flow(z=X),
        "samples_of_base": of_flow(num_samples=3),
    },
    "models": {
        "convolutional_flow": plain(image_shape=(1, 4, 4)),
        "coupling_flow": plain(features=3, layers=2),
        "density_flow": plain(x=X, layers=2),
        "principal_flow": plain(image_shape=(1, 4, 4), leading=8, core=4, layers=2),
        "volume_preserving_glow": plain(image_shape=(1, 4, 4), blocks=1, layers=1, hidden_channels=4),
    },
    "training": {
        "Checkpoints": plain(folder="run"),
        "Constant": plain(value=1.0),
        "Cosine": plain(start=1.0, end=0.1),
        "Geometric": plain(start=1.0, end=0.1),
        "InvertibilityCheck": lambda: {"x": X, "every": 5},
        "LatePieces": lambda: {"flow": flow_in_pieces(), "x": X, "step": 5},
        "MovingAverage": lambda: {"module": flow(), "decay": 0.9},
        "RestartedPieces": lambda: {"flow": flow_in_pieces(), "x": X},
        "Staircase": plain(start=1.0, factor=0.5, every=10),
        "StopOnHeldOutLoss": plain(patience=3),
        "StopOnStableDimension": plain(patience=3),
        "default_optimizer": lambda: {"objective": loss()},
        "fit": lambda: {"objective": loss(), "data": X, "steps": 1, "progress": False},
        "parameter_groups": lambda: {"objective": loss(), "weight_decay": 0.1},
    },
    "transforms": {
        "ChannelPermutation": plain(features=3),
        "CheckerboardSqueeze": plain(factor=2),
        "ExplicitActNorm": plain(features=3),
        "Flatten": plain(shape=[1, 2]),
        "LUOneByOneConvolution": plain(num_channels=3),
        "LeadingFeatures": lambda: {"transform": transforms.VolumePreservingLULinear(2), "count": 2},
        "MarginalSpline": plain(features=3),
        "MeanCentredAffineCouplingTransform": plain(mask=[0, 1, 1], transform_net_create_fn=nn.Linear),
        "MultiscaleImageTransform": plain(image_shape=(1, 4, 4), num_transforms=1),
        "PrincipalRotation": plain(features=3),
        "TanhLogScale": plain(features=3),
        "VolumePreservingActNorm": plain(features=3),
        "VolumePreservingLULinear": plain(features=3),
        "VolumePreservingOneByOneConvolution": plain(num_channels=3),
        "VolumePreservingSVDLinear": plain(features=3, num_householder=2),
    },
}
"""A right call of each public function, by the module that has it."""

MODULES = {
    "root": root,
    "chart": chart,
    "datasets": datasets,
    "dimension": dimension,
    "factors": factors,
    "hosts": hosts,
    "models": models,
    "training": training,
    "transforms": transforms,
}

_NUMPYS = np.random.default_rng(0)
WRONG: dict[str, list[Any]] = {
    "int": ["two", 1.5, -1, [3], None],
    "float": ["text", math.nan, -1.0, None, [0.1]],
    "bool": ["no", 2, None],
    "str": ["unknown", 3],
    "Tensor": ["text", None, 3, ODD, X[:0], X[:, :2], X.long()],
    "nn.Module": [None, 3, nn.Linear(2, 2)],
    "torch.Generator": [0, _NUMPYS],
    "Sequence[int]": ["ab", [0], [1.5], 3.5],
    "Callable": [3, "text"],
    "Any": ["text"],
}
"""Values that an argument of each type must not have, by its annotation."""

RIGHT = {
    ("encode", "x"): "rows that are not finite, or none, have latents that are not, or none",
    ("encode_with_logabsdet", "x"): "the same",
    ("log_prob", "x"): "the same",
    ("decode", "z"): "the same",
    ("denoise", "x"): "a row without a finite slope stays where it is",
    ("posterior_mean", "x"): "the same",
    ("log_prob_of_base", "z"): "the same; latents are what it calls them",
    ("density_flow", "x"): "data of two columns is data",
    ("local_dimensions", "x"): "the same",
    ("pointwise_dimension", "x"): "the same",
    ("dimension_of", "X"): "the same",
    ("neighbour_dimension", "x"): "the same",
    ("tangent_spaces", "x"): "the same",
    ("quantise", "x"): "the same",
    ("register_rule", "name"): "a name may be any text",
    ("register_vote", "name"): "the same",
    ("Checkpoints", "folder"): "so may a folder",
    ("dimension_of", "n_jobs"): "-1 is all cores",
    ("local_dimensions", "n_jobs"): "the same",
    ("pointwise_dimension", "n_jobs"): "the same",
    ("MovingAverage", "module"): "any module",
    ("default_optimizer", "objective"): "the same",
    ("parameter_groups", "objective"): "the same",
    ("swap_base", "base"): "a base may be a distribution of any library",
    ("MeanCentredAffineCouplingTransform", "log_scale"): "any module may give log-scales",
    ("StopOnHeldOutLoss", "best"): "what a rule has seen so far",
    ("StopOnHeldOutLoss", "waited"): "the same",
    ("StopOnStableDimension", "dimension"): "the same",
    ("StopOnStableDimension", "seen"): "the same",
    ("fit", "objective"): "any module is trained; what torch says of its shapes is torch's",
    ("fit", "device"): "what torch says of a device is torch's",
}
"""Arguments that may be accepted, and why."""

ALSO_CALLED = {
    "x": ("inputs", "images"),
    "z": ("inputs",),
    "data": ("inputs",),
    "core_hidden_features": ("hidden_features",),
}
"""Other names of an argument in an error: those of the library whose layer refuses it."""


class WrongCall(NamedTuple):
    """A call with one wrong argument."""

    function: Callable[..., Any]
    right: Callable[[], dict[str, Any]]
    argument: str
    value: Any

    @property
    def names(self) -> tuple[str, ...]:
        return self.argument, *ALSO_CALLED.get(self.argument, ())


def public_functions() -> Iterator[tuple[str, Callable[..., Any], Callable[[], dict[str, Any]]]]:
    for module, calls in CALLS.items():
        for name, right in calls.items():
            yield name, getattr(MODULES[module], name), right


def wrong_values(annotation: str) -> list[Any]:
    """Those that are wrong for each type of a union, by the annotation as it is written."""
    parts = annotation.split(" | ")
    kinds = [part.partition("[")[0] if part.startswith("Callable[") else part for part in parts]
    lists = [WRONG[kind] for kind in kinds if kind in WRONG]
    common = (
        [value for value in lists[0] if all(any(value is other for other in each) for each in lists)] if lists else []
    )
    return [value for value in common if value is not None or "None" not in parts]


def wrong_calls() -> dict[str, WrongCall]:
    """All of them by what is wrong."""
    found = {}
    for name, function, right in public_functions():
        for parameter in inspect.signature(function).parameters.values():
            for place, value in enumerate(wrong_values(str(parameter.annotation))):
                shown = f"tensor {place}" if isinstance(value, torch.Tensor) else f"{value!r:.20}"
                found[f"{name}({parameter.name}={shown})"] = WrongCall(function, right, parameter.name, value)
    return found
