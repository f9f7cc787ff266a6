"""The systems of the benchmark of rivals, by name: a file of ``rivals/methods/`` and a line here make one more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rivals.methods import (
    continuously_indexed_flow,
    denoising_flow,
    free_form_flow,
    gin,
    m_flow,
    principal_components,
    rectangular_flow,
    spread_flow,
    two_stage_vae,
)
from rivals.rival import Rival

OURS = "spread flow"
AT_EQUAL_TIME: Mapping[str, Rival] = {
    OURS: spread_flow.RIVAL,
    "PCA": principal_components.RIVAL,
    "M-flow": m_flow.RIVAL,
    "rectangular flow": rectangular_flow.RIVAL,
    "denoising flow": denoising_flow.RIVAL,
    "free-form flow": free_form_flow.RIVAL,
    "two-stage VAE": two_stage_vae.RIVAL,
    "continuously indexed flow": continuously_indexed_flow.RIVAL,
    "GIN": gin.RIVAL,
}

TIMES = 8
"""How many times longer those that are trained are given too: a choice, for what more time would change."""

LONGER: Mapping[str, Rival] = {
    f"{name}, {TIMES} times": replace(rival, times=float(TIMES)) for name, rival in AT_EQUAL_TIME.items() if rival.tried
}
METHODS: Mapping[str, Rival] = {**AT_EQUAL_TIME, **LONGER}
