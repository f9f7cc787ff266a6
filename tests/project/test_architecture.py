"""The layers of the library and of the benchmarks: imports point down, hosts know hosts, training knows the engine."""

import ast
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import import_graph
import nflows_spread
from import_graph import imports_of, tree_of

PACKAGE = Path(nflows_spread.__file__).parent
ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = [
    {"linalg", "validation", "argument_types", "deprecation", "registry", "whole_files", "mapped_files"},
    {"manifold", "recipe", "units"},  # old places, each of which says where its names are now
    {"distributions", "data_noise", "factors", "transforms", "arrays"},
    {"hosts"},
    {"losses", "initialization", "prior_initialization", "models", "datasets", "conversion"},
    {"dimension", "piece_number"},
    {"chart"},
    {"atlas", "training"},
    {"fitted_chart", "estimator", "plots"},
    {"cli"},
    {"__init__"},  # the public names, from everywhere
]
LAYER_OF = {part: layer for layer, parts in enumerate(LAYERS) for part in parts}

WITHIN_A_LAYER = {
    ("distributions", "data_noise"),
    ("distributions", "factors"),
    ("models", "initialization"),
    ("validation", "linalg"),
    ("argument_types", "validation"),
    ("mapped_files", "validation"),
}
"""Pairs (importer, imported) of parts of one layer that may know each other."""

WITHIN_DIMENSION = [
    {"rules", "encoder", "density", "standard_errors", "maximum_likelihood", "shells", "row_sample"}
    | {"stable_subspaces", "column_scales", "noise_floor"},
    {"neighbour_search", "precomputed", "polynomial_equations"},
    {"unfilled_spans"},
    {"latents", "calibration_curve", "distinct_points", "even_spacing", "time_order"},
    {"dependent_rows"},
    {"spectra", "informative", "chart", "neighbours", "pointwise", "scales", "tangent_spaces"},
    {"ambient_noise", "noisy_neighbours", "quick_spectrum", "few_points", "independent_columns"},
    {"variation"},
    {"estimates", "point_dimension"},
    {"consensus", "without_flow"},
    {"__init__"},
]

WITHIN_ESTIMATOR = [
    {"recipe", "leading_axes", "outliers", "exceptions", "without_sklearn", "stable_dimension", "residuals"}
    | {"local_chart", "resumption", "training_device"},
    {"units", "sklearn_interface", "settings", "input_rows"}
    | {"coordinate_order", "paired_comparison", "obstruction", "local_atlas"},
    {"annealing", "preprocessing", "chart_training", "nested_chart", "densities"},
    {"sampling", "atlas_sampling", "sampler_choice"},
    {"chart_fitting", "old_sampling", "atlas_fitting"},
    {"old_pickles"},
    {"fitting"},
    {"estimator"},
    {"__init__"},
]
"""The layers of the two subpackages that have some of their own."""

OF_THE_BENCHMARKS = [
    {"shared"},
    {"baselines"},
    {"paper", "intrinsic_dimension"},
    {"performance", "charts"},
    {"rivals"},
    {"run"},
]
"""The layers of ``benchmarks/``: what all share, what we compare with, what is compared, and the commands."""

OF_THE_PAPER = [
    {"grids", "sample_quality", "table", "tracking"},
    {"data_sets"},
    {"settings", "images"},
    {"training"},
    {"results"},
    {"balls", "dimensions", "disconnected", "entropy_estimate", "informative", "measures", "pictures"},
    {"experiment", "reconstruction"},
    {"experiments"},
    {"report", "runs"},
    {"command"},
    {"__init__"},
]
"""Those of the paper's reproduction: what a flow is trained by, what it turned out to be, and what compares flows."""

HOSTS_PRIVATE = {"_transform", "_distribution", "_embedding_net"}
OPTIONAL = ["lightning", "lightning_fabric", "tqdm", "sklearn", "scipy", "matplotlib", "normflows", "zuko", "FrEIA"]
OPTIONAL += ["PIL", "skdim", "torchmetrics", "torchvision", "safetensors", "tensorboard", "pandas"]
LARGEST_FILE = 300

SEEDS = {"manual_seed", "manual_seed_all", "seed"}
GLOBAL_RANDOMNESS = {"torch", "torch.random", "torch.cuda", "random", "np.random", "numpy.random"}
SEEDS_GLOBALLY = {"training/randomness.py"}
"""Files that may: layers such as dropout know no generator, and this one restores the state or parts processes."""


part_of = partial(import_graph.part_of, folder=PACKAGE)
parts_imported_by = partial(import_graph.parts_imported_by, folder=PACKAGE, package="nflows_spread")


def name_of(file):
    return str(file.relative_to(PACKAGE))


every_module = pytest.mark.parametrize("file", MODULES, ids=name_of)


def test_every_module_has_a_layer():
    assert {part_of(file) for file in MODULES} <= set(LAYER_OF), "give the new module a layer in the table above"
    assert sum(map(len, LAYERS)) == len(LAYER_OF), "a module has two layers"


@every_module
def test_imports_point_down(file):
    part = part_of(file)
    for imported in parts_imported_by(file):
        if imported == part or (part, imported) in WITHIN_A_LAYER:
            continue
        assert imported in LAYER_OF, f"{imported} has no layer"
        assert LAYER_OF[imported] < LAYER_OF[part], f"{part} (layer {LAYER_OF[part]}) imports {imported}"


