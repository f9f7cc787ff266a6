"""What has moved into ``nflows_spread.chart`` is found where it was, with a warning of the line that looks there."""

import importlib
import pickle

import pytest
import torch

from nflows_spread import chart
from nflows_spread.models import coupling_flow

OLD_PLACES = {
    "nflows_spread.manifold": ("manifold_log_prob", "project", "reconstruct", "sample"),
    "nflows_spread.dimension.chart": ("Chart", "chart_of"),
}


@pytest.mark.parametrize(("place", "name"), [(place, name) for place, names in OLD_PLACES.items() for name in names])
def test_a_name_is_found_in_its_old_place_and_the_warning_says_the_new_one(place, name):
    module = importlib.import_module(place)
    with pytest.warns(DeprecationWarning, match=rf"{place}\.{name} is now nflows_spread\.chart") as heard:
        found = getattr(module, name)
    assert found is getattr(chart, name)
    assert heard[0].filename == __file__


def test_an_import_from_the_old_place_warns_of_its_own_line():
    with pytest.warns(DeprecationWarning, match="is now") as heard:
        from nflows_spread.dimension.chart import chart_of
    assert chart_of is chart.chart_of
    assert heard[0].filename == __file__


@pytest.mark.parametrize("place", OLD_PLACES)
def test_a_name_that_was_never_there_is_no_attribute(place):
    module = importlib.import_module(place)
    with pytest.raises(AttributeError, match=rf"module '{place}' has no attribute 'sampel'"):
        module.sampel  # noqa: B018
    assert not hasattr(module, "__wrapped__")


def test_a_chart_that_was_pickled_in_its_old_place_is_read():
    known = chart.chart_of(coupling_flow(2, layers=1), data_noise=0.1)
    old = pickle.dumps(known, protocol=0).replace(b"cnflows_spread.chart.chart\n", b"cnflows_spread.dimension.chart\n")
    with pytest.warns(DeprecationWarning, match="is now"):
        read = pickle.loads(old)
    assert type(read) is chart.Chart
    assert torch.equal(read.maps.forth, known.maps.forth)
