"""One declarative file for each experiment."""

IN_ORDER = (
    "sine",
    "line",
    "s_curve",
    "fading_square",
    "synthetic_mnist_5",
    "synthetic_mnist_10",
    "mnist",
    "celeba",
    "svhn",
    "cifar10",
    "digits",
)
"""As the paper has them; those that are about the method itself come after."""
