#!/bin/sh
# DADApy 0.3.4: of its three interpolated densities the one by PAk raises TypeError for every input.
#
# return_interpolated_density_PAk(X_new) is documented beside those of kNN and k*NN, which give the log-density of new
# points and its error. It hands two values to one argument of the function below it, so that no call comes back. The
# density itself, compute_density_PAk, works at the points of the data.
#
# Seen, 500 normal points of the plane and 5 new ones:
#   return_interpolated_density_kNN      5 values
#   return_interpolated_density_kstarNN  5 values
#   return_interpolated_density_PAk      TypeError: ... got multiple values for argument 'interpolation'
#
# Exits with 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet dadapy==0.3.4 numpy==1.26.4
"$place/venv/bin/python" - <<'PYTHON'
import importlib.metadata

import numpy as np
from dadapy import Data

draws = np.random.default_rng(0)
data = Data(draws.normal(size=(500, 2)))
data.compute_distances(maxk=100)
data.compute_id_2NN()
data.compute_density_PAk()
new = draws.normal(size=(5, 2))
print("DADApy", importlib.metadata.version("dadapy"), "numpy", np.__version__)
for name, options in (("kNN", {"k": 10}), ("kstarNN", {})):
    values, errors = getattr(data, f"return_interpolated_density_{name}")(new, **options)
    print(f"return_interpolated_density_{name}: {len(values)} values")
    assert len(values) == len(errors) == 5 and np.isfinite(values).all()
assert np.isfinite(data.log_den).all()
try:
    data.return_interpolated_density_PAk(new)
except TypeError as error:
    print("return_interpolated_density_PAk: TypeError:", error)
    assert "multiple values for argument" in str(error)
else:
    raise SystemExit("it returned")
PYTHON
