#!/bin/sh
# scikit-dimension 0.5.0: TwoNN says 1e13 dimensions for evenly spaced points on a straight line.
#
# 1 000 points of a segment in space, at equal distances, as any sampled time series or np.linspace has them. The ratio of
# the second distance to the first is 1 up to rounding at all points but the two ends, so that the slope that TwoNN fits
# is one over rounding errors. The same segment at random places has dimension 1.
#
# Seen:
#   evenly spaced  1.7e+13
#   at random      1.0
#
# Exits with 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet scikit-dimension==0.5.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/venv/bin/python" - <<'PYTHON'
import importlib.metadata

import numpy as np
import skdim

direction = np.array([1.0, 2.0, 3.0])
even = np.linspace(0.0, 1.0, 1000)[:, None] * direction
random = np.random.default_rng(0).uniform(size=1000)[:, None] * direction
print("scikit-dimension", importlib.metadata.version("scikit-dimension"), "numpy", np.__version__)
found = {name: float(skdim.id.TwoNN().fit(x).dimension_) for name, x in (("even", even), ("random", random))}
print(f"evenly spaced  {found['even']:.2g}\nat random      {found['random']:.1f}")
assert found["even"] > 1e9
assert abs(found["random"] - 1.0) < 0.1
PYTHON
