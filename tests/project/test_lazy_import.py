"""``import nflows_spread`` does not load torch; each public name and module is there all the same."""

import subprocess
import sys

import pytest

import nflows_spread
from nflows_spread.cli import program


def test_torch_is_not_loaded_before_a_name_is_asked_for():
    code = (
        "import sys, nflows_spread, nflows_spread.cli; assert 'torch' not in sys.modules; "
        "assert 'sample' in dir(nflows_spread); nflows_spread.sample; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_has_its_place_and_modules_are_attributes():
    assert set(nflows_spread._PLACES) == set(nflows_spread.__all__)
    for name in nflows_spread.__all__:
        assert getattr(nflows_spread, name).__name__ == name
    for module in ("chart", "losses", "dimension"):
        assert getattr(nflows_spread, module).__name__ == f"nflows_spread.{module}"


@pytest.mark.parametrize("name", ["nothing", "_nothing", "__wrapped__"])
def test_a_name_that_is_not_there_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"module 'nflows_spread' has no attribute '{name}'"):
        getattr(nflows_spread, name)


@pytest.mark.parametrize("module", ["click", "torch"])
def test_an_interrupt_while_libraries_are_imported_is_a_line(module, tmp_path):
    (tmp_path / f"{module}.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n", encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from {program.__module__} import program; program()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "nflows-spread: interrupted\n")
