"""Invertibility of a flow on given data: f(g(x)) = x, asked of a few rows, and errors where a layer has no inverse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from nflows.transforms.base import InputOutsideDomain
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.hosts import decode, encode
from nflows_spread.hosts.remedies import NO_INVERSE, NoInverseError, remedy_of_infinity, without_inverse
from nflows_spread.linalg.autocast import under_autocast
from nflows_spread.linalg.moments import root_mean_variance
from nflows_spread.linalg.torch_func import under_transforms

_ROWS = 8
"""Rows that are decoded to see whether a flow has an inverse on them: a choice, for time."""

_FAR = 0.3
"""Distance of a row from f(g(x)), over the scale of the data, from which on a flow has no inverse there: a choice. The
models of both libraries that the tests build have 6e-6 at most in float32, Glows of free scales after a few steps 0.17,
saturated layers about 1."""

_ROUNDING = 1e-3
"""The same over the size of the data: a choice, above rounding errors in float32 of rows that are all but equal."""

_RESOLUTIONS = 64.0
"""The same in units of the resolution of the dtype, for those of less precision: a choice."""

_OUTSIDE = (InputOutsideDomain, AssertionError)
"""What layers of nflows and normflows raise for numbers that they have no latent or point for."""

_NEARER = "take points nearer to the data or a flow in float64, or train the flow again, with gradient_clip"


def encoded(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
    """g(x), as ``encode`` gives it, and finite.

    Raises:
        TypeError, ValueError: ``x`` is no finite floating-point data of the flow, or g(x) is not finite.
    """
    with explained(flow):
        z = encode(flow, validation.points("x", x), context)
    return finite_rows("latents of the data", z, remedy_of_infinity(flow))


def decoded(flow: nn.Module, z: Tensor, context: Tensor | None = None) -> Tensor:
    """f(z), as ``decode`` gives it.

    Raises:
        ValueError: a layer has no inverse, or none at z, or no row of f(z) is finite.

    Warns:
        UserWarning: some rows are not finite: none of the others is held up for them.
    """
    with explained(flow):
        x = decode(flow, z, context)
    if _unread(x) or validation.all_finite(x):
        return x
    bad = ~torch.isfinite(x.detach()).flatten(1).all(1)
    if not bool(bad.all()):
        validation.warn(
            f"points must be where the flow has data, got {int(bad.sum())} of {len(x)} that are decoded to NaN or "
            f"infinity, the first at index {int(bad.nonzero()[0])}; {_NEARER}"
        )
        return x
    return finite_rows("the data at points of the latent space", x, _NEARER)


def few_of(x: Tensor) -> Tensor:
    """Indices of a few rows, evenly spaced; none where no numbers can be read, as under ``torch.func``."""
    count = 0 if _unread(x) else min(_ROWS, len(x))
    return torch.linspace(0, len(x) - 1, count, device=x.device).long()


@torch.no_grad()
def check_inverse(
    flow: nn.Module,
    x: Tensor,
    context: Tensor | None = None,
    *,
    latents: Tensor | None = None,
    scale: float = 0.0,
) -> None:
    """``ValueError`` if a few rows of data are far from f(g(x)); nothing where the flow has no decoder at all.

    Args:
        flow: in evaluation mode.
        x: data, (n, ...).
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        latents: g(x), where it is known.
        scale: of the data in each feature, where more is known of it than these rows say.
    """
    few = few_of(x)
    if len(few) == 0:
        return
    context = validation.context_of(len(x), context)
    given = None if context is None else context[few.to(context.device)]
    z = encoded(flow, x[few], given) if latents is None else latents[few]
    try:
        again = decode(flow, z, given)
    except NoInverseError:  # coordinates need none
        return
    except _OUTSIDE:
        again = torch.full_like(x[few], torch.nan)
    compare(x, again, few, scale=scale)


@torch.no_grad()
def compare(x: Tensor, again: Tensor, few: Tensor, *, scale: float = 0.0) -> None:
    """``ValueError`` if rows of data, by their indices, are far from what they are decoded to."""
    if len(few) == 0:
        return
    spread, size = float(root_mean_variance(x.double())), float(x.double().square().mean().sqrt())
    resolution = torch.finfo(torch.bfloat16 if under_autocast(x) else x.dtype).eps
    limit = max(_FAR * max(spread, scale), max(_ROUNDING, _RESOLUTIONS * resolution) * size)
    off = rows_off(x[few], again)
    if not bool(off.isfinite().all()) or (limit > 0.0 and float(off.max()) > limit):
        raise ValueError(
            f"decode(flow, encode(flow, x)) must be x to within {limit:.3g} a feature, a share of the scale of the "
            f"data, got rows that are off by {float(off.max()):.3g}; train a flow with an exact inverse on all of the "
            "data, bring the data into its range, or take float64"
        )


def rows_off(x: Tensor, again: Tensor) -> Tensor:
    """Root mean squared difference of each row, (n,)."""
    return (again - x).flatten(1).double().square().mean(1).sqrt()


@contextmanager
def explained(flow: nn.Module) -> Iterator[None]:
    """``ValueError`` for what the libraries raise where a layer has no inverse, or none at the numbers it meets."""
    try:
        yield
    except NO_INVERSE as error:
        raise without_inverse(flow, error) from error
    except _OUTSIDE as error:
        said = f", and a layer that says {str(error)!r}" if str(error) else ""
        raise ValueError(
            "each layer of the flow must be defined where the layer before it ends, got numbers outside of its "
            f"domain{said}; bring the data into it, or give its layers tails, as tails='linear' does for splines"
        ) from error


def finite_rows(name: str, value: Tensor, remedy: str) -> Tensor:
    """``value``, (n, ...), if it is finite, else ``ValueError``; where no numbers can be read it is not looked at."""
    if _unread(value) or validation.all_finite(value):
        return value
    bad = ~torch.isfinite(value.detach()).flatten(1).all(1)
    raise ValueError(
        f"{name} must be finite, got NaN or infinity in {int(bad.sum())} of {len(value)} rows, the first at index "
        f"{int(bad.nonzero()[0])}; {remedy}"
    )


def _unread(value: Tensor) -> bool:
    """Whether no numbers can be read: under ``torch.compile``, under ``torch.func``, and where there are none."""
    return torch.compiler.is_compiling() or under_transforms(value) or value.is_meta
