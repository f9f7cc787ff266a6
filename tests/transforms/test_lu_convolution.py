"""What a 1×1 convolution in LU form takes for a rotation."""

import pytest
import torch

from nflows_spread.transforms import VolumePreservingOneByOneConvolution
from support import refused

pytestmark = pytest.mark.usefixtures("float64")


def rotation_off_by(error):
    """A rotation of which one entry of the product with its transpose is off by so much."""
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0))).Q
    return torch.eye(4).index_put((torch.tensor(0), torch.tensor(0)), torch.tensor(1.0 + error).sqrt()) @ rotation


@pytest.mark.parametrize("error", [0.0, 5e-5])
def test_a_rotation_up_to_the_rounding_of_float32_is_taken(error):
    VolumePreservingOneByOneConvolution(4).assign(rotation_off_by(error))


@pytest.mark.parametrize("error", [2e-4, 0.5])
def test_a_matrix_that_is_no_rotation_is_refused(error):
    convolution = VolumePreservingOneByOneConvolution(4)
    with refused(ValueError, "rotation must be orthogonal, got one", unchanged=convolution):
        convolution.assign(rotation_off_by(error))
