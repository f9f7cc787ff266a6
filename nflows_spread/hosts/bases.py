"""Base distributions in saved models: the arguments that build one again, as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from nflows_spread.distributions import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.factors import KINDS, Factor
from nflows_spread.hosts.interface import SavedBase
from nflows_spread.hosts.registry import host_named, packages_of


def describe_base(base: nn.Module) -> dict[str, Any] | None:
    """What ``base_from`` needs to build such a base again, as JSON, or None if it is of no kind that is known here."""
    known: list[tuple[str | None, SavedBase]] = [(None, saved) for saved in _OWN]
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
    for saved in _OWN:
        if saved.base_class.__name__ == kind:
            return saved.build(description)
    host = host_named(description.get("host", "nflows"))  # older files knew no other library's bases, and named none
    for saved in host.saved_bases:
        if saved.base_class.__name__ == kind:
            return saved.build(description)
    raise ValueError(f"the base must be of a kind that can be built here, got {kind!r}; pass flow to load_model")


def _describe_gaussian(base: DegenerateGaussian) -> dict[str, Any] | None:
    factor = _describe_factor(base.factor)
    return None if factor is None else {"shape": list(base.shape), "mean": base.loc is not None, **factor}


def _build_gaussian(arguments: Mapping[str, Any]) -> DegenerateGaussian:
    return DegenerateGaussian(arguments["shape"], factor=_kind_of(arguments), learn_mean=arguments["mean"])


def _describe_mixture(base: DegenerateGaussianMixture) -> dict[str, Any] | None:
    factor = _describe_factor(base.factors.kind)
    if factor is None:
        return None
    pieces = {"pieces": base.pieces, "tied": base.tied, "mean": base.locs is not None}
    return {"shape": list(base.shape), **pieces, **factor}


def _build_mixture(arguments: Mapping[str, Any]) -> DegenerateGaussianMixture:
    return DegenerateGaussianMixture(
        arguments["shape"],
        arguments["pieces"],
        factor=_kind_of(arguments),
        tied=arguments["tied"],
        learn_mean=arguments["mean"],
    )


def _describe_factor(factor: Factor) -> dict[str, Any] | None:
    kind = type(factor).__name__
    return {"factor": kind, "factor_options": factor.options()} if kind in KINDS else None


def _kind_of(arguments: Mapping[str, Any]) -> Callable[[int], Factor]:
    if arguments["factor"] not in KINDS:
        raise ValueError(
            f"the factor of the saved prior must be one of {', '.join(KINDS)}, got {arguments['factor']}; make it "
            "known first, by nflows_spread.factors.KINDS.register"
        )
    return partial(KINDS[arguments["factor"]], **arguments.get("factor_options", {}))


_OWN = (
    SavedBase(DegenerateGaussian, _describe_gaussian, _build_gaussian),
    SavedBase(DegenerateGaussianMixture, _describe_mixture, _build_mixture),
)
"""Those of this package, which are bases of the flows of every library."""
