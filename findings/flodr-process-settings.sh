#!/bin/sh
# FloDR 0.1.0: importing it silences every warning of the process, and a fit leaves torch's algorithms deterministic.
#
# flodr/data.py calls warnings.filterwarnings("ignore") at its top, so that after "import flodr" no warning of any
# package is seen: neither scikit-learn's that a solver has not converged, nor one's own. A fit on the CPU calls
# torch.use_deterministic_algorithms, torch.set_num_threads and torch.manual_seed, and puts nothing back; the user's own
# draws go on from FloDR's seed.
#
# Seen:
#   warnings seen before the import 1, after 0
#   deterministic algorithms before the fit False, after True
#   the user's next draw is the same whatever seed was set before the fit: True
#
# Exits with 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet flodr==0.1.0 torch==2.13.0 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$place/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import warnings

import numpy as np
import torch


def seen() -> int:
    """How many of one warning are seen."""
    with warnings.catch_warnings(record=True) as said:
        warnings.warn("one's own", UserWarning, stacklevel=1)
    return len(said)


before = seen()
import flodr  # noqa: E402

print("flodr", importlib.metadata.version("flodr"))
after = seen()
print(f"warnings seen before the import {before}, after {after}")
x = np.random.default_rng(0).normal(size=(60, 3))
settings = {"max_iter": 20, "density": False, "verbose": False, "device": "cpu", "advanced": {"threads": 1, "bf16": False}}
fixed, draws = torch.are_deterministic_algorithms_enabled(), []
for seed in (1, 2):
    torch.manual_seed(seed)
    flodr.FloDR(**settings).fit(x)
    draws.append(torch.rand(3))
print(f"deterministic algorithms before the fit {fixed}, after {torch.are_deterministic_algorithms_enabled()}")
print(f"the user's next draw is the same whatever seed was set before the fit: {torch.equal(*draws)}")
assert (before, after) == (1, 0)
assert not fixed
assert torch.are_deterministic_algorithms_enabled()
assert torch.equal(*draws)
PYTHON
