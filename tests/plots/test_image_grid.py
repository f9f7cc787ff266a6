"""Grids of images: each image at its place, grey or in colours, and nothing else taken for images."""

import numpy as np
import pytest
import torch

from nflows_spread import plots
from support import refused


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_every_image_is_at_its_place(ax, channels):
    shape = (5, 2, 3) if channels is None else (5, channels, 2, 3)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert plots.images(images, columns=2, ax=ax) is ax
    grid = np.asarray(ax.images[0].get_array())
    assert grid.shape[:2] == (3 * 3 + 1, 2 * 4 + 1)
    for number, image in enumerate(images):
        top, left = 3 * (number // 2) + 1, 4 * (number % 2) + 1
        expected = image.movedim(0, -1) if channels == 3 else image.reshape(2, 3)
        np.testing.assert_array_equal(grid[top : top + 2, left : left + 3], expected)


def test_rows_become_images_by_their_shape(ax):
    rows = np.random.default_rng(0).random((4, 12))
    plots.images(rows, shape=(3, 2, 2), columns=4, ax=ax)
    np.testing.assert_allclose(
        ax.images[0].get_array()[1:3, 1:3], np.moveaxis(rows[0].reshape(3, 2, 2), 0, -1), rtol=1e-6
    )


def test_what_is_no_image_is_refused(ax):
    for wrong, said in (((4, 12), "(4, 12)"), ((4, 2, 3, 3), "(4, 2, 3, 3)")):
        with refused(ValueError, "images must be (n, height, width) or (n, 3, height, width)", said):
            plots.images(np.zeros(wrong), ax=ax)
    with refused(ValueError, "shape must be of 12 entries a row, got (3, 3)"):
        plots.images(np.zeros((4, 12)), shape=(3, 3), ax=ax)
    with refused(ValueError, "columns must be at least 1, got 0"):
        plots.images(np.zeros((4, 2, 2)), columns=0, ax=ax)
    assert not ax.images
