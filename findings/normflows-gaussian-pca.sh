#!/bin/sh
# normflows 1.7.3: GaussianPCA's log-density is not that of its own distribution.
#
# Its density is said to be N(loc, WᵀW + σ² I). log_prob takes the determinant where its logarithm belongs, and adds
# (D/2) log 2π where it is to be subtracted. Against torch's MultivariateNormal with the same mean and covariance, at
# points that GaussianPCA drew itself; the difference is the same at every point, and depends on W and σ, so that
# training by maximum likelihood moves them towards another optimum.
#
# Seen, D = 3, two latent dimensions, σ = 0.5, at four points:
#   normflows   [1.157, 1.22, 1.389, 0.835]
#   torch       [-3.591, -3.528, -3.359, -3.913]
#   difference  4.748 at each, which is ½ (log det Σ − det Σ) + 3 log 2π
#
# Exits with 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet normflows==1.7.3 torch==2.13.0
"$place/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import math

import normflows
import torch

torch.manual_seed(0)
base = normflows.distributions.base.GaussianPCA(3, latent_dim=2, sigma=0.5)
print("normflows", importlib.metadata.version("normflows"), "torch", torch.__version__)
with torch.no_grad():
    z, drawn_with = base(4)
    covariance = base.W.T @ base.W + torch.exp(2.0 * base.log_sigma) * torch.eye(3)
    true = torch.distributions.MultivariateNormal(base.loc[0], covariance).log_prob(z)
    theirs = base.log_prob(z)
    difference = theirs - true
    explained = 0.5 * (torch.logdet(covariance) - torch.det(covariance)) + 3.0 * math.log(2.0 * math.pi)
print("normflows  ", [round(float(value), 3) for value in theirs])
print("torch      ", [round(float(value), 3) for value in true])
print("difference ", [round(float(value), 3) for value in difference], "explained", round(float(explained), 3))
torch.testing.assert_close(theirs, drawn_with)
assert float(difference.abs().min()) > 1.0
torch.testing.assert_close(difference, explained.to(difference).expand(4), rtol=1e-4, atol=1e-4)
PYTHON
