"""What every test shares: a seed of its own, and float64 where mathematics is meant."""

import os

# toys gain nothing from a second thread, and where the machine is busy they wait for it ten times as long as they
# compute; read when torch, BLAS and OpenMP are loaded, also by the processes that tests start
os.environ.setdefault("OMP_NUM_THREADS", "1")

import signal

import pytest
import torch

from missing_extras import missing_extra
from nflows_spread.linalg import dense, low_rank

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background, where the programs of tests inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

torch.set_num_threads(1)  # also where the variable says otherwise


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A file that imports what an extra brings is skipped where that is not installed, and says so."""
    report = yield
    reason = missing_extra(report.call.excinfo.value) if report.failed and report.call.excinfo else None
    if reason is not None:
        report.outcome, report.longrepr = "skipped", (str(collector.path), None, reason)
    return report


@pytest.fixture(autouse=True)
def _seed():
    """The same weights whatever ran before: parameter initialisation draws from the global generator."""
    torch.manual_seed(0)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


@pytest.fixture
def float64():
    """New parameters and random tensors are float64 during the test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(params=["as they are", "none are small"])
def size_of_small_priors(request, monkeypatch):
    """Priors of few features have arithmetic of their own; without it theirs is that of many features."""
    if request.param == "none are small":
        for module in (dense, low_rank):
            monkeypatch.setattr(module, "SMALL", 0)
