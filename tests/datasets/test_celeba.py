"""CelebA is read from its folder or archive, cut to the centre, in its official splits."""

import zipfile

import numpy as np
import torch

from image_files import png, write
from nflows_spread.datasets import celeba
from support import refused


def test_celeba_is_cut_to_its_centre_and_resized(tmp_path):
    """A face of one colour on another: of a crop of 148 from 178×218 the centre is seen and the border is not."""
    face = np.full((218, 178, 3), 255, dtype=np.uint8)
    face[35:183, 15:163] = (10, 20, 30)
    for number in (1, 2):
        write(tmp_path / "img_align_celeba" / f"00000{number}.png", png(face))
    images, labels = celeba(tmp_path)
    assert labels is None
    assert images.shape == (2, 3, 32, 32)
    assert torch.equal(images[0].flatten(1).unique(dim=1), torch.tensor([[10], [20], [30]], dtype=torch.uint8))
    assert celeba(tmp_path, size=8, crop=178, limit=1).images.shape == (1, 3, 8, 8)
    assert celeba(tmp_path, crop=178).images.max() == 255


def test_celeba_is_read_from_its_archive_and_in_its_official_splits(tmp_path):
    folder = tmp_path / "celeba"
    folder.mkdir()
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"img_align_celeba/{number}.png", png(np.full((218, 178, 3), number, dtype=np.uint8)))
    with refused(FileNotFoundError, "'test'", "list_eval_partition.txt", "split='all'"):
        celeba(tmp_path, split="test")
    (folder / "list_eval_partition.txt").write_text("0.png 0\n1.png 2\n2.png 1\n3.png 2\n")
    assert celeba(tmp_path, split="test").images[:, 0, 0, 0].tolist() == [1, 3]
    assert celeba(tmp_path).images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
