"""Molecules with rotated torsions: angles of single bonds behind atom coordinates or distances, by RDKit."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from intrinsic_dimension.systems.system import Array, System

_PACKAGES = ("rdkit",)
_TURN = (-math.pi, math.pi)
_PEPTIDE = "CC(=O)" + "N[C@@H](C)C(=O)" * 4 + "NC"
_IBUPROFEN = "CC(C)Cc1ccc(cc1)C(C)C(=O)O"


@lru_cache
def _conformer(smiles: str) -> Any:
    """A molecule with its hydrogens in one embedded conformation, the same each time."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(molecule, randomSeed=7)
    return molecule


@lru_cache
def _torsions(smiles: str, pattern: str) -> tuple[tuple[int, int, int, int], ...]:
    """Chains of four atoms that match a SMARTS pattern, one for each bond in their middle."""
    from rdkit import Chem

    found: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    for match in _conformer(smiles).GetSubstructMatches(Chem.MolFromSmarts(pattern)):
        a, b, c, d = match
        found.setdefault((min(b, c), max(b, c)), (a, b, c, d))
    return tuple(found.values())


def _turned(smiles: str, patterns: tuple[str, ...], see: Callable[[Any, Array], Array]) -> Callable[[Array], Array]:
    """What is seen of a molecule whose torsions have the given angles."""

    def measure(angles: Array) -> Array:
        from rdkit import Chem
        from rdkit.Chem import rdMolTransforms

        molecule = Chem.Mol(_conformer(smiles))
        conformer = molecule.GetConformer()
        torsions = [torsion for pattern in patterns for torsion in _torsions(smiles, pattern)]
        if len(torsions) != angles.shape[1]:
            raise ValueError(f"as many angles as torsions must be given, {len(torsions)}, got {angles.shape[1]}")
        seen = []
        for row in angles:
            for torsion, angle in zip(torsions, row):
                rdMolTransforms.SetDihedralRad(conformer, *torsion, float(angle))
            seen.append(see(molecule, conformer.GetPositions()))
        return np.stack(seen)

    return measure


def _coordinates(molecule: Any, places: Array) -> Array:
    """Those of all atoms; the atoms on one side of each bond stay where they are."""
    return places.ravel().copy()


def _distances(molecule: Any, places: Array) -> Array:
    """Those of all pairs of heavy atoms."""
    heavy = np.array([atom.GetAtomicNum() > 1 for atom in molecule.GetAtoms()])
    first, second = np.triu_indices(int(heavy.sum()), 1)
    kept = places[heavy]
    distances: Array = np.linalg.norm(kept[first] - kept[second], axis=1)
    return distances


_BACKBONE = ("[C;X3]-[N;X3]-[CX4;H1]-[C;X3]", "[N;X3]-[CX4;H1]-[C;X3]-[N;X3]")
_SIDE_CHAINS = ("[CH3]-[CH]-[CH2]-c", "[CH]-[CH2]-c:c", "c:c-[CH]-[CH3]", "c-[CH]-C=O")

MOLECULES = (
    System("hexane", 60, 3, (_TURN,) * 3, _turned("CCCCCC", ("C-C-C-C",), _coordinates), _PACKAGES),
    System("peptide", 156, 8, (_TURN,) * 8, _turned(_PEPTIDE, _BACKBONE, _coordinates), _PACKAGES),
    System("ibuprofen, distances", 105, 4, (_TURN,) * 4, _turned(_IBUPROFEN, _SIDE_CHAINS, _distances), _PACKAGES),
)
"""Each bond that is turned makes a whole turn: hexane's inner ones, φ and ψ of four alanines, ibuprofen's rotors."""
