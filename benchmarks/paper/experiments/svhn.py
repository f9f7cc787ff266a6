"""SVHN (figures 17 and 18): colour images of house numbers with the volume-preserving Glow.

The paper: samples are realistic, and about half of the eigenvalues converge to 0 (figure 17). The data is not free
for every use and has to be fetched by hand; the profiles are those of CIFAR-10.
"""

from paper.experiments.cifar10 import experiment_on
from paper.images import colour

EXPERIMENT = experiment_on(colour.svhn_digits)
