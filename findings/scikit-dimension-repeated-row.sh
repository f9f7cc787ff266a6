#!/bin/sh
# scikit-dimension 0.5.0: one repeated row among 501 takes the maximum-likelihood estimates from 3 to 0 and to 1.
#
# 500 draws of a normal distribution in three dimensions, and the same with the first row once more at the end. The
# distance of a repeated row to its nearest neighbour is 0. MLE's estimate at that row is 0, and so is the harmonic mean
# over all rows, which it reports; MiND_ML ends at 1, the first of its candidates. Both tell no more than NumPy's warnings of a
# division by zero and invalid values; TwoNN drops the two rows and says so.
#
# Seen:
#   MLE      3.09 -> 0.00
#   MiND_ML  3.03 -> 1.00
#   TwoNN    3.06 -> 3.06   Dropping 2 points with zero distance to their nearest neighbour (duplicate points).
#   MOM      2.95 -> 2.96
#
# Exits with 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet scikit-dimension==0.5.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import warnings

import numpy as np
import skdim

once = np.random.default_rng(0).normal(size=(500, 3))
twice = np.concatenate([once, once[:1]])
print("scikit-dimension", importlib.metadata.version("scikit-dimension"), "numpy", np.__version__)
found = {}
for name in ("MLE", "MiND_ML", "TwoNN", "MOM"):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found[name] = [float(getattr(skdim.id, name)().fit(x).dimension_) for x in (once, twice)]
    told = sorted({str(warning.message) for warning in said})
    print(f"{name:8s} {found[name][0]:.2f} -> {found[name][1]:.2f}", *told, sep="  ")
    assert abs(found[name][0] - 3.0) < 0.2
    assert any("uplicate" in message for message in told) == (name == "TwoNN")
assert found["MLE"][1] == 0.0
assert found["MiND_ML"][1] == 1.0
assert all(abs(found[name][1] - 3.0) < 0.2 for name in ("TwoNN", "MOM"))
PYTHON
