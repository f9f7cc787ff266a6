"""Synthetic manifolds of known intrinsic dimension, and readers for MNIST, CIFAR-10, SVHN, CelebA and image folders."""

from nflows_spread.datasets.celeba import celeba
from nflows_spread.datasets.cifar10 import CIFAR10_CLASSES, cifar10
from nflows_spread.datasets.data_folder import DATA_VARIABLE
from nflows_spread.datasets.digits import LabelledImages, handwritten_digits, mnist
from nflows_spread.datasets.image_folder import image_folder
from nflows_spread.datasets.images import DequantisedImages, ImageSet, dequantise, quantise
from nflows_spread.datasets.manifolds import FadingSquare, Line, Manifold, Points, SCurve, Sine
from nflows_spread.datasets.svhn import svhn
from nflows_spread.datasets.unions import PointsOfUnion, curve_and_surface, lollipop

__all__ = [
    "CIFAR10_CLASSES",
    "DATA_VARIABLE",
    "DequantisedImages",
    "FadingSquare",
    "ImageSet",
    "LabelledImages",
    "Line",
    "Manifold",
    "Points",
    "PointsOfUnion",
    "SCurve",
    "Sine",
    "celeba",
    "cifar10",
    "curve_and_surface",
    "dequantise",
    "handwritten_digits",
    "image_folder",
    "lollipop",
    "mnist",
    "quantise",
    "svhn",
]
