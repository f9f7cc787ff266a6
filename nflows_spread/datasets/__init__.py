"""Data that lies on a manifold: synthetic sets that know their answer, and real digits from disk."""

from nflows_spread.datasets.digits import DATA_VARIABLE, LabelledImages, handwritten_digits, mnist
from nflows_spread.datasets.manifolds import FadingSquare, Line, Manifold, Points, SCurve, Sine

__all__ = [
    "DATA_VARIABLE",
    "FadingSquare",
    "LabelledImages",
    "Line",
    "Manifold",
    "Points",
    "SCurve",
    "Sine",
    "handwritten_digits",
    "mnist",
]
