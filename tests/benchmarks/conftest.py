"""What the tests of several benchmarks ask for."""

import pytest


@pytest.fixture
def few_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixtures that samples are drawn from, of 1 to 3 components and not 1 to 20."""
    from charts.mixture import mixture_by_bic

    assert mixture_by_bic.__kwdefaults__ is not None
    monkeypatch.setitem(mixture_by_bic.__kwdefaults__, "most", 3)
