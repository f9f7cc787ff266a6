"""A trained model in one file: it comes back in a fresh process, and nothing else is taken for it."""

import contextlib
import os
import pickle
import subprocess
import sys

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import AffineCouplingTransform, CompositeTransform

from nflows_spread import DegenerateGaussian, SpreadKLLoss, encode, intrinsic_dimension
from nflows_spread.factors import (
    KINDS,
    LowerTriangularFactor,
    LowRankFactor,
    LowRankPlusDiagonalFactor,
    RunningAverageFactor,
    SpreadCholeskyFactor,
)
from nflows_spread.models import TABLE_1, TABLE_3, convolutional_flow, coupling_flow
from nflows_spread.training import Checkpoints, fit, load_model, save_model
from nflows_spread.training.archives import read_archive, write_archive
from support import refused


def trained(build, config, x, **arguments):
    torch.manual_seed(0)
    flow = build(**config, **arguments)
    fit(SpreadKLLoss(flow, data_noise=0.1), x, steps=3, batch_size=len(x))
    return flow.eval()


MODELS = {
    "vectors": (coupling_flow, dict(TABLE_1), {}),
    "images": (convolutional_flow, dict(TABLE_3), {}),
    "a permuted one": (coupling_flow, {"features": 3, "layers": 3, "permute": True}, {}),
    "a prior with a mean": (
        coupling_flow,
        {"features": 2, "layers": 2},
        {"base": lambda: DegenerateGaussian([2], learn_mean=True, spread_variance=1e-3)},
    ),
}


def points(config):
    shape = config.get("image_shape") or [config["features"]]
    return torch.randn(8, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("build", "config", "extra"), MODELS.values(), ids=MODELS)
def test_a_model_comes_back_from_its_file_bit_for_bit(build, config, extra, tmp_path):
    x = points(config)
    flow = trained(build, config, x, **{name: make() for name, make in extra.items()})
    save_model(tmp_path / "flow.pt", flow, build=build, config=config)
    again = load_model(tmp_path / "flow.pt")
    assert torch.equal(again.log_prob(x), flow.log_prob(x))
    assert again._distribution.data_noise == 0.1
    assert torch.equal(again._distribution.spread_variance, flow._distribution.spread_variance)


FACTORS = {
    "LowerTriangularFactor": LowerTriangularFactor,
    "SpreadCholeskyFactor": SpreadCholeskyFactor,
    "LowRankFactor": LowRankFactor.of_rank(2),
    "LowRankPlusDiagonalFactor": LowRankPlusDiagonalFactor.of_rank(2, leading=3),
    "RunningAverageFactor": RunningAverageFactor.of_decay(0.9),
}


def test_every_kind_of_factor_is_in_the_table():
    assert set(FACTORS) == set(KINDS)


@pytest.mark.parametrize("factor", FACTORS.values(), ids=FACTORS)
def test_every_kind_of_factor_comes_back(factor, tmp_path):
    config, x = {"features": 4, "layers": 2}, torch.randn(30, 4)
    flow = trained(coupling_flow, config, x, base=DegenerateGaussian([4], factor=factor))
    save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config=config)
    again = load_model(tmp_path / "flow.pt")
    assert torch.equal(again.log_prob(x), flow.log_prob(x))
    assert again._distribution.factor.options() == flow._distribution.factor.options()


@pytest.mark.parametrize("factor", FACTORS.values(), ids=FACTORS)
def test_training_with_every_kind_of_factor_is_resumed_exactly(factor, tmp_path):
    ends, x = [], torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    for parts in ([7], [3, 7]):
        for steps in parts:
            torch.manual_seed(0)
            objective = SpreadKLLoss(
                coupling_flow(4, layers=2, base=DegenerateGaussian([4], factor=factor)), data_noise=0.1
            )
            fit(
                objective,
                x,
                steps=steps,
                batch_size=10,
                checkpoints=Checkpoints(tmp_path / str(len(parts))),
                resume=True,
                generator=torch.Generator().manual_seed(1),
            )
        ends.append(objective.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0] if "_extra" not in name)


def test_a_fresh_process_reads_the_dimension_off_a_saved_model(tmp_path):
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    flow = trained(coupling_flow, dict(TABLE_1), x)
    save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config=TABLE_1)
    torch.save(x, tmp_path / "x.pt")
    program = (
        "import sys, torch; from nflows_spread import intrinsic_dimension;"
        "from nflows_spread.training import load_model;"
        "flow = load_model(sys.argv[1]); x = torch.load(sys.argv[2]);"
        "print(int(intrinsic_dimension(flow, x, generator=torch.Generator().manual_seed(0))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "flow.pt", tmp_path / "x.pt"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert int(done.stdout) == intrinsic_dimension(flow, x, generator=torch.Generator().manual_seed(0))


def own_flow(hidden):
    def net(inputs, outputs):
        return torch.nn.Linear(inputs, outputs)

    del hidden
    coupling = AffineCouplingTransform([0, 1], lambda i, o: _NoContext(net(i, o)))
    return Flow(CompositeTransform([coupling]), DegenerateGaussian([2]))


class _NoContext(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, inputs, context=None):
        return self.net(inputs)


def test_a_model_of_your_own_needs_the_function_that_builds_it(tmp_path):
    flow = own_flow(3)
    save_model(tmp_path / "flow.pt", flow, build=own_flow, config={"hidden": 3})
    with pytest.raises(ValueError, match=r"the function that builds its flow, got none; pass build \(your own_flow\)"):
        load_model(tmp_path / "flow.pt")
    again = load_model(tmp_path / "flow.pt", build=own_flow)
    x = torch.randn(5, 2)
    assert torch.equal(again.log_prob(x), flow.log_prob(x))


def test_float64_and_a_standard_base_are_kept(tmp_path):
    flow = coupling_flow(2, layers=2, base=StandardNormal([2])).double()
    save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config={"features": 2, "layers": 2})
    again = load_model(tmp_path / "flow.pt")
    x = torch.randn(5, 2, dtype=torch.float64)
    assert torch.equal(again._transform(x)[0], flow._transform(x)[0])


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "flow.pt"
    save_model(path, coupling_flow(2, layers=2), build=coupling_flow, config={"features": 2, "layers": 2})
    return path


