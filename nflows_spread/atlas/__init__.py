"""An atlas of data in several pieces: a chart and an intrinsic dimension for each piece of a mixture prior.

- ``atlas``: the ``Atlas``, which assigns data to pieces, and reconstructs and samples by their charts;
- ``making``: ``atlas_of``, which reads it off a trained flow and data;
- ``components``: which pieces belong together, by overlap and dimension.
"""

from nflows_spread.atlas.atlas import Atlas, AtlasPiece
from nflows_spread.atlas.components import Component
from nflows_spread.atlas.making import atlas_of

__all__ = ["Atlas", "AtlasPiece", "Component", "atlas_of"]
