"""Models of real systems, our own of lenses and circuits and those of packages, against known physics."""

from __future__ import annotations

import numpy as np
import pytest

from intrinsic_dimension.systems import SYSTEMS, circuits, lenses
from intrinsic_dimension.systems.lenses import trace


def of(name: str):
    system = next(each for each in SYSTEMS if each.name == name)
    for package in system.packages:
        pytest.importorskip(package, reason=f"{package} models it: pip install '.[systems]'")
    return system


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_rays_near_the_axis_follow_the_matrices_of_gaussian_optics():
    first, second, thick, index, screen = 0.3, -0.2, 0.5, 1.6, 2.0
    into = np.array([[1.0, 0.0], [-(index - 1.0) * first / index, 1.0 / index]])
    out = np.array([[1.0, 0.0], [-(1.0 - index) * second, index]])
    through, onwards = (np.array([[1.0, distance], [0.0, 1.0]]) for distance in (thick, screen))
    rays = 1e-4 * np.array([[1.0, -0.5, 2.0], [0.3, 1.0, -1.0]])
    expected = (onwards @ out @ through @ into @ rays)[0]
    surfaces = [(column(first), column(thick), index), (column(second), column(screen), 1.0)]
    np.testing.assert_allclose(trace(rays[:1], rays[1:], surfaces)[0], expected, rtol=1e-6)


def test_a_sphere_images_its_aplanatic_point_without_error():
    """Rays from n r beyond the vertex of a glass sphere, seen along the axis, leave towards r / n: Weierstrass."""
    index, radius = 1.5, 1.0
    heights = np.array([[0.1, 0.25, 0.4]])
    towards = radius * (1.0 + index)  # of the first vertex, convex to the light, where the rays converge
    angles = -np.arctan(heights / towards)
    focus = radius * (1.0 + 1.0 / index)
    found = trace(heights, angles, [(column(1.0 / radius), column(focus), index)])
    np.testing.assert_allclose(found, 0.0, atol=1e-12)


def test_a_lens_bends_by_snells_law_in_vectors():
    curvature, index, y, angle, distance = 0.4, 1.7, 0.5, 0.1, 3.0
    start, way = np.array([0.0, y]), np.array([np.cos(angle), np.sin(angle)])
    center = np.array([1.0 / curvature, 0.0])
    along = (center - start) @ way - np.sqrt(
        ((center - start) @ way) ** 2 - (center - start) @ (center - start) + curvature**-2
    )
    hit = start + along * way
    normal = (hit - center) * curvature
    cosine = -normal @ way
    bent = way / index + (cosine / index - np.sqrt(1.0 - (1.0 - cosine**2) / index**2)) * normal
    expected = hit[1] + (distance - hit[0]) * bent[1] / bent[0]
    found = trace(column(y), column(angle), [(column(curvature), column(distance), index)])
    assert float(found[0, 0]) == pytest.approx(expected, rel=1e-12)


def test_voltages_obey_kirchhoff_and_reciprocity():
    logs = np.random.default_rng(0).uniform(-1, 1, size=(1, 6))
    voltages = np.append(circuits._grid(logs).reshape(15, 2), np.zeros((1, 2)), axis=0)
    flows = np.zeros((16, 2))
    for a, b in circuits._grid_edges():
        resistance = np.exp(logs[0, circuits._UNKNOWN.index((a, b))]) if (a, b) in circuits._UNKNOWN else 1.0
        flows[a] += (voltages[a] - voltages[b]) / resistance
        flows[b] -= (voltages[a] - voltages[b]) / resistance
    expected = np.zeros((16, 2))
    expected[0, 0] = expected[3, 1] = 1.0
    expected[15] = -1.0
    np.testing.assert_allclose(flows, expected, atol=1e-12)
    assert voltages[3, 0] == pytest.approx(voltages[0, 1])


