"""Affine couplings with exponential scales, and their volume-preserving, mean-centred form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeGuard, cast

import torch
from nflows.transforms import AffineCouplingTransform
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.linalg.autocast import under_autocast
from nflows_spread.linalg.by_columns import lies_by_columns, takes_closed_form
from nflows_spread.linalg.tanh_affine import tanh_affine

Centring = Literal["features", "channels"]
_LOG2_E = 1.0 / math.log(2.0)
_FEW = 32
_MANY = 1024


class ExponentialAffineCouplingTransform(AffineCouplingTransform):
    """Affine coupling y₁ = x₁, y₂ = x₂ ⊙ exp(s(x₁)) + t(x₁) (equations 40 and 41).

    nflows' ``AffineCouplingTransform`` bounds its scales by 1.001; these are free, as in the paper.
    The coupling net returns t in its first half of features or channels and s in the second, as
    nflows' nets do, and receives the context. Where the mask is a progression (halves, every other
    feature) the input is split by slices, which are views, and not by gathering indices.

    Args:
        mask: shape (features,), or (channels,) for images; entries above 0 are transformed.
        transform_net_create_fn: builds the net from the number of untransformed features and the
            number of outputs; the net is called as ``net(x1, context)``.
        log_scale: maps the net's raw scale to s, of the same shape; the identity by default,
            ``TanhLogScale`` for the Glow form of equation 43, ``SigmoidLogScale`` for nflows' own.

    Shapes:
        inputs (n, features) or (n, channels, height, width); outputs the same; log-determinants (n,).

    Raises:
        ValueError: the mask leaves nothing to transform or nothing to condition on.

    Reference: L. Dinh et al., Density estimation using Real NVP, ICLR 2017.
    """

    def __init__(
        self,
        mask: Tensor | Sequence[int],
        transform_net_create_fn: Callable[[int, int], nn.Module],
        *,
        log_scale: nn.Module | None = None,
    ) -> None:
        transformed = int((torch.as_tensor(mask) > 0).sum())
        if not 0 < transformed < len(mask):
            raise ValueError(
                f"mask must select at least one feature to transform and leave at least one, "
                f"got {transformed} of {len(mask)} to transform"
            )
        # past the constructor of nflows' class, which in newer versions keeps a lambda that cannot be pickled
        super(AffineCouplingTransform, self).__init__(mask, transform_net_create_fn)
        self.log_scale = nn.Identity() if log_scale is None else log_scale
        self._find_slices()
        self.register_load_state_dict_post_hook(_find_slices_again)

    def _find_slices(self) -> None:
        self._identity_slice = _as_slice(self.identity_features)
        self._transform_slice = _as_slice(self.transform_features)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self._by_columns(inputs):
            return self._forward_by_columns(inputs, context)
        identity, x, shift, raw_scale = self._ask(inputs, context)
        scale, logabsdet = self._scale(raw_scale, 1)
        if self._in_place(scale):
            outputs = self._join(identity, shift, inputs)
            outputs[:, self._transform_slice].addcmul_(x, scale)
            return outputs, logabsdet
        # with a gradient addcmul takes two passes more on its way back
        return self._join(identity, x + shift if scale is None else (x * scale).add_(shift), inputs), logabsdet

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        identity, y, shift, raw_scale = self._ask(inputs, context)
        scale, logabsdet = self._scale(raw_scale, -1)
        if self._in_place(scale):
            outputs = self._join(identity, shift, inputs)
            outputs[:, self._transform_slice].sub_(y).mul_(scale.neg_())
            return outputs, logabsdet
        return self._join(identity, y - shift if scale is None else (y - shift).mul_(scale), inputs), logabsdet

    def _by_columns(self, inputs: Tensor) -> bool:
        """Whether the batch lies by columns and there is a closed form, of a log-scale that nobody has changed."""
        log_scale, blocks = self._modules["log_scale"], (self._identity_slice, self._transform_slice)
        return (
            type(log_scale) is TanhLogScale
            and inputs.shape[-1] == self.features
            and any(block is not None and block.start == 0 and block.step == 1 for block in blocks)
            and lies_by_columns(inputs)
            and takes_closed_form(inputs)
            and not (log_scale._forward_hooks or log_scale._forward_pre_hooks or "forward" in vars(log_scale))
        )

    def _forward_by_columns(self, inputs: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        count, leading = self.num_transform_features, self._identity_slice != slice(0, self.num_identity_features, 1)
        said = self._said_by_net(inputs[:, count:] if leading else inputs[:, :-count], context)
        return tanh_affine(inputs, said, cast(TanhLogScale, self._modules["log_scale"]).scale, leading=leading)

    def _in_place(self, scale: Tensor | None) -> TypeGuard[Tensor]:
        """Whether the outputs are formed where the shift lies in them: no gradient will ask for what was there."""
        return scale is not None and self._transform_slice is not None and not torch.is_grad_enabled()

    def _ask(self, inputs: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The two parts of the input, and what the net says about the second: shift and raw scale."""
        if inputs.dim() not in (2, 4) or inputs.shape[1] != self.features:
            raise ValueError(
                f"inputs must have shape (n, {self.features}) or (n, {self.features}, height, width), "
                f"got {tuple(inputs.shape)}"
            )
        identity, transformed = self._split(inputs)
        shift, raw_scale = self._said_by_net(identity, context).split(self.num_transform_features, dim=1)
        return identity, transformed, shift, raw_scale

    def _said_by_net(self, identity: Tensor, context: Tensor | None) -> Tensor:
        """Shift and raw scale, in the dtype of the input; a net under autocast returns 16 bits."""
        # asked for by attribute, it would take a module as long as a small product
        net = cast(nn.Module, self._modules["transform_net"])
        parameters = net(identity, context)
        return parameters if parameters.dtype == identity.dtype else parameters.to(identity.dtype)

    def _scale(self, raw_scale: Tensor, sign: int) -> tuple[Tensor | None, Tensor]:
        """exp(± s), or None where it is 1, and the sum of ± s per row, (n,)."""
        s = self.log_scale(raw_scale)
        return torch.exp(s if sign > 0 else -s), sign * s.flatten(1).sum(1)

    def _split(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The untransformed and the transformed entries; two blocks by a split, whose backward pass is cheaper."""
        sizes = (self.num_identity_features, self.num_transform_features)
        if self._identity_slice == slice(0, sizes[0], 1):
            identity, transformed = inputs.split(sizes, dim=1)
            return identity, transformed
        if self._transform_slice == slice(0, sizes[1], 1):
            transformed, identity = inputs.split(sizes[::-1], dim=1)
            return identity, transformed
        identity = inputs[:, self._identity_slice or self.identity_features]
        return identity, inputs[:, self._transform_slice or self.transform_features]

    def _join(self, identity: Tensor, transformed: Tensor, inputs: Tensor) -> Tensor:
        if self._identity_slice == slice(0, self.num_identity_features, 1):
            return torch.cat([identity, transformed], dim=1)
        if self._transform_slice == slice(0, self.num_transform_features, 1):
            return torch.cat([transformed, identity], dim=1)
        outputs = torch.empty_like(inputs)
        outputs[:, self._identity_slice or self.identity_features] = identity
        outputs[:, self._transform_slice or self.transform_features] = transformed
        return outputs


class MeanCentredAffineCouplingTransform(ExponentialAffineCouplingTransform):
    """Volume-preserving affine coupling: the log-scale is centred, s̃ = s − mean(s) (equation 42).

    The log-determinant is 0 by construction and returned as exact zeros. With one transformed
    feature the centred scale is 0 and the coupling is additive.

    Args:
        centring: ``"features"`` centres over all transformed entries of a row, as in equation 42;
            ``"channels"`` centres images over the transformed channels at each pixel, as FrEIA's
            ``GINCouplingBlock`` does. For vectors they are the same.

    The other arguments, shapes and errors are those of ``ExponentialAffineCouplingTransform``.
    """

    _placement: Tensor
    _selection: Tensor

    @typed
    def __init__(
        self,
        mask: Tensor | Sequence[int],
        transform_net_create_fn: Callable[[int, int], nn.Module],
        *,
        log_scale: nn.Module | None = None,
        centring: Centring = "features",
    ) -> None:
        if centring not in ("features", "channels"):
            raise ValueError(f"centring must be 'features' or 'channels', got {centring!r}")
        super().__init__(mask, transform_net_create_fn, log_scale=log_scale)
        self.centring = centring

    def _find_slices(self) -> None:
        super()._find_slices()
        self._alone = self.num_transform_features == 1
        self._by_products = self._alone and self.features <= _FEW and isinstance(self.log_scale, nn.Identity)
        if self._by_products:
            dtype = self._placement.dtype if hasattr(self, "_placement") else None  # found again, it is what it was
            unit = torch.eye(self.features, dtype=dtype, device=self.transform_features.device)
            placement = unit[self.transform_features] * unit[:2, :1]  # of the shift; the raw scale goes nowhere
            self.register_buffer("_selection", unit[:, self.identity_features], persistent=False)
            self.register_buffer("_placement", placement, persistent=False)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._shifted(inputs, context, 1) if self._is_a_shift(inputs) else super().forward(inputs, context)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._shifted(inputs, context, -1) if self._is_a_shift(inputs) else super().inverse(inputs, context)

    def _is_a_shift(self, inputs: Tensor) -> bool:
        """Whether all that happens to vectors is that one entry of a few is shifted, by products that nobody rounds."""
        return (
            self._by_products
            and inputs.dim() == 2
            and inputs.shape[1] == self.features
            and inputs.dtype == self._buffers["_placement"].dtype
            and not under_autocast(inputs)
        )

    def _shifted(self, inputs: Tensor, context: Tensor | None, sign: int) -> tuple[Tensor, Tensor]:
        """Two products in the place of copies: the net's entries are selected, and its shift comes to its place.

        The buffers, as the net, are not asked for by attribute.
        """
        selection, placement = self._buffers["_selection"], self._buffers["_placement"]
        said = self._said_by_net(torch.mm(inputs, selection), context)
        return torch.addmm(inputs, said, placement, alpha=sign), inputs.new_zeros(inputs.shape[0])

    def _scale(self, raw_scale: Tensor, sign: int) -> tuple[Tensor | None, Tensor]:
        """exp(± s̃), taken as 2 to the power of ± s̃ / log 2, for which torch needs a third of the exponential's time."""
        logabsdet = raw_scale.new_zeros(len(raw_scale))
        if self._is_additive(raw_scale):
            return None, logabsdet
        s = self.log_scale(raw_scale)
        dims = (1,) if self.centring == "channels" else tuple(range(1, s.dim()))
        centred = math.prod([s.shape[dim] for dim in dims])  # of a list: torch.compile breaks its graph at a generator
        per_unit = sign * _LOG2_E
        # a sum and not a mean, which on its way back would be written out for each entry
        exponents = torch.add(s.sum(dims, keepdim=True) * (-per_unit / centred), s, alpha=per_unit)
        if centred > _MANY:  # the mean's own rounding adds up: once more, at no gradient's cost
            exponents.sub_(exponents.detach().mean(dims, keepdim=True))
        return exponents.exp2_(), logabsdet

    def _is_additive(self, raw_scale: Tensor) -> bool:
        """Whether one entry is centred alone, so that its scale is 1 whatever the net says, and none learns of it."""
        alone = self._alone and (raw_scale.dim() == 2 or self.centring == "channels")
        return alone and isinstance(self.log_scale, nn.Identity)  # others may have parameters, which expect a gradient


class TanhLogScale(nn.Module):
    """s = scale · tanh(NN), with one learnable scale a channel, 1 at the start (equation 43).

    Args:
        features: number of transformed features or channels.
    """

    @typed
    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(validation.positive_int("features", features)))

    def forward(self, raw_scale: Tensor) -> Tensor:
        return self.scale.view(-1, *[1] * (raw_scale.dim() - 2)) * torch.tanh(raw_scale)


