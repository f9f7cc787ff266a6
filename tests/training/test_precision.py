"""bf16 for the nets, float32 for the flow."""

import pytest
import torch
from nflows.flows import MaskedAutoregressiveFlow

from nflows_spread import SpreadKLLoss, decode, encode
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit
from nflows_spread.training.precision import nets_in, nets_of
from nflows_spread.transforms import VolumePreservingLULinear


@pytest.fixture
def objective():
    flow = coupling_flow(4, layers=3)
    flow._transform._transforms.insert(1, VolumePreservingLULinear(4, identity_init=False))
    return SpreadKLLoss(flow, data_noise=0.1)


def dtypes_of_operations(function):
    """The dtypes of the results of all matrix products."""
    seen = {}

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
            result = operation(*arguments, **(keywords or {}))
            if isinstance(result, torch.Tensor):
                seen.setdefault(str(operation).split(".")[1], set()).add(result.dtype)
            return result

    with Watch():
        function()
    return seen


def test_the_nets_compute_in_bf16_and_nothing_else_does(objective):
    x = torch.randn(10, 4)
    with nets_in("bf16-mixed", objective, "cpu"):
        seen = dtypes_of_operations(lambda: encode(objective.flow, x))
    assert torch.bfloat16 in seen["baddbmm"] | seen.get("bmm", set())
    for operation in ("mm", "addmm", "exp", "addcmul", "addmv"):
        assert torch.bfloat16 not in seen.get(operation, set())
    assert seen["exp"] == {torch.float32}


def test_the_inverse_is_exact_to_float32_although_the_nets_are_coarse(objective):
    x = torch.randn(200, 4)
    plain = encode(objective.flow, x).detach()
    with nets_in("bf16-mixed", objective, "cpu"):
        coarse = encode(objective.flow, x).detach()
        assert torch.allclose(decode(objective.flow, coarse), x, atol=1e-5)
    assert coarse.dtype == torch.float32
    assert 1e-5 < float((coarse - plain).abs().max()) < 0.1


def test_afterwards_everything_is_as_it_was(objective):
    x = torch.randn(10, 4)
    before = encode(objective.flow, x)
    with pytest.raises(RuntimeError, match="on purpose"), nets_in("bf16-mixed", objective, "cpu"):
        raise RuntimeError("on purpose")
    assert torch.equal(encode(objective.flow, x), before)
    assert all("forward" not in vars(net) for net in nets_of(objective))


def test_training_in_bf16_follows_training_in_float32():
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        objective = SpreadKLLoss(coupling_flow(2, layers=2), data_noise=0.2)
        torch.manual_seed(1)
        generator = torch.Generator().manual_seed(0)
        data = torch.randn(500, 2, generator=torch.Generator().manual_seed(3)) * torch.tensor([3.0, 0.3])
        result = fit(objective, data, steps=150, learning_rate=5e-3, generator=generator, precision=precision)
        losses[precision] = result.losses
        assert all(parameter.dtype == torch.float32 for parameter in objective.parameters())
    assert losses["bf16-mixed"] != losses["32-true"]
    ends = [sum(values[-20:]) / 20 for values in losses.values()]
    assert ends[0] == pytest.approx(ends[1], abs=0.05)
    assert ends[1] < losses["32-true"][0] - 1.0


def test_the_nets_of_nflows_models_are_found():
    assert len(nets_of(MaskedAutoregressiveFlow(3, 8, 2, 1))) == 2


def test_a_model_without_nets_is_refused():
    class Plain(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x).square().mean()

    with pytest.raises(ValueError, match=r"transform_net, autoregressive_net, got none; use '32-true'"):
        fit(Plain(2, 2), torch.randn(20, 2), steps=1, batch_size=5, precision="bf16-mixed")
