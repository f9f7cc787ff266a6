"""How many pieces a mixture has, and how far they are shrunk, by held-out rows."""

import torch

from clusters import three_clusters
from nflows_spread.linalg.mixture_choice import fit_pieces
from support import refused


def test_the_number_of_pieces_is_the_number_of_clusters():
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        assert len(fit_pieces(three_clusters(seed=seed), (1, 2, 3, 4, 6, 8), generator=generator).weights) == 3
        gaussian = torch.randn(200, 3, generator=generator)
        assert len(fit_pieces(gaussian, (1, 2, 4), generator=generator).weights) == 1


def test_the_best_number_is_taken_where_the_fewest_that_are_as_good_are_not_asked_for():
    """Of numbers that hardly differ; and a number far beyond the best is not tried."""
    z = three_clusters(900)
    fewest, best = (
        fit_pieces(z, (2, 3, 4, 5, 200), within=within, generator=torch.Generator().manual_seed(3))
        for within in (1.0, 0.0)
    )
    assert 3 == len(fewest.weights) <= len(best.weights) <= 5


def test_the_shrinkage_is_chosen_by_held_out_rows():
    """Planes in three directions have no shape in common; few rows in many features have."""
    generator = torch.Generator().manual_seed(6)
    planes = []
    for place in range(3):
        axes = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64)).Q[:, :2]
        flat = torch.rand(200, 2, generator=generator, dtype=torch.float64) @ axes.mT
        planes.append(flat + 5.0 * place + 0.01 * torch.randn(200, 5, generator=generator, dtype=torch.float64))
    found = fit_pieces(torch.cat(planes), (1, 2, 4, 8), pseudo_counts=(5.0, 0.1), within=0.0, generator=generator)
    assert found.pseudo_counts == 0.1
    few = torch.randn(60, 10, generator=generator, dtype=torch.float64)
    few[:30] += 4.0
    found = fit_pieces(few, (1, 2, 4), pseudo_counts=(10.0, 0.1), generator=generator)
    assert found.pseudo_counts == 10.0
    assert fit_pieces(few, 2, pseudo_counts=(0.1, 10.0), generator=generator).pseudo_counts == 10.0


def test_a_smaller_shrinkage_takes_fewer_pieces_where_these_are_enough():
    """Two planes: of one common shape six pieces tile them, of shapes of their own two are enough."""
    generator = torch.Generator().manual_seed(6)
    planes = []
    for place in (0.0, 12.0):
        axes = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q[:, :2]
        flat = 2.0 * torch.randn(300, 2, generator=generator, dtype=torch.float64) @ axes.mT
        planes.append(flat + place + 0.05 * torch.randn(300, 4, generator=generator, dtype=torch.float64))
    common, own = (
        fit_pieces(torch.cat(planes), (2, 6), pseudo_counts=counts, within=0.0, generator=generator)
        for counts in ((1e6,), (1e6, 0.1))
    )
    assert (len(common.weights), common.pseudo_counts) == (6, 1e6)
    assert (len(own.weights), own.pseudo_counts) == (2, 0.1)


def test_a_seed_gives_the_same_pieces_and_leaves_the_global_generator_alone():
    z, before = three_clusters(), torch.random.get_rng_state()
    one, two = (fit_pieces(z, (2, 3), generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(map(torch.equal, one[:3], two[:3]))
    assert torch.equal(before, torch.random.get_rng_state())


def test_one_number_is_taken_though_folds_have_fewer_rows():
    z = three_clusters(10)
    assert len(fit_pieces(z, 9).weights) == len(fit_pieces(z, 9, pseudo_counts=(0.1,)).weights) == 9
    assert len(fit_pieces(z, (2, 9, 10), generator=torch.Generator().manual_seed(0)).weights) == 2


def test_folds_whose_other_rows_are_all_equal_are_not_asked():
    z = torch.zeros(60, 2, dtype=torch.float64)
    z[7] = 1.0
    found = fit_pieces(z[6:16], [1, 2], folds=2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((found[0].unsqueeze(1) * found[1]).sum(0), z[6:16].mean(0))
    found = fit_pieces(z, [1, 2], generator=torch.Generator().manual_seed(0))
    assert bool(found[2].isfinite().all())


def test_what_leaves_no_choice_is_refused():
    with refused(ValueError, "pieces must hold a number of at most 8 for 10 rows", "got [9, 10]"):
        fit_pieces(three_clusters(10), [9, 10])
    with refused(ValueError, "pseudo_counts must hold a number to choose", "got none"):
        fit_pieces(three_clusters(10), 2, pseudo_counts=())
    with refused(ValueError, "folds must be at least 2", "got 1"):
        fit_pieces(three_clusters(10), (1, 2), folds=1)