def test_a_truncated_file_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"flow.pt is damaged"):
        load_model(saved)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_flipped_byte_is_refused_or_without_effect(saved, share):
    content = bytearray(saved.read_bytes())
    before = load_model(saved).state_dict()
    content[int(share * len(content))] ^= 0xFF
    saved.write_bytes(content)
    after = before
    with contextlib.suppress(ValueError):  # the padding between tensors means nothing, all else is refused
        after = load_model(saved).state_dict()
    assert all(torch.equal(torch.nan_to_num(before[name]), torch.nan_to_num(after[name])) for name in before)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of a pickle ran')",)


def test_a_pickle_in_its_place_is_refused_and_does_not_run(saved):
    saved.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="no archive"):
        load_model(saved)
    torch.save(Bomb(), saved)
    with pytest.raises(ValueError, match="could run code; it was refused"):
        load_model(saved)
    torch.save(coupling_flow(2, layers=2), saved)
    with pytest.raises(ValueError, match="could run code; it was refused"):
        load_model(saved)


def test_a_state_dict_and_a_checkpoint_are_not_taken_for_a_model(saved, tmp_path):
    torch.save(coupling_flow(2, layers=2).state_dict(), saved)
    with pytest.raises(ValueError, match=r"must be a model of nflows_spread, got a file of another program"):
        load_model(saved)
    objective = SpreadKLLoss(coupling_flow(2, layers=2))
    result = fit(objective, torch.randn(20, 2), steps=1, batch_size=5, checkpoints=Checkpoints(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"must be a model of nflows_spread, got checkpoint"):
        load_model(result.checkpoint)


def test_a_file_of_another_model_is_refused_by_its_tensors(saved):
    other = coupling_flow(2, layers=3)
    before = [parameter.detach().clone() for parameter in other.parameters()]
    with pytest.raises(ValueError, match=r"flow.pt must be of the same model, got \d+ tensors that differ"):
        load_model(saved, flow=other)
    assert all(torch.equal(a, b) for a, b in zip(before, other.parameters()))


def test_a_missing_file_is_reported_as_such(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none.pt")


def test_a_configuration_of_another_model_is_refused_when_it_is_saved(tmp_path):
    with pytest.raises(ValueError, match=r"build\(\*\*config\) must be of the same model"):
        save_model(tmp_path / "a.pt", coupling_flow(2, layers=2), build=coupling_flow, config=TABLE_1 | {"layers": 3})
    with pytest.raises(TypeError, match="config must hold numbers, texts"):
        save_model(tmp_path / "a.pt", coupling_flow(2, layers=2), build=coupling_flow, config={"features": object()})
    assert list(tmp_path.iterdir()) == []


def residual():
    nf = pytest.importorskip("normflows")
    net = nf.nets.LipschitzMLP([2, 8, 2], init_zeros=False, lipschitz_const=0.9)
    return nf.NormalizingFlow(DegenerateGaussian([2]), [nf.flows.Residual(net)])


def test_a_model_with_random_log_determinants_is_saved(tmp_path):
    """Those of normflows' residual flows are estimated, by other random terms at each call."""
    flow = residual()
    save_model(tmp_path / "a.pt", flow, build=residual, config={})
    again, x = load_model(tmp_path / "a.pt", build=residual), torch.randn(5, 2)
    assert torch.equal(encode(again, x), encode(flow.eval(), x))


def test_saving_draws_nothing_from_the_global_generator(tmp_path):
    flow, before = coupling_flow(2, layers=2), torch.get_rng_state()
    save_model(tmp_path / "a.pt", flow, build=coupling_flow, config={"features": 2, "layers": 2})
    load_model(tmp_path / "a.pt")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_flow_of_your_own_takes_its_tensors_without_the_function_that_built_it(tmp_path):
    flow, given, x = own_flow(3), own_flow(3), torch.randn(5, 2)
    save_model(tmp_path / "flow.pt", flow, build=own_flow, config={"hidden": 3})
    assert load_model(tmp_path / "flow.pt", flow=given.train()) is given
    assert not given.training
    assert torch.equal(given.log_prob(x), flow.log_prob(x))


def test_a_factor_of_your_own_that_is_not_known_cannot_be_written_down(tmp_path):
    class Unknown(LowerTriangularFactor):
        pass

    flow = coupling_flow(2, layers=2, base=DegenerateGaussian([2], factor=Unknown))
    with refused(TypeError, "make a kind of factor of your own known by nflows_spread.factors.KINDS.register"):
        save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config={"features": 2, "layers": 2})
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_an_older_version_does_not_say_what_its_parts_are(saved):
    content = read_archive(saved, "model", 1)
    del content["parts"]
    write_archive(saved, "model", 1, content)
    x, given = torch.randn(5, 2), coupling_flow(2, layers=2)
    built = load_model(saved, build=coupling_flow)
    assert torch.equal(load_model(saved, flow=given).log_prob(x), built.log_prob(x))