def test_the_ladder_divides_a_direct_current_and_knows_no_unit_of_impedance():
    logs = np.array([[0.2, 0.1, -0.3, 0.4, 0.5]])
    scaled = logs + 0.7 * np.array([1.0, 1.0, -1.0, 1.0, 1.0])
    np.testing.assert_allclose(circuits._filter(logs), circuits._filter(scaled))
    low = circuits._FREQUENCIES[0]
    assert circuits._filter(logs)[0, 0] == pytest.approx(np.exp(0.5) / (np.exp(0.2) + np.exp(0.5)), abs=2 * low)


def test_lenses_of_the_set_let_all_rays_through():
    for system in lenses.LENSES:
        assert np.isfinite(system.sample(2000, 0)).all()


def test_arms_keep_the_lengths_of_their_links():
    arm = of("arm of seven joints, all links")
    places = arm.sample(20, 0)[:, :39].reshape(20, 13, 3)
    lengths = np.linalg.norm(np.diff(places[:, :9], axis=1), axis=2)
    np.testing.assert_allclose(lengths, lengths[:1].repeat(20, 0), atol=1e-9)
    tool = of("arm of six joints, its tool").sample(20, 0)[:, 3:].reshape(-1, 3, 3)
    np.testing.assert_allclose(tool @ tool.transpose(0, 2, 1), np.eye(3)[None].repeat(20, 0), atol=1e-9)


def test_torsions_change_no_bond():
    pytest.importorskip("rdkit")
    from intrinsic_dimension.systems.molecules import _conformer

    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in _conformer("CCCCCC").GetBonds()]
    places = of("hexane").sample(10, 0).reshape(10, 20, 3)
    lengths = np.stack([np.linalg.norm(places[:, a] - places[:, b], axis=1) for a, b in bonds], axis=1)
    np.testing.assert_allclose(lengths, lengths[:1].repeat(10, 0), atol=1e-6)


def test_satellites_stay_in_the_plane_of_their_orbit():
    places = of("three elements of an orbit at ten times").sample(10, 0).reshape(10, 10, 3)
    assert (np.linalg.svd(places, compute_uv=False)[:, 2] < 0.1).all()  # the node turns by 5 degrees a day
    np.testing.assert_allclose(np.linalg.norm(places, axis=2), 6.94, atol=0.1)  # 15 revolutions a day, by Kepler


def test_burnt_gas_is_at_chemical_equilibrium():
    """Water splits by its own law of mass action, at any mixture: ln(p_H² p_O / p_H2O) depends on T alone."""
    gas = of("burnt hydrogen")
    cantera = pytest.importorskip("cantera")
    species = [name for name in cantera.Solution("h2o2.yaml").species_names if name != "AR"]
    h, o, water = (species.index(name) for name in ("H", "O", "H2O"))
    mixtures = np.array([[2000.0, -0.5, 0.7], [2000.0, 0.8, 1.4], [2000.0, 0.0, 1.0]])
    logs = gas.measure(mixtures)
    constant = 2 * logs[:, h] + logs[:, o] - logs[:, water] + 2 * mixtures[:, 1]
    np.testing.assert_allclose(constant, constant[0], atol=1e-6)


def test_fluids_are_those_of_the_tables():
    """Water at 25 °C and 50 MPa: 1017.8 kg/m³ and 1574 m/s (IAPWS-95)."""
    found = of("water").measure(np.array([[298.15, 50.0]]))[0]
    assert 100.0 * found[0] == pytest.approx(1018.0, rel=2e-3)
    assert 300.0 * found[5] == pytest.approx(1574.0, rel=1e-2)


def test_a_quarter_turn_of_the_photograph_turns_its_pixels():
    photograph = of("photograph, turned and scaled")
    still, turned = photograph.measure(np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, np.pi / 2, 0.0]]))
    np.testing.assert_allclose(turned.reshape(20, 20), np.rot90(still.reshape(20, 20), -1), atol=1e-9)
