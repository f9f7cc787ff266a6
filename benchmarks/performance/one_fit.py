"""One fit of ``SpreadFlowEstimator`` in a process of its own: the processor's seconds, and the dimension.

Run as a script, with the checkout whose package is meant first in PYTHONPATH: ``python one_fit.py points.npy [steps]``.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import numpy as np

import nflows_spread
import nflows_spread.training
from nflows_spread.estimator import SpreadFlowEstimator


def main(path: str, steps: str | None = None) -> None:
    """Print what was found, one line of JSON."""
    x, estimator = np.load(path), SpreadFlowEstimator(random_state=0)
    if steps is not None:
        from nflows_spread.estimator import Recipe

        estimator.recipe = Recipe(steps=int(steps))
    start = time.process_time()
    fitted = estimator.fit(x)
    seconds = time.process_time() - start
    found = {"seconds": seconds, "dimension": int(fitted.intrinsic_dimension_), "package": nflows_spread.__file__}
    print(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
