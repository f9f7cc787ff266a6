"""Pickles of the estimator by older versions: what they lack, made of what they have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nflows_spread.deprecation import renamed_state
from nflows_spread.estimator.densities import StackedDensity
from nflows_spread.estimator.old_sampling import upgraded_sampler
from nflows_spread.estimator.sampling import FlowSampler


def upgraded(state: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an estimator of this version, of those of a pickle.

    Charts, samples and densities of older ones are of the flow, in all its coordinates.
    """
    new = dict(renamed_state(state, {"readings_": "estimates_"}))
    new.setdefault("n_components", None)
    new.setdefault("checkpoints", None)
    new.setdefault("device", None)
    if "flow_" not in new:
        return new
    chart = new["_chart"]
    if chart.flow is None:
        chart = new["_chart"] = replace(chart, flow=new["flow_"])
    if "chart_" not in new:
        new["chart_"], new["chart_kind_"] = chart.first(int(new["intrinsic_dimension_"])), "flow"
    if "_sampler" not in new:
        noise = math.hypot(new["data_noise_"], new["estimates_"].ambient_noise) / new["_units"].length
        new |= {"_own_chart": new["chart_"], "_density": StackedDensity(new["flow_"])}
        new |= {"_sampler": FlowSampler(chart, noise), "samples_from_": "flow"}
    new["_sampler"] = upgraded_sampler(new["_sampler"])
    new.setdefault("chart_obstruction_", None)
    new.setdefault("atlas_", None)
    return new
