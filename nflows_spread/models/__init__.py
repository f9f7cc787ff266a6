"""Builders of whole flows and of their transforms. They compose transforms and have no mathematics of their own."""

from nflows_spread.models.convolutional import TABLE_3, TABLE_4, convolutional_flow
from nflows_spread.models.coupling import TABLE_1, TABLE_2, coupling_flow
from nflows_spread.models.density import density_flow
from nflows_spread.models.glow import volume_preserving_glow
from nflows_spread.models.patches import initialize_from_patches
from nflows_spread.models.principal import initialize_from_principal_coordinates, principal_flow

__all__ = [
    "TABLE_1",
    "TABLE_2",
    "TABLE_3",
    "TABLE_4",
    "convolutional_flow",
    "coupling_flow",
    "density_flow",
    "initialize_from_patches",
    "initialize_from_principal_coordinates",
    "principal_flow",
    "volume_preserving_glow",
]
