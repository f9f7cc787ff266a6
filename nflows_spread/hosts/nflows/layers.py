"""The layers of nflows: what is made of other layers, and under which attributes."""

from __future__ import annotations

from nflows.flows import Flow
from nflows.transforms import CompositeTransform, InverseTransform, MultiscaleCompositeTransform
from torch import nn

LAYERS_IN: dict[type[nn.Module], tuple[str, ...]] = {
    Flow: ("_transform",),
    CompositeTransform: ("_transforms",),
    MultiscaleCompositeTransform: ("_transforms",),
    InverseTransform: ("_transform",),
}
"""What is made of other layers alone, and the attributes under which it has them."""
