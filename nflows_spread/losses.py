"""The training loss: the spread KL divergence between encoded data and the degenerate prior."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import base_of, encode_with_logabsdet
from nflows_spread.linalg.entropy import kernel_negative_entropy
from nflows_spread.linalg.torch_func import under_transforms

_VOLUME_TOLERANCE = 1e-3
"""The largest |log|det J||, in nats, of a flow that preserves volume. A choice: float32 rounds to some 1e-5."""


class SpreadKLLoss(nn.Module):
    """Algorithm 1, with the log-determinant kept:

        L = −E[ log N(g(x + σ_x ε) + σ_Z ε'; m, AAᵀ + σ_Z² I) + log|det J| ].

    For the volume-preserving flows of the paper log|det J| is 0 and this is equation 13; keeping it
    makes the same loss right for any flow. With data noise σ_x > 0 the noisy data has a density and
    L is its negative log-likelihood, up to the small σ_Z. Without it a volume-preserving flow can
    shrink the manifold at no cost and a free one has no minimum at all.

    It is an ``nn.Module``: call it, wrap it in DistributedDataParallel, compile it.

    Args:
        flow: a flow whose base is a ``DegenerateGaussian``.
        data_noise: σ_x, the standard deviation of the noise added to the data, in data units; by default
            what the base knows, or 0 where nobody has said. The base owns the number, so all losses of a flow
            have the same. Assign to ``data_noise`` to change it, as a schedule does. It is one for all
            features, so bring columns of different units to one scale first.
        entropy: add the paper's estimate of −H(Z_Q̃) (equation 39). The paper leaves it out; so does
            the default. The estimate is blind for small σ_Z.
        generator: source of both noises.

    Raises:
        TypeError: the base of ``flow`` is no ``DegenerateGaussian``.
        ValueError: ``data_noise`` is negative.

    Warns:
        UserWarning: the flow had another σ_x, which its other losses now have no more.

    Example:
        >>> from nflows_spread.models import coupling_flow
        >>> objective = SpreadKLLoss(coupling_flow(2, layers=2), data_noise=0.05)
        >>> objective(torch.randn(100, 2)).backward()
    """

    @typed
    def __init__(
        self,
        flow: nn.Module,
        *,
        data_noise: float | None = None,
        entropy: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        base = base_of(flow)
        if not isinstance(base, DegeneratePrior):
            raise TypeError(
                f"the base of the flow must be a DegenerateGaussian, got {type(base).__name__}; "
                "build the flow with DegenerateGaussian(shape) in its place"
            )
        self.flow = flow
        self.entropy = entropy
        self.generator = generator
        known = base.data_noise
        if data_noise is not None or known is None:
            base.data_noise = 0.0 if data_noise is None else data_noise
        if known is not None and base.data_noise != known:
            validation.warn(
                f"all losses of a flow share one data_noise, which was {known:g} and is {base.data_noise:g} from now "
                "on; assign base_of(flow).data_noise first where that is meant, or leave data_noise out"
            )
        self._may_warn = True

    @property
    def base(self) -> DegeneratePrior:
        """The flow's base distribution."""
        return cast(DegeneratePrior, base_of(self.flow))

    @property
    def data_noise(self) -> float:
        """σ_x, in data units: that of the base.

        Raises:
            ValueError: the base was put into the flow after this loss was built, and knows none.
        """
        return _noise_of(self.base)

    @data_noise.setter
    def data_noise(self, value: float) -> None:
        self.base.data_noise = value

    def __setstate__(self, state: dict[str, Any]) -> None:
        """From a pickle, of an older version too, in which the loss had a number of its own."""
        older = state.pop("_data_noise", None)
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if older is not None:
            self.data_noise = older

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """As ``nn.Module`` does it; what an older version kept of σ_x in the loss is given to the base."""
        older = state_dict.pop(f"{prefix}_extra_state", None)
        if older is not None:
            for name in state_dict:
                if name.startswith(f"{prefix}flow.") and name.endswith("._data_noise"):
                    state_dict[name] = torch.tensor([1.0, older["data_noise"]], dtype=torch.float64)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The loss on a batch.

        Args:
            x: data, shape (n, ...).
            context: conditioning inputs, one row for each row of ``x``, or one for all.

        Returns:
            The mean over the batch, in nats, a scalar.

        Raises:
            TypeError: ``x`` is not of a floating dtype.
            ValueError: ``x`` is empty or not finite, or the latents do not fit the base.
        """
        return self._loss_and_latents(x, context)[0]

    def _loss_and_latents(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The loss on a batch, and the latents g(x + σ_x ε) that it was computed from."""
        validation.points("x", x)
        base = self.base
        noise = _noise_of(base)
        z, logabsdet = encode_with_logabsdet(self.flow, self._noisy(x, noise), context)
        pure = under_transforms(z)  # of torch.func, in which nothing can be remembered
        if self.training and torch.is_grad_enabled() and not pure:
            base.observe(z)
        if not pure:
            self._warn_without_minimum(logabsdet, noise)
        loss = -(base.log_prob(base.spread(z, generator=self.generator)) + logabsdet).mean()
        if self.entropy:
            loss = loss + kernel_negative_entropy(z.flatten(1), base.spread_variance)
        return loss, z

    def _noisy(self, x: Tensor, noise: float) -> Tensor:
        if noise == 0.0:
            return x
        return torch.add(x, torch.empty_like(x).normal_(generator=self.generator), alpha=noise)

    def _warn_without_minimum(self, logabsdet: Tensor, noise: float) -> None:
        """Warn, once in the life of this loss, when nothing bounds it from below."""
        if not self._may_warn or noise > 0.0 or torch.compiler.is_compiling():
            return
        if float(logabsdet.detach().abs().max()) > _VOLUME_TOLERANCE:
            self._may_warn = False
            validation.warn(
                "this flow does not preserve volume and data_noise is 0: on data that lies on a manifold the loss has "
                "no minimum; set data_noise above 0, or use volume-preserving transforms"
            )


def _noise_of(base: DegeneratePrior) -> float:
    noise = base.data_noise
    if noise is None:
        raise ValueError(
            "the base of the flow must know data_noise, got one that was put in after the loss was built; "
            "assign data_noise of the loss again"
        )
    return noise
