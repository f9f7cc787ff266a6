"""Degenerate priors for glasflow and nessai, which ask that a base be of glasflow's own class ``Distribution``.

``GlasflowDegenerateGaussian`` and ``GlasflowDegenerateGaussianMixture`` are our priors, and of this class too. They are
made when they are first asked for, because glasflow is in no extra.

Example::

    from nflows_spread.distributions.glasflow import GlasflowDegenerateGaussian

    flow = nessai.flows.RealNVP(2, 8, 4, 2, distribution=GlasflowDegenerateGaussian([2]))
    readable = nflows.flows.Flow(flow._transform, flow._distribution)  # the same layers and prior, for every read-out
"""

from __future__ import annotations

from importlib import import_module

from nflows_spread.distributions.gaussian import DegenerateGaussian
from nflows_spread.distributions.mixture import DegenerateGaussianMixture
from nflows_spread.distributions.prior import DegeneratePrior

_PREFIX = "Glasflow"
_PRIORS: dict[str, type[DegeneratePrior]] = {
    f"{_PREFIX}{kind.__name__}": kind for kind in (DegenerateGaussian, DegenerateGaussianMixture)
}


def __getattr__(name: str) -> type[DegeneratePrior]:
    """The class of this name, made once, so that pickles find it again.

    Raises:
        ImportError: glasflow is not installed.
    """
    if name not in _PRIORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    theirs = import_module("glasflow.nflows.distributions").Distribution
    kind = _PRIORS[name]
    made: type[DegeneratePrior] = type(name, (kind, theirs), {"__doc__": kind.__doc__, "__module__": __name__})
    globals()[name] = made
    return made
