#!/bin/sh
# zuko 1.6.0: importing it switches torch's validation of distributions off, for every program in the process.
#
# A negative scale, probabilities above 1 and points outside of the support are then taken by torch.distributions
# without an error, in code that never uses zuko.
#
# Seen:
#   before   ValueError: Expected parameter scale [...] to satisfy the constraint GreaterThan(lower_bound=0.0) [...]
#   after    Normal(loc: 0.0, scale: -1.0), log-density at 0: nan
#
# Exits with 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet zuko==1.6.0 torch==2.13.0
"$place/venv/bin/python" - <<'PYTHON'
import torch


def build():
    return torch.distributions.Normal(0.0, -1.0)


try:
    build()
except ValueError as error:
    print("before:", str(error).splitlines()[0][:100])
else:
    raise AssertionError("torch itself takes a negative scale")
import zuko

print("zuko", zuko.__version__, "torch", torch.__version__)
taken = build()
value = float(taken.log_prob(torch.tensor(0.0)))
print("after:", taken, value)
assert value != value
PYTHON
