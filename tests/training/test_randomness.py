"""Random state: what is captured comes back, ranks draw different numbers, and measurements leave it as it was."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from nflows_spread.training import randomness
from nflows_spread.training.archives import read_archive, write_archive
from support import refused


def seeded(seed):
    """All global generators, and one of its own."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    return torch.Generator().manual_seed(seed)


def draws(generator):
    """Of the four sources, two normal ones each, as a second one is kept by Python and NumPy."""
    return (
        torch.randn(3, generator=generator).tolist(),
        torch.randn(3).tolist(),
        [random.gauss(0.0, 1.0), random.random()],
        [float(np.random.randn()), float(np.random.rand())],
    )


def test_all_sources_go_on_from_where_they_were_captured(tmp_path):
    generator = seeded(0)
    random.gauss(0.0, 1.0), np.random.randn()
    write_archive(tmp_path / "a.pt", "checkpoint", 1, randomness.capture([generator]))
    expected, other = draws(generator), seeded(1)
    randomness.restore(read_archive(tmp_path / "a.pt", "checkpoint", 1), [other])
    assert draws(other) == expected


def test_generators_more_or_fewer_than_were_captured_are_refused():
    state = randomness.capture([torch.Generator()])
    with refused(ValueError, "must hold as many generators as when the checkpoint was written, 1, got 0"):
        randomness.restore(state, [])


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_the_state_of_an_accelerator_is_put_back_where_both_have_one(there, kept, monkeypatch):
    put_back, of_cuda = [], torch.arange(3)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: of_cuda)
    monkeypatch.setattr(torch.cuda, "set_rng_state", put_back.append)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: kept)
    state = randomness.capture([])
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: there)
    randomness.restore(state, [])
    assert put_back == ([of_cuda] if there and kept else [])


def test_ranks_are_given_numbers_of_their_own_and_the_same_ones_again():
    def of_rank(rank):
        generator = seeded(0)
        randomness.separate([generator], rank)
        return draws(generator)

    zero, one, again = of_rank(0), of_rank(1), of_rank(1)
    assert again == one
    assert all(mine != other for mine, other in zip(zero, one))


def test_seeds_of_ranks_differ_and_are_in_the_range_of_torch():
    seeds = [randomness.seed_of_rank(2**62 - 1, rank) for rank in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**62 for seed in seeds)
    assert seeds[0] == 2**62 - 1


@pytest.mark.parametrize("own", [False, True])
def test_a_seed_is_drawn_from_its_generator_or_from_the_global_one(own):
    generator = seeded(3)
    before = torch.get_rng_state()
    seed = randomness.draw_seed(generator if own else None)
    assert seed == int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(3)))
    assert torch.equal(torch.get_rng_state(), before) == own


def test_layers_drawn_from_a_generator_follow_it_and_leave_the_global_one():
    def weights(seed):
        generator = torch.Generator().manual_seed(seed)
        with randomness.drawing_from(generator):
            return nn.Linear(3, 3).weight.detach()

    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_generators_of_modules_and_their_parts_are_found_once():
    class Noisy(nn.Module):
        def __init__(self, generator):
            super().__init__()
            self.generator = generator

    one, two, three = (torch.Generator() for _ in range(3))
    owners = nn.Sequential(Noisy(one), nn.Sequential(Noisy(two), Noisy(one))), three, Noisy(three)
    found = randomness.generators_of(*owners)
    assert [id(generator) for generator in found] == [id(one), id(two), id(three)]


@pytest.mark.parametrize("fails", [False, True])
def test_inside_all_is_drawn_from_one_seed_and_outside_goes_on_as_before(fails):
    module = nn.Module()
    module.generator = seeded(4)
    expected, module.generator = draws(module.generator), seeded(4)
    seen = []
    for _ in range(2):
        try:
            with randomness.isolated_randomness(module, seed=7):
                seen.append((torch.randn(3).tolist(), torch.randn(3, generator=module.generator).tolist()))
                random.random(), np.random.rand()
                if fails:
                    raise KeyError
        except KeyError:
            assert fails
    alone = torch.randn(3, generator=torch.Generator().manual_seed(7)).tolist()
    assert seen == [(alone, alone)] * 2
    assert draws(module.generator) == expected
