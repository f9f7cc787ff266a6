#!/bin/sh
# FloDR 0.1.0: score_samples, "exact log density", says -21 000 nats of the rows of a Gaussian that it was fitted to.
#
# 200 draws of a normal distribution in three dimensions. Inputs of fewer than 30 columns are padded with columns of noise
# for the training, and with zeros in score_samples, which is the density in all 30: at points where no training row was.
# Without padding, advanced={"pad": 0}, it is that of whitened columns, and the determinant of the whitening is left
# out: of the same rows times 1000, whose density is 3 log 1000 = 20.7 nats lower, it says the same.
# So its values compare neither with those of another density nor across units; score is their mean.
#
# Seen, 800 steps (the default 6400 say -22582.5 for -21181.8):
#   true density          -3.9, times 1000  -24.6
#   FloDR's score         -21181.8
#   FloDR's without pad   -3.7, times 1000  -3.8
#
# Exits with 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet flodr==0.1.0 torch==2.13.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import math

import numpy as np
from flodr import FloDR
from scipy.stats import multivariate_normal

x = np.random.default_rng(0).normal(size=(200, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.2], [0.0, 0.0, 0.7]])
print("flodr", importlib.metadata.version("flodr"))


def score(rows: np.ndarray, **changed: int) -> float:
    """The mean log-density of the rows of the fit."""
    settings = {"threads": 1, "bf16": False, **changed}
    return FloDR(max_iter=800, verbose=False, device="cpu", advanced=settings).fit(rows).score(rows)


true = [float(multivariate_normal(s * x.mean(0), s**2 * np.cov(x.T)).logpdf(s * x).mean()) for s in (1.0, 1000.0)]
padded, plain, scaled = score(x), score(x, pad=0), score(1000.0 * x, pad=0)
print(f"true density          {true[0]:.1f}, times 1000  {true[1]:.1f}")
print(f"FloDR's score         {padded:.1f}")
print(f"FloDR's without pad   {plain:.1f}, times 1000  {scaled:.1f}")
assert abs(true[0] - true[1] - 3.0 * math.log(1000.0)) < 1e-6
assert padded < true[0] - 1000.0
assert abs(plain - scaled) < 1.0
PYTHON
