"""Each synthetic set against what it declares about itself."""

from __future__ import annotations

import gzip
import math
import os
import struct
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
from scipy import stats

from nflows_spread.datasets import (
    DATA_VARIABLE,
    FadingSquare,
    Line,
    Manifold,
    SCurve,
    Sine,
    handwritten_digits,
    mnist,
)

REAL_DATA = Path(os.environ.get(DATA_VARIABLE, Path(__file__).parents[3] / "shared" / "data"))
MANIFOLDS = {"line": Line(), "sine": Sine(), "s-curve": SCurve(), "fading square": FadingSquare()}


@pytest.fixture(params=MANIFOLDS.values(), ids=MANIFOLDS)
def manifold(request: pytest.FixtureRequest) -> Manifold:
    if isinstance(request.param, SCurve):
        pytest.importorskip("sklearn")
    return request.param


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_points_have_the_declared_dimensions(manifold: Manifold) -> None:
    x, coordinates = manifold.sample(50, generator=_generator())
    assert x.shape == (50, manifold.features)
    assert coordinates.shape == (50, manifold.intrinsic_dimension)
    assert x.dtype == torch.float32


def test_points_are_those_that_their_coordinates_embed(manifold: Manifold) -> None:
    x, coordinates = manifold.sample(200, generator=_generator())
    assert torch.allclose(manifold.embed(coordinates), x, atol=1e-5)


def test_the_embedding_has_the_declared_rank_at_every_point(manifold: Manifold) -> None:
    _, coordinates = manifold.sample(20, generator=_generator())
    for row in coordinates.double():
        jacobian = torch.autograd.functional.jacobian(lambda c: manifold.embed(c.unsqueeze(0))[0], row)
        assert torch.linalg.matrix_rank(jacobian) == manifold.intrinsic_dimension


def test_points_of_the_set_are_at_distance_zero(manifold: Manifold) -> None:
    x, _ = manifold.sample(500, generator=_generator())
    assert manifold.distance(x.double()).max() < 1e-4


def test_the_nearest_point_of_a_point_of_the_set_is_itself(manifold: Manifold) -> None:
    x, coordinates = manifold.sample(500, generator=_generator())
    assert torch.allclose(manifold.nearest(x.double()), coordinates.double(), atol=1e-3)


