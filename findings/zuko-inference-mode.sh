#!/bin/sh
# zuko 1.6.0: one log_prob under torch.inference_mode, and no UNAF or SOSPF of the process can be trained any more.
#
# The nodes of the quadrature are kept by functools.cache for as long as the process lives. Where they were first asked
# for under inference_mode they are inference tensors, which autograd refuses to save: every later backward pass of any
# flow with an integral fails, also of flows that were built afterwards. NAF, GF, BPF and CNF raise under
# inference_mode itself, because they take a derivative there.
#
# Seen:
#   UNAF   RuntimeError: Inference tensors cannot be saved for backward. [...]
#   UNAF, built afterwards   the same
#   NAF under inference_mode   RuntimeError: element 0 of tensors does not require grad [...]
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


def outcome_of(call):
    try:
        call()
    except RuntimeError as error:
        return str(error)
    return "no error"


torch.manual_seed(0)
x, flow = torch.randn(5, 3), zuko.flows.UNAF(3)
print("zuko", zuko.__version__, "torch", torch.__version__)
with torch.inference_mode():
    flow().log_prob(x)
    neural = outcome_of(lambda: zuko.flows.NAF(3)().log_prob(x))
trained = outcome_of(lambda: flow().log_prob(x).mean().backward())
another = outcome_of(lambda: zuko.flows.UNAF(3)().log_prob(x).mean().backward())
zuko.utils.GaussLegendre.nodes.cache_clear()
cured = outcome_of(lambda: flow().log_prob(x).mean().backward())
for name, said in (("UNAF", trained), ("UNAF, built afterwards", another), ("NAF", neural), ("UNAF, cache cleared", cured)):
    print(name, ":", said[:100])
assert "Inference tensors cannot be saved for backward" in trained
assert "Inference tensors cannot be saved for backward" in another
assert "does not require grad" in neural
assert cured == "no error"
PYTHON
