"""Checkpoints and models that were cut, altered, or are of another program: refused, or read as they were written."""

import json
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch

from nflows_spread.models import coupling_flow
from nflows_spread.training import load_model, read_checkpoint, restore_objective, save_model
from nflows_spread.training.archives import read_archive, write_archive
from resumed_runs import ROWS, objective_of, same, tensors_of, train
from support import refused

CONFIG = {"features": 2, "layers": 2, "hidden_features": [4]}
FEW, MANY = 150, 5_000


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint and a model, each with how it is read to tensors."""
    folder = tmp_path_factory.mktemp("files")
    train(objective_of(0), ROWS, 5, folder=folder)
    torch.manual_seed(0)
    save_model(folder / "flow.pt", coupling_flow(**CONFIG), build=coupling_flow, config=CONFIG)
    return {
        "checkpoint": (folder / "step-0000000005.pt", lambda path: read_checkpoint(path)["objective"]),
        "model": (folder / "flow.pt", lambda path: tensors_of(load_model(path))),
    }


def damaged(content, draw):
    """The content cut short, or with one to four flipped bits, of which the table at its end has every second."""
    if draw.random() < 0.25:
        return content[: draw.randrange(len(content))]
    altered = bytearray(content)
    begin = content.rindex(b"PK\x06\x06") - 60 * 30 if draw.random() < 0.5 else 0  # some thirty entries of the table
    for _ in range(draw.choice([1, 1, 1, 4])):
        altered[draw.randrange(max(begin, 0), len(altered))] ^= 1 << draw.randrange(8)
    return bytes(altered)


@pytest.mark.parametrize("number", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["checkpoint", "model"])
def test_a_damaged_file_is_refused_or_reads_as_it_was_written(kind, number, files, tmp_path):
    path, read = files[kind]
    whole, expected, draw = path.read_bytes(), read(path), random.Random(number)
    copy, refusals = tmp_path / path.name, []
    for _ in range(number):
        copy.write_bytes(damaged(whole, draw))
        try:
            found = read(copy)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert same(found, expected)
    assert all(str(copy) in said for said in refusals)
    assert len(refusals) > number / 2


@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.slow)])
def test_no_bit_of_the_table_of_contents_changes_a_tensor_unseen(every, tmp_path):
    """Of these bits one for each tensor makes torch take its part for a folder, and leave the tensor as memory was."""
    path, tensors = tmp_path / "a.pt", {"a": torch.randn(3), "b": torch.randn(3)}
    write_archive(path, "checkpoint", 1, tensors)
    whole, begin = path.read_bytes(), zipfile.ZipFile(path).start_dir
    refusals = 0
    for place in range(begin, len(whole)):
        for bit in range(8) if place % every == 0 else [4]:
            altered = bytearray(whole)
            altered[place] ^= 1 << bit
            path.write_bytes(altered)
            try:
                found = read_archive(path, "checkpoint", 1)
            except ValueError:
                refusals += 1
            else:
                assert same(found, tensors), (place - begin, bit)
    assert refusals > (len(whole) - begin) / 2


def test_torch_by_itself_does_not_see_a_flipped_bit_of_a_tensor(tmp_path):
    """Why the checksums are looked at here: should this fail, torch does so itself."""
    path = tmp_path / "a.pt"
    write_archive(path, "checkpoint", 1, {"x": torch.arange(1000.0)})
    content = path.read_bytes()
    place = content.index(torch.tensor([500.0]).numpy().tobytes())
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert not torch.equal(torch.load(path, weights_only=True)["content"]["x"], torch.arange(1000.0))
    with refused(ValueError, f"{path} is damaged", "the checksum of its part", "is wrong"):
        read_archive(path, "checkpoint", 1)


FOREIGN = {
    "weights of torch": lambda path: torch.save({"weight": torch.zeros(2)}, path),
    "a tensor": lambda path: torch.save(torch.zeros(2), path),
    "weights in torch's old format": lambda path: torch.save({}, path, _use_new_zipfile_serialization=False),
    "arrays of NumPy": lambda path: np.savez(path.open("wb"), x=np.zeros(2)),
    "a zip of texts": lambda path: zipfile.ZipFile(path, "w").writestr("word/document.xml", "text"),
    "an empty zip": lambda path: zipfile.ZipFile(path, "w").close(),
    "safetensors": lambda path: path.write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}"),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"kind": "model"})),
    "JSON": lambda path: path.write_text(json.dumps({"kind": "model"})),
    "nothing": lambda path: path.write_bytes(b""),
    "a kind without content": lambda path: torch.save({"kind": "model", "version": 1}, path),
    "a kind of no version": lambda path: torch.save({"kind": "model", "version": "new", "content": {}}, path),
    "a checkpoint": lambda path: write_archive(path, "checkpoint", 1, {}),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_another_program_is_refused_by_its_name(make, tmp_path):
    path = tmp_path / "flow.pt"
    make(path)
    with refused(ValueError, str(path)):
        load_model(path)


def test_a_checkpoint_of_another_model_is_refused(files):
    path, _ = files["checkpoint"]
    other = objective_of(1)
    other.flow._transform._transforms = other.flow._transform._transforms[:1]
    before = tensors_of(other)
    with refused(ValueError, "step-0000000005.pt"):
        restore_objective(path, other)
    assert same(tensors_of(other), before)
