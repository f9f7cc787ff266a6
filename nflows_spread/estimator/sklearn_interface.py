"""scikit-learn's base classes of an estimator, transformer and density, or a stand-in where it is not installed.

With them come ``clone``, ``set_output`` and the names of its columns, tags, the routing of metadata and the HTML
representation.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from nflows_spread.estimator.without_sklearn import EstimatorWithoutSklearn, check_names

Self = TypeVar("Self")

if TYPE_CHECKING or find_spec("sklearn") is None:
    SklearnInterface = EstimatorWithoutSklearn
else:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
    from sklearn.utils.metadata_routing import UNUSED

    class SklearnInterface(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
        """What scikit-learn asks of a transformer with a density."""

        # or its routing of metadata takes the coordinates for some: what other transformers are given is called X
        __metadata_request__inverse_transform = {"coordinates": UNUSED}  # noqa: RUF012 - as scikit-learn has it

        def set_params(self: Self, **params: Any) -> Self:
            """Change settings for the next ``fit``.

            Raises:
                ValueError: there is no setting of a name; then none is changed.
            """
            check_names(params, self.get_params())
            return super().set_params(**params)

        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.target_tags.required = False
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
            return tags
