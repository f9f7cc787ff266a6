"""What to do where a flow has no inverse, or numbers that have run away: the errors of its read-outs say it."""

from __future__ import annotations

from nflows.transforms.base import InverseNotAvailable
from torch import nn

NO_INVERSE = (InverseNotAvailable, NotImplementedError)
"""What layers of nflows and normflows raise that have no inverse."""

TRAIN_AGAIN = "train the flow again, with a lower learning rate or with gradient_clip"
"""The remedy for numbers that have run away."""


def remedy_of_infinity(flow: nn.Module) -> str:
    """The remedy for latents that are not finite: evaluation mode where the flow is not in it, or another training.

    Batch norm makes NaN of a row that comes alone.
    """
    evaluate = "call flow.eval() first: in training mode a latent may depend on the rows beside it; else "
    return f"{evaluate if flow.training else ''}{TRAIN_AGAIN}"


class NoInverseError(ValueError):
    """A layer of a flow has no inverse, or none in its mode."""


def without_inverse(flow: nn.Module, error: Exception) -> NoInverseError:
    """The error for a flow of which a layer says that it has no inverse."""
    mode = " in the mode in which it is trained" if flow.training else ""
    evaluate = "call flow.eval(), also to train on, in a loop of your own; else " if flow.training else ""
    return NoInverseError(
        f"the flow must have an inverse{mode}, got a layer that says {str(error) or type(error).__name__!r}; "
        f"{evaluate}take layers that have one, such as ActNorm in the place of BatchNorm"
    )
