"""How many pieces the latents of a flow want."""

import pytest
import torch

from clusters import three_clusters
from nflows_spread import DegenerateGaussianMixture, base_of, choose_pieces, initialize_prior, swap_base
from nflows_spread import piece_number as module
from nflows_spread.linalg.mixture_choice import fit_pieces
from nflows_spread.models import coupling_flow
from support import randomize, refused


def flow_of(features):
    """That leaves everything where it is."""
    return randomize(coupling_flow(features, layers=2, hidden_features=(8,)), 0.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_the_number_of_clusters_and_one_of_a_gaussian(seed):
    flow, generator = flow_of(2), torch.Generator().manual_seed(seed)
    assert choose_pieces(flow, three_clusters(600, seed).float(), (1, 2, 3, 4, 6), generator=generator) == 3
    assert choose_pieces(flow, torch.randn(600, 2, generator=generator), data_noise=0.1, generator=generator) == 1


def test_the_noise_is_by_default_that_which_the_base_knows():
    """Three clusters that are one under the noise of the training."""
    x, flow = three_clusters(600).float(), swap_base(flow_of(2), DegenerateGaussianMixture([2], 2))
    base_of(flow).data_noise = 20.0
    found = [
        choose_pieces(flow, x, (1, 2, 3), data_noise=given, generator=torch.Generator().manual_seed(0))
        for given in (None, 20.0, 0.0)
    ]
    assert found == [1, 1, 3]


def test_many_features_and_many_rows_are_cut_to_some(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 1500)
    generator, x, asked = torch.Generator().manual_seed(0), torch.zeros(2000, 70), []
    x[:, :2] = three_clusters(2000).float()
    x += 0.1 * torch.randn(2000, 70, generator=generator)

    def recorded(coordinates, numbers, **options):
        asked.append(coordinates.shape)
        return fit_pieces(coordinates, numbers, **options)

    monkeypatch.setattr(module, "fit_pieces", recorded)
    assert choose_pieces(flow_of(70), x, (1, 3, 6), generator=generator) == 3
    assert asked == [(1500, 64)]


def test_a_mixture_of_the_number_is_likelier_than_of_others():
    x, other = three_clusters(600).float(), three_clusters(600, seed=1).float()
    found = {}
    for pieces in (1, choose_pieces(flow_of(2), x, (1, 2, 3, 4), generator=torch.Generator().manual_seed(0))):
        flow = swap_base(flow_of(2), DegenerateGaussianMixture([2], pieces))
        initialize_prior(flow, x, generator=torch.Generator().manual_seed(0))
        found[pieces] = float(flow.log_prob(other).detach().mean())
    assert found[3] > found[1] + 0.5


def test_a_seed_gives_the_same_number_and_leaves_the_global_generator_alone():
    flow, x = flow_of(2), three_clusters(200).float()
    before = torch.random.get_rng_state()
    one, two = (choose_pieces(flow, x, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert one == two
    assert torch.equal(before, torch.random.get_rng_state())


def test_what_leaves_no_choice_is_refused():
    flow, x = flow_of(2), torch.randn(20, 2)
    with refused(ValueError, "numbers must be at least 1, got 0"):
        choose_pieces(flow, x, (0, 1))
    with refused(TypeError, "numbers must be an integer", "got 1.5"):
        choose_pieces(flow, x, (1.5,))
    with refused(ValueError, "pieces must hold a number of at most 16 for 20 rows", "got [40]"):
        choose_pieces(flow, x, (40,))
    with refused(ValueError, "x must have at least two rows"):
        choose_pieces(flow, x[:1])
    with refused(ValueError, "context must have one row for each of the 20 inputs"):
        choose_pieces(flow, x, context=x[:3])
