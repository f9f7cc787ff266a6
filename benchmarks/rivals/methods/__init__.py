"""The systems of the benchmark of rivals, by name: a file of ``rivals/methods/`` and a line here make one more."""

from __future__ import annotations

from collections.abc import Mapping

from rivals.methods import (
    denoising_flow,
    free_form_flow,
    m_flow,
    principal_components,
    rectangular_flow,
    spread_flow,
)
from rivals.rival import Rival

OURS = "spread flow"
METHODS: Mapping[str, Rival] = {
    OURS: spread_flow.RIVAL,
    "PCA": principal_components.RIVAL,
    "M-flow": m_flow.RIVAL,
    "rectangular flow": rectangular_flow.RIVAL,
    "denoising flow": denoising_flow.RIVAL,
    "free-form flow": free_form_flow.RIVAL,
}
