"""The features that Fréchet distances are usually reported in, where their weights are on disk."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from paper.sample_quality.quality import Features

INCEPTION_VARIABLE = "NFLOWS_SPREAD_INCEPTION"
WEIGHTS = "pt_inception-2015-12-05-6726825d.pth"
_CHUNK = 50


def inception_features() -> Features | None:
    """Images in [0, 1] to the 2048 features of Inception v3 as torchmetrics has it; None unless the variable is set.

    Raises:
        FileNotFoundError: the file that the variable names is not there.
        ModuleNotFoundError: torch-fidelity, which holds the network, is not installed.
    """
    place = os.environ.get(INCEPTION_VARIABLE)
    if not place:
        return None
    if not Path(place).is_file():
        raise FileNotFoundError(
            f"{INCEPTION_VARIABLE} must name the file of Inception's weights for torch-fidelity, {WEIGHTS}, "
            f"got {place}; fetch it from torch-fidelity's releases, or unset the variable to go without"
        )
    if find_spec("torch_fidelity") is None:
        raise ModuleNotFoundError(
            f"Inception's features need torch-fidelity; pip install torch-fidelity, or unset {INCEPTION_VARIABLE}"
        )
    from torchmetrics.image.fid import NoTrainInceptionV3

    net = NoTrainInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=place)

    @torch.no_grad()
    def features(x: Tensor) -> Tensor:
        return torch.cat([net((part * 255.0).round().to(torch.uint8)) for part in x.split(_CHUNK)])

    return features