@pytest.mark.parametrize(("folder", "layers"), [("dimension", WITHIN_DIMENSION), ("estimator", WITHIN_ESTIMATOR)])
def test_imports_point_down_within_a_subpackage(folder, layers):
    layer_of = {name: layer for layer, names in enumerate(layers) for name in names}
    files = sorted((PACKAGE / folder).glob("*.py"))
    assert {file.stem for file in files} == set(layer_of), "give the new module a layer in the table above"
    for file in files:
        for name in imports_of(file):
            package, _, rest = name.partition(f"nflows_spread.{folder}.")
            if not package and rest:
                imported = rest.partition(".")[0]
                assert layer_of[imported] < layer_of[file.stem], f"{file.stem} imports {imported}"


@pytest.mark.parametrize(
    ("folder", "layers"),
    [(BENCHMARKS, OF_THE_BENCHMARKS), (BENCHMARKS / "paper", OF_THE_PAPER)],
    ids=["benchmarks", "paper"],
)
def test_imports_point_down_within_the_benchmarks(folder, layers):
    """Those for annotations alone too, and each folder as one module."""
    layer_of = {name: layer for layer, names in enumerate(layers) for name in names}
    package = "" if folder == BENCHMARKS else f"{folder.name}."
    part_of_file = {file: file.relative_to(folder).parts[0].removesuffix(".py") for file in folder.rglob("*.py")}
    assert set(part_of_file.values()) == set(layer_of), "give the new module a layer in the table above"
    for file, part in part_of_file.items():
        within = {name.removeprefix(package) for name in imports_of(file) if name.startswith(package)}
        for imported in {name.partition(".")[0] for name in within} & set(layer_of) - {part}:
            assert layer_of[imported] < layer_of[part], f"{part} (layer {layer_of[part]}) imports {imported}"


def test_every_exception_of_the_table_is_used():
    used = {(part_of(file), imported) for file in MODULES for imported in parts_imported_by(file)}
    assert used >= WITHIN_A_LAYER
    assert all(LAYER_OF[importer] == LAYER_OF[imported] for importer, imported in WITHIN_A_LAYER)


@every_module
def test_only_hosts_touch_the_private_attributes_of_flows(file):
    if part_of(file) == "hosts":
        return
    nodes = list(ast.walk(tree_of(file)))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not HOSTS_PRIVATE & (attributes | strings)


@every_module
def test_only_training_imports_the_engine(file):
    engines = {name for name in imports_of(file) if name.partition(".")[0].startswith("lightning")}
    assert part_of(file) == "training" or not engines


@every_module
def test_only_its_own_host_imports_another_library_of_flows(file):
    """The files, of whatever layer, that are named after it; the rest of the package must do without."""
    foreign = {name.partition(".")[0] for name in imports_of(file)} & {"normflows", "zuko", "FrEIA"}
    assert foreign <= set(file.relative_to(PACKAGE).with_suffix("").parts)


@pytest.mark.parametrize("folder", [PACKAGE, BENCHMARKS, ROOT / "examples", ROOT / "tests"], ids=lambda path: path.name)
def test_a_file_answers_one_question(folder):
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in folder.rglob("*.py")}
    assert lines
    assert {str(file.relative_to(folder)): count for file, count in lines.items() if count > LARGEST_FILE} == {}


@every_module
def test_no_file_changes_settings_of_torch_for_everybody(file):
    settings = {"set_num_threads", "set_num_interop_threads", "set_default_dtype", "set_default_device"}
    nodes = [node for node in ast.walk(tree_of(file)) if isinstance(node, ast.Attribute)]
    seeding = [node for node in nodes if node.attr in SEEDS and ast.unparse(node.value) in GLOBAL_RANDOMNESS]
    found = [node for node in nodes if node.attr in settings]
    if name_of(file) not in SEEDS_GLOBALLY:
        found += seeding
    assert not found, [f"{name_of(file)}:{node.lineno}" for node in found]


def run_python(source):
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_imports_where_no_optional_package_is_installed():
    """After nflows, which brings some of them along, each of them is made impossible to import."""
    hidden = f"""
import sys
import nflows.distributions, nflows.flows, nflows.transforms, torch
for name in {OPTIONAL}:
    if name not in sys.modules:
        sys.modules[name] = None
import nflows_spread, nflows_spread.datasets, nflows_spread.models, nflows_spread.transforms
flow = nflows_spread.models.coupling_flow(2, layers=1)
x = torch.randn(50, 2)
nflows_spread.SpreadKLLoss(flow, data_noise=0.1)(x).backward()
nflows_spread.intrinsic_dimension(flow, x)
nflows_spread.volume_error(nflows_spread.to_volume_preserving(flow), x)
"""
    run_python(hidden)


def test_the_package_brings_no_module_of_another_package_but_torch_and_nflows():
    listed = """
import sys
import nflows.distributions, nflows.flows, nflows.transforms, torch
before = set(sys.modules)
from nflows_spread import *  # each name is imported when it is asked for
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    new = set(run_python(listed).split())
    assert "nflows_spread" in new
    assert new - set(sys.stdlib_module_names) <= {"nflows_spread", "nflows", "torch"}


def test_public_names_exist_and_are_all_that_is_offered():
    assert sorted(nflows_spread.__all__) == nflows_spread.__all__
    assert all(hasattr(nflows_spread, name) for name in nflows_spread.__all__)
    imports = [node for node in ast.walk(tree_of(PACKAGE / "__init__.py")) if isinstance(node, ast.ImportFrom)]
    assert {alias.name for node in imports for alias in node.names} == set(nflows_spread.__all__)
