#!/bin/sh
# zuko 1.6.0: printing a flow draws from torch's global generator, so a run with a print has other random numbers.
#
# The representation of a layer builds a univariate transformation from torch.randn, to show its class.
#
# Seen, the first number drawn after torch.manual_seed(0):
#   1.541   without the print
#   1.1711   with it
#
# Exits with 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet zuko==1.6.0 torch==2.13.0
"$place/venv/bin/python" - <<'PYTHON'
import torch
import zuko

print("zuko", zuko.__version__, "torch", torch.__version__)
flow, drawn = zuko.flows.NSF(3), []
for printing in (False, True):
    torch.manual_seed(0)
    if printing:
        repr(flow)
    drawn.append(float(torch.randn(())))
print("without", drawn[0], "with", drawn[1])
assert drawn[0] != drawn[1]
PYTHON
