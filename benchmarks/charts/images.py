"""Real images as data sets for charts: digits, patches of photographs and of a map of heights, MNIST, CIFAR-10."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from charts.data_set import Array, DataSet, Labels
from nflows_spread.datasets import cifar10, mnist

ROWS = 2000
_CORE, _POOL = slice(4, 24), 2


def digits(seed: int) -> Array:
    """scikit-learn's digits, 8 × 8 whole grey values from 0 to 16, (1797, 64)."""
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().data)


def dequantised_digits(seed: int) -> Array:
    """The same with uniform noise of one grey level."""
    return _dequantised(digits(seed), seed)


class Patches:
    """Square patches of a picture at random places, dequantised, (n, side² channels).

    Args:
        picture: reads it, (height, width) or (height, width, channels), whole numbers.
        side: of a patch.
    """

    def __init__(self, picture: str, side: int) -> None:
        self.picture, self.side = picture, side

    def __call__(self, seed: int) -> Array:
        picture = _PICTURES[self.picture]()
        rows, columns = (size - self.side + 1 for size in picture.shape[:2])
        places = np.random.default_rng(seed).permutation(rows * columns)[:ROWS]
        patches = [
            picture[row : row + self.side, column : column + self.side].ravel()
            for row, column in zip(places // columns, places % columns)
        ]
        return _dequantised(np.stack(patches), seed)


def pooled_mnist(seed: int) -> Array:
    """The middle 20 × 20 pixels of MNIST's test images in averages of 2 × 2, dequantised before, (10000, 100)."""
    images = (mnist(split="test").x * 255.0).round().double().numpy().reshape(-1, 28, 28)
    core = _dequantised(images[:, _CORE, _CORE], seed)
    side = core.shape[1] // _POOL
    return core.reshape(-1, side, _POOL, side, _POOL).mean(axis=(2, 4)).reshape(len(core), -1)


def mnist_labels(seed: int) -> Labels:
    """The digit of each of MNIST's test images, (10000,)."""
    return np.asarray(mnist(split="test").labels.numpy(), dtype=np.int64)


def pooled_cifar(seed: int) -> Array:
    """Grey CIFAR-10 test images in averages of 4 × 4 pixels, (n, 64)."""
    return _grey_cifar()


@lru_cache(maxsize=1)
def _grey_cifar() -> Array:
    grey = cifar10(split="test").images.double().mean(dim=1).numpy()
    return np.asarray(grey.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(len(grey), -1))


def _china() -> Array:
    from sklearn.datasets import load_sample_image

    return np.asarray(load_sample_image("china.jpg"), dtype=np.float64)


def _flower() -> Array:
    from sklearn.datasets import load_sample_image

    return np.asarray(load_sample_image("flower.jpg"), dtype=np.float64)


def _heights() -> Array:
    import matplotlib

    with np.load(Path(matplotlib.get_data_path()) / "sample_data" / "jacksboro_fault_dem.npz") as content:
        return np.asarray(content["elevation"], dtype=np.float64)


_PICTURES = {"china": _china, "flower": _flower, "heights": _heights}


def _dequantised(x: Array, seed: int) -> Array:
    """Whole numbers with uniform noise in [0, 1), so that they have a density."""
    return np.asarray(x + np.random.default_rng([seed, 3]).uniform(size=x.shape))


IMAGES = (
    DataSet("digits", digits, "scikit-learn's digits, 8 × 8 whole grey values", rows=1500),
    DataSet(
        "digits, dequantised",
        dequantised_digits,
        "the same with uniform noise of one grey level",
        standardize=True,
        density=True,
    ),
    DataSet(
        "china, patches",
        Patches("china", 4),
        "4 × 4 colour patches of scikit-learn's china.jpg, dequantised",
        standardize=True,
        density=True,
    ),
    DataSet(
        "flower, patches",
        Patches("flower", 4),
        "4 × 4 colour patches of scikit-learn's flower.jpg, dequantised",
        standardize=True,
        density=True,
    ),
    DataSet(
        "heights, patches",
        Patches("heights", 5),
        "5 × 5 patches of matplotlib's sample jacksboro_fault_dem, whole metres, dequantised",
        standardize=True,
        density=True,
    ),
    DataSet(
        "MNIST, pooled",
        pooled_mnist,
        "the middle 20 × 20 pixels of the test images, dequantised, in averages of 2 × 2",
        standardize=True,
        density=True,
        labels=mnist_labels,
    ),
    DataSet(
        "CIFAR-10, pooled",
        pooled_cifar,
        "grey test images in averages of 4 × 4 pixels",
        standardize=True,
        density=True,
    ),
)