def test_the_distance_agrees_with_a_dense_search(manifold: Manifold) -> None:
    generator = _generator()
    x = manifold.sample(30, generator=generator).x.double()
    x = x + 0.2 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    # uniform over the support and a little denser than the curvature needs
    if isinstance(manifold, SCurve):
        t = torch.linspace(-1.5 * math.pi, 1.5 * math.pi, 1500, dtype=torch.float64)
        dense = torch.cartesian_prod(t, torch.linspace(0, 2, 200, dtype=torch.float64))
    elif isinstance(manifold, FadingSquare):
        dense = torch.linspace(0, 1, 2000, dtype=torch.float64).unsqueeze(1)
    else:
        dense = torch.linspace(-8, 8, 200_000, dtype=torch.float64).unsqueeze(1)
    expected = torch.cdist(x, manifold.embed(dense), compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    assert torch.allclose(manifold.distance(x), expected, atol=2e-3)


def test_coordinates_follow_the_declared_density(manifold: Manifold) -> None:
    _, coordinates = manifold.sample(5000, generator=_generator())
    for column in coordinates.T.numpy():
        match manifold:
            case SCurve():
                low, high = (column.min(), column.max())
                assert high - low == pytest.approx(3 * math.pi if low < -1 else 2.0, rel=1e-2)
                law = stats.uniform(*((-1.5 * math.pi, 3 * math.pi) if low < -1 else (0.0, 2.0)))
            case FadingSquare():
                law = stats.uniform()
            case _:
                law = stats.norm()
        assert stats.kstest(column, law.cdf).pvalue > 1e-3
    inside = coordinates[:1].double()
    cells = {"Line": stats.norm.logpdf, "Sine": stats.norm.logpdf}.get(type(manifold).__name__)
    expected = cells(inside[0, 0]) if cells else (-math.log(6 * math.pi) if isinstance(manifold, SCurve) else 0.0)
    assert float(manifold.log_density(inside)) == pytest.approx(expected)


@pytest.mark.parametrize("manifold", [SCurve(), FadingSquare()], ids=["s-curve", "fading square"])
def test_a_bounded_density_is_zero_outside(manifold: Manifold) -> None:
    outside = torch.full((1, manifold.intrinsic_dimension), 7.0)
    assert manifold.log_density(outside).item() == -math.inf


def test_the_same_generator_gives_the_same_points(manifold: Manifold) -> None:
    first, second = (manifold.sample(10, generator=_generator()).x for _ in range(2))
    assert torch.equal(first, second)


def test_the_fading_square_is_a_grey_six_by_six_square_on_black() -> None:
    image = FadingSquare().embed(torch.tensor([[0.5]])).view(32, 32)
    rows, columns = image.nonzero().unbind(1)
    assert len(rows) == 36
    assert rows.max() - rows.min() == columns.max() - columns.min() == 5
    assert set(image.unique().tolist()) == {0.0, 0.5}


def test_digits_are_scikit_learns_in_the_unit_interval() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    x, labels = handwritten_digits()
    images, classes = datasets.load_digits(return_X_y=True)
    assert x.shape == (1797, 64)
    assert x.min() == 0.0
    assert x.max() == 1.0
    assert torch.equal(x.double() * 16, torch.from_numpy(images))
    assert torch.equal(labels, torch.from_numpy(classes).long())


@pytest.mark.parametrize("wanted", [handwritten_digits, lambda: SCurve().sample(3)], ids=["digits", "s-curve"])
def test_without_scikit_learn_the_error_names_the_extra(wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"nflows-spread\[sklearn\]"):
        wanted()


def _write_mnist(folder: Path, *, packed: bool = True, images: int = 3) -> None:
    """Small files in the format of the real ones."""
    for prefix in ("train", "t10k"):
        pixels = bytes(range(4)) * images
        files = {
            f"{prefix}-images-idx3-ubyte": struct.pack(">4I", 0x0803, images, 2, 2) + pixels,
            f"{prefix}-labels-idx1-ubyte": struct.pack(">2I", 0x0801, 3) + bytes([7, 1, 0]),
        }
        for name, content in files.items():
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_from_its_idx_files(packed: bool, tmp_path: Path) -> None:
    _write_mnist(tmp_path, packed=packed)
    x, labels = mnist(tmp_path, split="test")
    assert torch.equal(x, torch.arange(4.0).repeat(3, 1) / 255)
    assert labels.tolist() == [7, 1, 0]


def test_the_folder_of_mnist_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    _write_mnist(tmp_path / "mnist")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert len(mnist().x) == 3


def test_missing_files_are_named_with_the_place_they_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    for folder in (None, tmp_path):
        with pytest.raises(FileNotFoundError) as error:
            mnist(folder)
        for name in ("train-images", "train-labels", "t10k-images", "t10k-labels", "https://", DATA_VARIABLE):
            assert name in str(error.value)


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    _write_mnist(tmp_path, packed=False)
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    with pytest.raises(ValueError, match="train-images-idx3-ubyte"):
        mnist(tmp_path)
    images.write_bytes(b"no")
    with pytest.raises(ValueError, match="16 bytes of header"):
        mnist(tmp_path)
    _write_mnist(tmp_path, packed=False, images=2)
    with pytest.raises(ValueError, match="as many entries"):
        mnist(tmp_path)
    with pytest.raises(ValueError, match="'train' or 'test'"):
        mnist(tmp_path, split="validation")  # type: ignore[arg-type]


@pytest.mark.skipif(
    not (REAL_DATA / "mnist").is_dir(), reason=f"real MNIST is not here; name its folder in {DATA_VARIABLE}"
)
@pytest.mark.parametrize(("split", "size"), [("train", 60_000), ("test", 10_000)])
def test_real_mnist_has_ten_classes_and_known_brightness(split: Literal["train", "test"], size: int) -> None:
    x, labels = mnist(REAL_DATA, split=split)
    assert x.shape == (size, 784)
    assert labels.unique().tolist() == list(range(10))
    assert float(x.mean()) == pytest.approx(0.1307, abs=3e-3)  # the mean that the field quotes
