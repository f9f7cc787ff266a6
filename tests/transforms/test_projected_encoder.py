"""An encoder with a step towards the decoder's nearest point: exact where the decoder is linear, never farther."""

import copy
import pickle

import pytest
import torch
from torch import nn

from nflows_spread.models.lifted import LinearAndNet
from nflows_spread.transforms.projected_encoder import ProjectedEncoder
from support import randomize

pytestmark = pytest.mark.usefixtures("float64")


def curved(rank=2, features=5):
    return randomize(LinearAndNet(torch.eye(features)[:rank], (16,)))


def distances(encoder, decoder, x):
    return (decoder(encoder(x)) - x).norm(dim=1)


def test_for_a_linear_decoder_it_is_the_orthogonal_projection_whatever_the_encoder():
    matrix, x = torch.randn(2, 5), torch.randn(7, 5)
    encoder = ProjectedEncoder(randomize(LinearAndNet(torch.randn(5, 2), (8,))), LinearAndNet(matrix, ()))
    least_squares = torch.linalg.lstsq(matrix.mT, x.mT).solution.mT
    start = encoder.encoder(x)
    # what the damping leaves of the way
    assert ((encoder(x) - least_squares).norm(dim=1) <= 0.01 * (start - least_squares).norm(dim=1)).all()


def test_no_row_is_farther_from_its_point_and_most_are_nearer():
    decoder = curved()
    encoder = LinearAndNet(torch.eye(5)[:, :2], ())
    x = decoder(torch.randn(200, 2)) + 0.01 * torch.randn(200, 5)
    before, after = distances(encoder, decoder, x), distances(ProjectedEncoder(encoder, decoder), decoder, x)
    assert (after <= before).all()
    assert (after < 0.5 * before).double().mean() > 0.5


def test_at_the_nearest_point_nothing_is_left_to_gain():
    decoder = curved()
    true = torch.randn(50, 2)

    class Near(nn.Module):
        def forward(self, x):
            return true + 1e-3

    code = ProjectedEncoder(Near(), decoder)(decoder(true))
    assert (code - true).abs().max() <= 1e-5


def test_a_decoder_that_ignores_its_code_leaves_the_code():
    decoder = LinearAndNet(torch.zeros(2, 5), ())
    encoder, x = LinearAndNet(torch.eye(5)[:, :2], ()), torch.randn(4, 5)
    assert torch.equal(ProjectedEncoder(encoder, decoder)(x), encoder(x))


def test_rows_do_not_depend_on_each_other_and_copies_encode_alike():
    encoder, x = ProjectedEncoder(randomize(LinearAndNet(torch.randn(5, 2), (8,))), curved()), torch.randn(6, 5)
    torch.testing.assert_close(encoder(x)[2:4], encoder(x[2:4]), rtol=0, atol=1e-12)
    for copied in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert torch.equal(copied(x), encoder(x))


def test_its_gradient_is_that_of_the_whole_step():
    encoder = ProjectedEncoder(randomize(LinearAndNet(torch.randn(3, 1), (4,))), curved(1, 3))
    assert torch.autograd.gradcheck(encoder, torch.randn(3, 3, requires_grad=True))
