#!/bin/sh
# zuko 1.6.0: importing it switches torch's validation of distributions off, for every program in the process.
#
# A distribution of torch that is made afterwards, in code that never uses zuko, no longer checks its parameters or the
# points that it is asked about.
#
# Seen:
#   before   a new Normal(0, 1) validates: True
#   after    a new Normal(0, 1) validates: False
#
# Exits with 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet zuko==1.6.0 torch==2.13.0
"$place/venv/bin/python" - <<'PYTHON'
import torch


def validates():
    return torch.distributions.Normal(0.0, 1.0)._validate_args


print("before: a new Normal(0, 1) validates:", validates())
assert validates()
import zuko

print("zuko", zuko.__version__, "torch", torch.__version__)
print("after: a new Normal(0, 1) validates:", validates())
assert not validates()
PYTHON
