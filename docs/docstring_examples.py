"""Griffe extension: the section ``Example:`` of a docstring is shown as code on the documentation site.

Google's convention says ``Examples:`` and ruff and Napoleon take both; Griffe takes the first for a remark, in which
Markdown makes quotations of ``>>>``. ``mkdocs.yml`` names this file.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object


class Examples(Extension):
    """Reads ``Example:`` as ``Examples:``."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of an object before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
