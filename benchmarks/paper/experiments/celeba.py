"""CelebA (figures 8 to 10, 17 and 18; table 5): faces at 32×32 pixels with the volume-preserving Glow.

The paper: the eigenvalues of AAᵀ fall off exponentially from about 2700 of 3072 on (figure 9; under figure 17 it
says that about half of them converge to 0), reconstructions are good above K = 2700, and the Fréchet distance of
samples grows with K, from 44.8 at 512 to 63.1 at 3000. The data is not free for every use and has to be fetched by
hand, with the list of its splits; the profiles are those of CIFAR-10.
"""

from paper.experiments.cifar10 import experiment_on
from paper.images import colour

EXPERIMENT = experiment_on(colour.celeba_faces)
