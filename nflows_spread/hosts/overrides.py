"""Method overrides: what a subclass, or one object, changes of a class whose parts are read and not its methods."""

from __future__ import annotations

from nflows.distributions import Distribution
from torch import nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_SAY_NOTHING_OF_A_POINT = frozenset({"save", "load", "mean", "_mean", "reverse_kld", "reverse_alpha_div", "_abc_impl"})
"""Methods, and what ``abc`` notes in each subclass of an abstract class, as zuko's are."""


def overridden(module: nn.Module, base: type[nn.Module]) -> list[str]:
    """The methods of ``base`` that the module's class, or the module itself, has anew.

    Constructors may differ, attributes and methods may be added, and what belongs to every module is left to
    it; so is what says neither where a point goes nor how dense it is there.

    Args:
        module: of class ``base`` or a subclass.
        base: the class whose behaviour is relied on.

    Returns:
        Their names, in order.
    """
    kinds = type(module).__mro__
    by_class = {name for kind in kinds[: kinds.index(base)] for name in vars(kind)}
    by_object = {name for name in vars(module).keys() - _OF_EVERY_MODULE if callable(getattr(base, name, None))}
    return sorted(name for name in by_class | by_object if _matters(name, base))


def _matters(name: str, base: type[nn.Module]) -> bool:
    if name in ("forward", "__call__"):  # nflows gives it no meaning for a flow, so people do: wrappers call it
        return not issubclass(base, Distribution)
    of_any_module = name.startswith("__") or hasattr(nn.Module, name)
    return hasattr(base, name) and not of_any_module and name not in _SAY_NOTHING_OF_A_POINT
