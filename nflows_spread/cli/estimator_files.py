"""Unpickle a fitted estimator without running code: classes of flows, tensors and arrays, and nothing else."""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch

_PACKAGES = ("nflows_spread", "nflows", "torch.nn")
"""Whose classes an estimator may be made of."""

_KNOWN = {
    "builtins": ("slice", "set", "frozenset", "complex", "bytearray", "range"),
    "collections": ("OrderedDict",),
    "pathlib": ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "pathlib._local": ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "numpy": ("dtype", "ndarray"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "torch": ("Size", "device"),
    "torch._C": ("Generator",),
    "torch._utils": ("_rebuild_parameter", "_rebuild_tensor_v2"),
    "nflows_spread.transforms.coupling": ("_find_slices_again",),
}
"""What else its pickle may ask for, by module: what rebuilds tensors and arrays and does nothing besides."""


def unpickled(content: bytes) -> Any:
    """The object of a pickle.

    Raises:
        UnpicklingError: it asks for what is no part of a fitted estimator, which was not run.
        Exception: it is damaged.
    """
    return _PartsOfEstimators(io.BytesIO(content)).load()


class _PartsOfEstimators(pickle.Unpickler):
    """Loads what estimators are made of, and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):  # by itself a pickle within the pickle
            return _storage
        found = None
        if name in _KNOWN.get(module, ()):
            found = super().find_class(module, name)
        elif "." not in name and _is_of(module):  # a name with a point would lead out of the module
            found = super().find_class(module, name)
            found = found if isinstance(found, type) and _is_of(found.__module__) else None
        elif module == "torch":
            found = getattr(torch, name, None)
            found = found if isinstance(found, torch.dtype) else None
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of a fitted estimator")
        return found


def _is_of(module: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in _PACKAGES)


def _storage(content: bytes) -> Any:
    """The memory of a tensor, as torch puts it into a pickle."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
