"""Base distributions in saved models: the arguments that build one again, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.factors import KINDS
from nflows_spread.hosts.interface import SavedBase
from nflows_spread.hosts.registry import host_named, packages_of


def describe_base(base: nn.Module) -> dict[str, Any] | None:
    """What ``base_from`` needs to build such a base again, as JSON, or None if it is of no kind that is known here."""
    known: list[tuple[str | None, SavedBase]] = [(None, _DEGENERATE_GAUSSIAN)]
    for package in packages_of(type(base)):
        known += [(package, saved) for saved in host_named(package).saved_bases]
    for library, saved in known:
        arguments = saved.describe(base) if isinstance(base, saved.base_class) else None
        if arguments is not None:
            return {"kind": saved.base_class.__name__, "host": library, **arguments}
    return None


def base_from(description: Mapping[str, Any]) -> nn.Module:
    """A base of the described kind, with parameters that are still to be loaded.

    Raises:
        ValueError: there is no such kind, or its library has no adapter here.
    """
    kind = description["kind"]
    if kind == _DEGENERATE_GAUSSIAN.base_class.__name__:
        return _DEGENERATE_GAUSSIAN.build(description)
    host = host_named(description.get("host", "nflows"))  # older files knew no other library's bases, and named none
    for saved in host.saved_bases:
        if saved.base_class.__name__ == kind:
            return saved.build(description)
    raise ValueError(f"the base must be of a kind that can be built here, got {kind!r}; pass flow to load_model")


def _describe_degenerate(base: DegenerateGaussian) -> dict[str, Any] | None:
    kind = type(base.factor).__name__
    if kind not in KINDS:
        return None
    return {
        "shape": list(base.shape),
        "mean": base.loc is not None,
        "factor": kind,
        "factor_options": base.factor.options(),
    }


def _build_degenerate(arguments: Mapping[str, Any]) -> DegenerateGaussian:
    if arguments["factor"] not in KINDS:
        raise ValueError(
            f"the factor of the saved prior must be one of {', '.join(KINDS)}, got {arguments['factor']}; make it "
            "known first, by nflows_spread.factors.KINDS.register"
        )
    factor = partial(KINDS[arguments["factor"]], **arguments.get("factor_options", {}))
    return DegenerateGaussian(arguments["shape"], factor=factor, learn_mean=arguments["mean"])


_DEGENERATE_GAUSSIAN = SavedBase(DegenerateGaussian, _describe_degenerate, _build_degenerate)
"""That of this package, which is a base of the flows of every library."""
