"""An existing model made volume-preserving, or the first part of it that cannot be."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.hosts import encode, encode_with_logabsdet
from nflows_spread.hosts.advice import advice_on_a_layer, advice_on_an_argument, name_of
from nflows_spread.hosts.conversion_rules import Memo, Rules, UnconvertibleError
from nflows_spread.hosts.registry import hosts_for, packages_of, registered_packages

_JACOBIAN_FEATURES = 128


@torch.inference_mode(False)
def to_volume_preserving(transform: nn.Module) -> nn.Module:
    """A copy of a transform, or of a whole flow, whose layers have |det J| = 1 whatever their parameters.

    Affine couplings keep their nets and get centred log-scales, s − mean(s) (equation 42); those of zuko's
    autoregressive layers are centred in the order of the features. Actnorms, LU,
    QR and SVD linear layers and 1×1 convolutions become what they were, over the D-th root of their
    determinant, and keep that by centring (appendix C.6). Permutations, reshapes, squeezes and additive
    couplings are copied; composites, multiscale composites and inverses are made of converted parts.
    Layers that preserve volume already compute the same map as before. The base of a whole flow is
    copied and not changed.

    A converted actnorm that has not seen data is the identity and stays so until ``initialize`` sets it.

    Args:
        transform: a transform or ``Flow`` of nflows, a flow layer, ``NormalizingFlow``,
            ``ConditionalNormalizingFlow`` or ``MultiscaleFlow`` of normflows, or a lazy transform or ``Flow`` of
            zuko. It stays as it is, and the result shares no tensor with it.

    Returns:
        The converted module, in the same training mode: of the same class for composites and whole
        flows, of a volume-preserving class for a layer that was converted.

    Raises:
        TypeError: this is no module of a host.
        ValueError: a layer cannot be converted. The message has the path of the first one and the reason.

    Example:
        >>> from nflows.flows import SimpleRealNVP
        >>> flow = to_volume_preserving(SimpleRealNVP(3, hidden_features=8, num_layers=2, num_blocks_per_layer=1))
        >>> volume_error(flow, torch.randn(10, 3)) < 1e-5
        True
    """
    if not _is_convertible_at_all(transform):
        raise TypeError(
            f"transform must be a transform or flow of {_libraries()}, got {name_of(type(transform))}"
            f"{_without_rules(transform)}{advice_on_an_argument(transform, 'transform', _is_convertible_at_all)}"
        )
    memo: Memo = {id(tensor): tensor.detach().clone() for tensor in _computed_tensors(transform)}
    _convert(transform, "", memo)
    return copy.deepcopy(transform, memo)


@torch.no_grad()
@typed
def volume_error(flow: nn.Module, x: Tensor, *, context: Tensor | None = None) -> float:
    """The largest |log|det J|| of the encoder on data: 0, up to rounding, for a flow that preserves volume.

    Up to 128 features the Jacobian itself is taken by automatic differentiation, so that what a layer
    reports of itself is checked; beyond, the reported value is what counts.

    Args:
        flow: a flow of any host, in evaluation mode if it has layers that depend on the mode.
        x: data, shape (n, ...).
        context: conditioning inputs, one row for each row of ``x``, or one for all.

    Raises:
        TypeError, ValueError: ``x`` is no finite floating-point batch.
    """
    validation.points("x", x)
    error = float(encode_with_logabsdet(flow, x, context)[1].abs().max())
    if x.shape[1:].numel() <= _JACOBIAN_FEATURES:
        error = max(error, float(torch.linalg.slogdet(_jacobians(flow, x, context)).logabsdet.abs().max()))
    return error


def _convert(module: object, path: str, memo: Memo) -> None:
    """Leave the converted form of every layer that changes in the memo of the copy that is to come."""
    if id(module) in memo:
        return
    if isinstance(module, nn.ModuleList):
        children: list[tuple[str, object]] = list(module.named_children())
    else:
        try:
            children = _converted_in_memo(module, memo)
        except (UnconvertibleError, ValueError) as error:
            where = f"the layer at {path!r} ({type(module).__name__})" if path else type(module).__name__
            raise ValueError(f"{where} cannot be made volume-preserving: {error}") from error
    for name, child in children:
        _convert(child, f"{path}.{name}".lstrip("."), memo)


def _converted_in_memo(module: object, memo: Memo) -> list[tuple[str, object]]:
    """Convert one layer, and return what is left to convert: the layers in it."""
    rules = _rules_for(module)
    if rules is None or not isinstance(module, nn.Module):
        raise UnconvertibleError(
            f"it is no layer of {_libraries()} but {name_of(type(module))}"
            f"{_without_rules(module)}{advice_on_a_layer(module, _is_convertible_at_all)}"
        )
    known = rules.known(module)
    if known in rules.converted:
        memo[id(module)] = converted = rules.converted[known](module, memo)
        converted.training = module.training
    return rules.layers_in(module, known) if known in rules.containers else []


def _computed_tensors(module: nn.Module) -> Iterator[Tensor]:
    """What ``weight_norm`` and the like compute from parameters before each pass, which ``deepcopy`` refuses.

    What a net keeps of its last pass, in lists and dictionaries too, is refused as well.
    """
    waiting: list[object] = [vars(part) for part in module.modules()]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            if not value.is_leaf:
                yield value
        elif isinstance(value, Mapping | list | tuple | set | deque) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, Mapping) else value)


def _is_convertible_at_all(module: object) -> bool:
    """Whether this is a layer or a flow of a host, of whatever kind, and no net or distribution."""
    return any(
        isinstance(module, (*host.layer_classes, *rules.containers))
        for host in hosts_for(type(module))
        if (rules := host.conversion_rules()) is not None
    )


def _rules_for(module: object) -> Rules | None:
    """The rules of the nearest host, of those whose classes the module's class comes from, that has any."""
    return next((rules for host in hosts_for(type(module)) if (rules := host.conversion_rules()) is not None), None)


def _libraries() -> str:
    return " or ".join(registered_packages())


def _without_rules(module: object) -> str:
    """What is missing where the module's library has an adapter that converts nothing."""
    packages = packages_of(type(module))
    if not packages or _rules_for(module) is not None:
        return ""
    return f", and the adapter of {packages[0]} has no rules for its layers; give it conversion_rules"


@torch.inference_mode(False)
def _jacobians(flow: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    """The Jacobian of the encoder at each point by automatic differentiation, shape (n, D, D), float64."""
    inputs, context = x.detach().clone().requires_grad_(True), None if context is None else context.clone()
    with torch.enable_grad():
        z = encode(flow, inputs, context).flatten(1)
        rows = [torch.autograd.grad(column.sum(), inputs, retain_graph=True)[0].flatten(1) for column in z.unbind(1)]
    return torch.stack(rows, dim=1).double()