class SigmoidLogScale(nn.Module):
    """s = log(sigmoid(NN + 2) + 0.001), the log-scale of nflows' ``AffineCouplingTransform``."""

    def forward(self, raw_scale: Tensor) -> Tensor:
        return torch.log(torch.sigmoid(raw_scale + 2.0) + 1e-3)


class ActivationLogScale(nn.Module):
    """s = log(activation(NN)), the log-scale of a coupling of newer nflows, whose ``scale_activation`` is free.

    Args:
        activation: elementwise and positive; or the name of an attribute of ``AffineCouplingTransform``, whose
            own are lambdas, which can be pickled by nothing else.
    """

    def __init__(self, activation: Callable[[Tensor], Tensor] | str) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, raw_scale: Tensor) -> Tensor:
        activation = self.activation
        if isinstance(activation, str):
            activation = cast(Callable[[Tensor], Tensor], getattr(AffineCouplingTransform, activation))
        return torch.log(activation(raw_scale))


def _as_slice(features: Tensor) -> slice | None:
    """The slice that selects an increasing arithmetic progression of features, or None for other sets."""
    indices = features.tolist()
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    progression = slice(indices[0], indices[-1] + 1, step)
    return progression if indices == list(range(progression.start, progression.stop, step)) else None


def _find_slices_again(module: nn.Module, _: Any) -> None:
    """After loading a state dict, whose masks may differ from those at construction."""
    cast(ExponentialAffineCouplingTransform, module)._find_slices()
