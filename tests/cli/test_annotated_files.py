"""Files of annotated arrays are read in a process of their own, whose end is an error that names the file."""

import contextlib
import io
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

from nflows_spread.cli import annotated_files
from nflows_spread.cli.annotated_files import read_annotated
from support import refused

pytest.importorskip("pandas")


def test_a_reader_that_crashes_is_an_error_and_not_the_end(tmp_path, monkeypatch):
    (tmp_path / "anndata.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "cells.h5ad").write_bytes(b"damaged")
    with refused(ValueError, "cells.h5ad cannot be read as .h5ad: its reader ended by SIGSEGV; save it again"):
        read_annotated(tmp_path / "cells.h5ad", None)
    (tmp_path / "anndata.py").write_text("def read_h5ad(path):\n    raise AssertionError('odd')\n", encoding="utf-8")
    with refused(ValueError, "cells.h5ad cannot be read as .h5ad: odd; save it again"):
        read_annotated(tmp_path / "cells.h5ad", None)


LIBRARY = """
from types import SimpleNamespace as Some
import numpy as np, pandas as pd
def read_h5ad(path):
    x = np.arange(6.0).reshape(3, 2)
    beside = pd.DataFrame({'kind': list('abc')})
    return Some(X=x, layers={'counts': 2 * x}, obsm={'pca': x[:, :1]}, var_names=['p', 'q'], obs=beside)
"""


def test_cells_are_those_of_x_or_of_the_layer_that_is_named(tmp_path, monkeypatch):
    """By a library of annotated files that is none, once in the process that reads them."""
    (tmp_path / "anndata.py").write_text(LIBRARY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    x = np.arange(6.0).reshape(3, 2)
    found = read_annotated(tmp_path / "cells.h5ad", "counts")
    np.testing.assert_array_equal(found.rows, 2.0 * x)
    assert list(found.beside["kind"]) == ["a", "b", "c"]
    library = ModuleType("anndata")
    exec(LIBRARY, vars(library))
    monkeypatch.setitem(sys.modules, "anndata", library)
    monkeypatch.setattr(annotated_files.subprocess, "run", in_this_process)
    for key, expected, names in ((None, x, ["p", "q"]), ("counts", 2 * x, ["p", "q"]), ("pca", x[:, :1], ["pca_0"])):
        found = read_annotated(tmp_path / "cells.h5ad", key)
        np.testing.assert_array_equal(found.rows, expected)
        assert found.names == names
    with refused(ValueError, "--key must be a layer or an embedding of cells.h5ad, counts, pca, got spliced"):
        read_annotated(tmp_path / "cells.h5ad", "spliced")


def in_this_process(command, **_):
    """What ``subprocess.run`` gives of the reader of annotated files."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(said):
        status = annotated_files._main(command[3:])
    said.seek(0)
    return subprocess.CompletedProcess(command, status, said.read(), "")
