"""Normalizing flows for data that lies on a manifold: an add-on to nflows, normflows and zuko.

Swap the base of a flow for a ``DegenerateGaussian``, train with ``SpreadKLLoss``, then read off the
intrinsic dimension, a representation, and samples on the manifold.
Each name is imported when it is first asked for, as torch takes seconds: the command ``nflows-spread`` starts before.
"""

import importlib as _importlib  # under names that are not offered
import importlib.util as _util
import sys as _sys
import typing as _typing

if _typing.TYPE_CHECKING:
    from nflows_spread.atlas import Atlas, atlas_of
    from nflows_spread.chart import Chart, ChartLoss, chart_of, manifold_log_prob, project, reconstruct, sample
    from nflows_spread.conversion import to_volume_preserving, volume_error
    from nflows_spread.dimension.informative import InformativeDimensions, informative_dimensions
    from nflows_spread.dimension.rules import IntrinsicDimension, Spectrum
    from nflows_spread.dimension.spectra import intrinsic_dimension, spectrum
    from nflows_spread.dimension.without_flow import dimension_of
    from nflows_spread.distributions import DegenerateGaussian, DegenerateGaussianMixture
    from nflows_spread.hosts import base_of, decode, encode, swap_base
    from nflows_spread.initialization import initialize
    from nflows_spread.losses import SpreadKLLoss
    from nflows_spread.piece_number import choose_pieces
    from nflows_spread.prior_initialization import initialize_prior

__version__ = "0.1.0"

__all__ = [
    "Atlas",
    "Chart",
    "ChartLoss",
    "DegenerateGaussian",
    "DegenerateGaussianMixture",
    "InformativeDimensions",
    "IntrinsicDimension",
    "Spectrum",
    "SpreadKLLoss",
    "atlas_of",
    "base_of",
    "chart_of",
    "choose_pieces",
    "decode",
    "dimension_of",
    "encode",
    "informative_dimensions",
    "initialize",
    "initialize_prior",
    "intrinsic_dimension",
    "manifold_log_prob",
    "project",
    "reconstruct",
    "sample",
    "spectrum",
    "swap_base",
    "to_volume_preserving",
    "volume_error",
]

_PLACES = {
    "Atlas": "nflows_spread.atlas",
    "Chart": "nflows_spread.chart",
    "ChartLoss": "nflows_spread.chart",
    "DegenerateGaussian": "nflows_spread.distributions",
    "DegenerateGaussianMixture": "nflows_spread.distributions",
    "InformativeDimensions": "nflows_spread.dimension.informative",
    "IntrinsicDimension": "nflows_spread.dimension.rules",
    "Spectrum": "nflows_spread.dimension.rules",
    "SpreadKLLoss": "nflows_spread.losses",
    "atlas_of": "nflows_spread.atlas",
    "base_of": "nflows_spread.hosts",
    "chart_of": "nflows_spread.chart",
    "choose_pieces": "nflows_spread.piece_number",
    "decode": "nflows_spread.hosts",
    "dimension_of": "nflows_spread.dimension.without_flow",
    "encode": "nflows_spread.hosts",
    "informative_dimensions": "nflows_spread.dimension.informative",
    "initialize": "nflows_spread.initialization",
    "initialize_prior": "nflows_spread.prior_initialization",
    "intrinsic_dimension": "nflows_spread.dimension.spectra",
    "manifold_log_prob": "nflows_spread.chart",
    "project": "nflows_spread.chart",
    "reconstruct": "nflows_spread.chart",
    "sample": "nflows_spread.chart",
    "spectrum": "nflows_spread.dimension.spectra",
    "swap_base": "nflows_spread.hosts",
    "to_volume_preserving": "nflows_spread.conversion",
    "volume_error": "nflows_spread.conversion",
}
"""The module that has each of these names."""

if not _typing.TYPE_CHECKING:  # so that a name that is not there is an error for type checkers, too

    def __getattr__(name: str) -> _typing.Any:
        """A public name, or a module of the package."""
        if name in _PLACES:
            found = getattr(_importlib.import_module(_PLACES[name]), name)
        elif f"{__name__}.{name}" in _sys.modules:  # also one that old pickles name and no file has
            found = _sys.modules[f"{__name__}.{name}"]
        elif not name.startswith("_") and _util.find_spec(f"{__name__}.{name}") is not None:
            found = _importlib.import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
