"""bf16 for the nets, float32 for the flow."""

import pytest
import torch

from host_models import MODELS, inputs_for, mlp, normflows, spread_flow
from nflows_spread import DegenerateGaussian, SpreadKLLoss, decode, encode
from nflows_spread.hosts.registry import nets_of
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit
from nflows_spread.training.precision import nets_in
from nflows_spread.transforms import VolumePreservingLULinear
from support import refused


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


def normflows_real_nvp():
    nf = normflows()
    masks = [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])]
    return nf.NormalizingFlow(
        DegenerateGaussian([2]), [nf.flows.MaskedAffineFlow(mask, mlp(2, 2), mlp(2, 2)) for mask in masks]
    )


@pytest.mark.parametrize("build", [lambda: coupling_flow(2, layers=2), normflows_real_nvp], ids=["ours", "normflows"])
def test_training_in_bf16_follows_training_in_float32(build):
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        objective = SpreadKLLoss(build(), data_noise=0.2)
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


class Products(torch.utils._python_dispatch.TorchDispatchMode):
    """The dtypes of matrix products and convolutions, inside nets and outside, and of what the nets return."""

    def __init__(self, nets):
        super().__init__()
        self.inside, self.outside, self.returned, self._depth = set(), set(), set(), 0
        self.hooks = [net.register_forward_pre_hook(self._enter) for net in nets]
        self.hooks += [net.register_forward_hook(self._leave) for net in nets]

    def _enter(self, net, arguments):
        self._depth += 1

    def _leave(self, net, arguments, output):
        self._depth -= 1
        self.returned.add(output.dtype)

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        result = operation(*arguments, **(keywords or {}))
        if str(operation).split(".")[1] in ("mm", "addmm", "bmm", "baddbmm", "convolution"):
            (self.inside if self._depth else self.outside).add(result.dtype)
        return result


@pytest.mark.parametrize("name", [name for name in MODELS if name != "zuko: GF"])  # which has none
def test_the_nets_of_every_host_compute_in_bf16_and_return_float32(name):
    flow, (x, context) = spread_flow(name, torch.float32), inputs_for(name, 20, torch.float32)
    plain = encode(flow, x, context)
    with nets_in("bf16-mixed", flow, "cpu"):
        with Products(nets_of(flow)) as products:
            coarse = encode(flow, x, context)
        back = decode(flow, coarse, context)
    assert products.inside == {torch.bfloat16}
    assert products.outside <= {torch.float32}
    assert products.returned == {coarse.dtype} == {back.dtype} == {torch.float32}
    assert 0.0 < float((coarse - plain).detach().abs().max()) < 0.1
    torch.testing.assert_close(back, x, rtol=0, atol=1e-4)
    assert torch.equal(encode(flow, x, context), plain)


@pytest.mark.parametrize("name", MODELS)
def test_every_net_of_a_host_is_found(name):
    """What multiplies activations by weights is in a net, but for linear layers of the flow and the context's net."""
    flow = spread_flow(name, torch.float32)
    found = {id(part) for net in nets_of(flow) for part in net.modules()}
    found |= {id(part) for part in flow._embedding_net.modules()} if "embedding" in name else set()
    weights = [part for part in flow.modules() if isinstance(part, torch.nn.Linear | torch.nn.Conv2d)]
    assert {id(part) for part in weights} <= found


def test_a_flow_without_nets_is_refused():
    objective = SpreadKLLoss(spread_flow("zuko: GF", torch.float32), data_noise=0.1)
    with refused(ValueError, "needs a flow whose layers have nets", "got none in SpreadKLLoss"):
        fit(objective, torch.randn(20, 3), steps=1, batch_size=5, precision="bf16-mixed")


def test_a_model_without_nets_is_refused():
    class Plain(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x).square().mean()

    with pytest.raises(ValueError, match=r"needs a flow whose layers have nets, .*, got none in Plain; use '32-true'"):
        fit(Plain(2, 2), torch.randn(20, 2), steps=1, batch_size=5, precision="bf16-mixed")
