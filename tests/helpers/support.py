"""Small helpers of the tests: what states a module is in, random parameters, and independent densities."""

from __future__ import annotations

import contextlib
import copy
import math
import multiprocessing
import re

import numpy as np
import pytest
import torch
from nflows.flows import Flow
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nflows_spread import DegenerateGaussian, SpreadKLLoss, base_of, encode, initialize
from nflows_spread.models import volume_preserving_glow
from nflows_spread.transforms import GlowStep


def randomize(module: nn.Module, scale: float = 0.3) -> nn.Module:
    """Random parameters in place of the initial ones, at which many a mistake does not show."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return module


SMALL_GLOW = {"blocks": 2, "layers": 2, "hidden_channels": 6}


def glow_flow(shape, **options):
    """A small Glow with a prior over all of its latent."""
    return Flow(volume_preserving_glow(shape, **SMALL_GLOW | options), DegenerateGaussian([math.prod(shape)]))


def steps_of(module: nn.Module) -> list[GlowStep]:
    """The steps of a Glow, or of a flow that is one."""
    return [part for part in module.modules() if isinstance(part, GlowStep)]


def lower_triangular(features: int, rank: int, scale: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A random lower-triangular factor of exactly the given rank."""
    factor = scale * torch.randn(features, features, dtype=torch.float64).tril()
    factor.diagonal().copy_(scale * (1.0 + torch.rand(features, dtype=torch.float64)))
    factor[:, rank:] = 0.0
    return factor.to(dtype)


def scipy_log_prob(z: torch.Tensor, factor: torch.Tensor, spread_variance: float, loc: float = 0.0) -> np.ndarray:
    """log N(z; loc, AAᵀ + σ² I) from scipy.

    scipy gets the covariance by its eigendecomposition, from the singular values of A: given as a
    matrix, it has rounded the flat directions away before scipy sees it, and scipy is off by 1e-8.
    """
    stats = pytest.importorskip("scipy.stats")
    vectors, singular, _ = np.linalg.svd(factor.detach().double().numpy())
    covariance = stats.Covariance.from_eigendecomposition((singular**2 + spread_variance, vectors))
    mean = np.full(len(singular), float(loc))
    return np.atleast_1d(stats.multivariate_normal(mean, covariance).logpdf(z.detach().double().numpy()))


def log_prob_by_autograd(z: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    """log N(z; 0, RRᵀ) for a lower-triangular R, whose diagonal may have either sign, as plainly as can be."""
    whitened = torch.linalg.solve_triangular(root, z.mT, upper=False)
    log_det = root.diagonal().abs().log().sum()
    return -0.5 * whitened.square().sum(0) - log_det - 0.5 * z.shape[1] * math.log(2 * math.pi)


def kernel_entropy(z: torch.Tensor, variance: float) -> torch.Tensor:
    """Equation 39 with torch.distributions: the mean log-density of a mixture of Gaussians at its own centres."""
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=z.new_zeros(len(z))),
        torch.distributions.Independent(torch.distributions.Normal(z, math.sqrt(variance)), 1),
    )
    return mixture.log_prob(z).mean()


def random_pixels(*shape: int):
    """Bytes from a fixed seed."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@contextlib.contextmanager
def refused(error: type[Exception], *words: str, unchanged: nn.Module | None = None):
    """The block raises ``error`` with all the words in its message, and leaves the module's state alone."""
    before = None if unchanged is None else copy.deepcopy(unchanged.state_dict())
    with pytest.raises(error) as caught:
        yield
    for word in words:
        assert re.search(re.escape(word), str(caught.value)), f"{word!r} is not in: {caught.value}"
    if unchanged is not None:
        assert_same_state(unchanged.state_dict(), before)


def assert_same_state(state: dict, other: dict) -> None:
    assert state.keys() == other.keys()
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(value, other[name], rtol=0, atol=0, equal_nan=True, msg=name)
        else:
            assert value == other[name], name


def in_two_processes(function, *arguments):
    """``function(rank, *arguments)`` in two processes, which share one import of torch where the system allows it."""
    methods = multiprocessing.get_all_start_methods()
    multiprocessing.set_forkserver_preload(["torch.distributed", "nflows.flows", "nflows_spread.models"])
    torch.multiprocessing.start_processes(
        function, arguments, nprocs=2, start_method="forkserver" if "forkserver" in methods else "spawn"
    )


def observe_in_two_processes(rank, folder):
    """Started by a test in each of two processes, so it lives where they can import it."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    prior = torch.load(f"{folder}/prior.pt", weights_only=False)
    prior.observe(torch.load(f"{folder}/z.pt").tensor_split([7])[rank])
    torch.save(prior.state_dict(), f"{folder}/{rank}.pt")
    torch.distributed.barrier()  # or the first to leave closes the connection under the other, which then aborts
    torch.distributed.destroy_process_group()


def assert_two_processes_observe_as_one(prior, z, folder):
    """Two processes that train together, with 7 of the latents and the rest, lead to the state of one with all."""
    torch.save(z, folder / "z.pt")
    torch.save(prior, folder / "prior.pt")
    in_two_processes(observe_in_two_processes, str(folder))
    prior.observe(z)
    for rank in (0, 1):
        torch.testing.assert_close(torch.load(folder / f"{rank}.pt"), dict(prior.state_dict()))


def initialize_in_two_processes(rank, folder, start=initialize):
    """Started by a test in each of two processes: each sets its Glow from other data, and DDP makes them agree."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(0)  # as every process builds the same model
    transform = volume_preserving_glow((1, 4, 4), blocks=1, layers=2, hidden_channels=4)
    flow = Flow(transform, DegenerateGaussian([16]))
    start(flow, torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(rank)) * (rank + 1) + 10.0 * rank)
    wrapped = torch.nn.parallel.DistributedDataParallel(SpreadKLLoss(flow, data_noise=0.1))
    wrapped(torch.rand(8, 1, 4, 4)).backward()
    torch.save(flow.state_dict(), f"{folder}/{rank}.pt")
    torch.distributed.barrier()  # or the first to leave closes the connection under the other, which then aborts
    torch.distributed.destroy_process_group()


class LargestResult(TorchDispatchMode):
    """The number of bytes of the largest tensor that an operation returns."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


def at_its_optimum(flow, x, *, data_noise):
    """A flow whose prior has the moments of the latents of noisy data, where training takes it."""
    noisy = x + data_noise * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    base = base_of(flow)
    with torch.no_grad():
        covariance = encode(flow, noisy).flatten(1).mT.cov()
        base.factor.assign(torch.linalg.cholesky(covariance), base.spread_variance)
    base.data_noise = data_noise
    return flow
