"""Which faults of a folder are drawn for mutation testing, and which tests are asked about them."""

from __future__ import annotations

import random
from itertools import groupby
from pathlib import Path

from faults import Fault

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"training": ["archives", "checkpoint_content", "checkpoints", "comparison", "randomness", "saving"]}
"""Where not all modules of a folder are asked."""
ELSEWHERE = {
    "factors": ["tests/factors", "tests/distributions"],
    "distributions": ["tests/distributions", "tests/factors"],
    "losses": [f"tests/test_{name}.py" for name in ("losses", "data_noise", "old_pickles")],
    "linalg": ["tests/linalg", "tests/dimension/test_informative.py", "tests/distributions/test_mixture_densities.py"],
    "transforms": [
        "tests/transforms",
        *(f"tests/hosts/test_{name}.py" for name in ("normflows_conversion", "normflows_layers", "zuko_conversion")),
        *(f"tests/models/test_{name}.py" for name in ("lifted", "principal")),
    ],
    "hosts": ["tests/hosts", *(f"tests/test_{name}.py" for name in ("conversion", "initialization", "registry"))],
    "training": [
        f"tests/training/test_{name}.py"
        for name in (
            *("best_checkpoint", "checkpoint_content", "checkpoint_files", "checkpoints", "comparison"),
            *("damaged_files", "full_disk", "randomness", "saving"),
        )
    ],
}
"""Where the tests of a folder are not those of the folder of the same name."""


def files_of(folder: str, modules: list[str] | None) -> list[Path]:
    """The modules of a folder of nflows_spread, of these names alone where some are said, or the one of this name."""
    package = ROOT / "nflows_spread"
    files = sorted((package / folder).rglob("*.py")) or [package / f"{folder}.py"]
    asked = modules or MODULES.get(folder)
    return [file for file in files if asked is None or file.stem in asked]


def tests_of(folder: str, modules: list[str] | None) -> list[str]:
    """The files and folders of tests that are asked about its faults; of modules, the files of the same names."""
    if modules:
        return [f"tests/{folder}/test_{name}.py" for name in modules]
    own = f"tests/{folder}" if (ROOT / "tests" / folder).exists() else f"tests/test_{folder}.py"
    return ELSEWHERE.get(folder, [own])


def draw(faults: list[Fault], sample: int | None, each: int | None, seed: int) -> list[Fault]:
    """So many of all faults, or so many of each module; all where neither is said."""
    chance = random.Random(seed)
    if each is None:
        return chance.sample(faults, len(faults) if sample is None else min(sample, len(faults)))
    modules = [list(own) for _, own in groupby(faults, key=lambda fault: fault.file)]
    return [fault for own in modules for fault in chance.sample(own, min(each, len(own)))]
